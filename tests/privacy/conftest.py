from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.availability.calendars import AIRBNB, calendar, taken
from tests.factories import NOW
from tests.far_end import far_end
from tests.privacy.journey import Journey, travel
from tests.privacy.world import on_disk


@pytest.fixture
def state(settings: Any, tmp_path: Path) -> Path:
    """Where mails, messages and files lie."""
    settings.ALLOW_LOOPBACK_FETCH = True
    return on_disk(settings, tmp_path)


@pytest.fixture
def journey(db: None, state: Path) -> Iterator[Journey]:
    """A guest and a host with a past; see ``journey``."""
    with far_end() as end:
        end.serve(calendar(taken(date(2027, 6, 10), date(2027, 6, 14)), prodid=AIRBNB))
        yield travel(end, NOW)
