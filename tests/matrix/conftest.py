"""The database for whole modules: a world is built once, and what a request changes is put back after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.db import connections
from django.test import override_settings

from tests.conftest import _empty_tables, _shipped_rates, _window
from tests.factories import NOW


@pytest.fixture(scope="module")
def db(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """As everywhere with real commits, but emptied after the module's last test; the clock stands at NOW."""
    media = override_settings(MEDIA_ROOT=tmp_path_factory.mktemp("media"), ALLOW_LOOPBACK_FETCH=True)
    with django_db_blocker.unblock(), media, time_machine.travel(NOW, tick=False):
        _window()
        _shipped_rates()
        cache.clear()
        try:
            yield
        finally:
            _empty_tables()
            connections.close_all()
