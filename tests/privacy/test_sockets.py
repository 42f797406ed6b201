"""Open sockets of somebody who is erased."""

from __future__ import annotations

import pytest
from django.utils import timezone

from backend.privacy import erasure
from tests.conftest import Server
from tests.factories import PASSWORD, make_user
from tests.realtime.client import Live
from tests.realtime.test_closing import end

pytestmark = pytest.mark.usefixtures("db")


def test_erasing_an_account_closes_its_sockets_within_two_seconds(server: Server) -> None:
    user = make_user(password=PASSWORD)
    with Live.open(server, user) as live:
        end(lambda: erasure.erase(actor=user, user=user, password=PASSWORD, now=timezone.now()), live)
