from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from backend.accounts.models import User
from backend.listings.models import Listing
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")


def test_demo_is_refused_in_production(settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="refused in production"):
        call_command("demo")
    assert User.objects.count() == 0


def test_demo_leaves_an_account_alone_that_is_somebody_elses(capsys: pytest.CaptureFixture[str]) -> None:
    stranger = make_user(username="Guest_1", password="correct-horse-9")
    with pytest.raises(CommandError, match="account guest_1 already"):
        call_command("demo")
    found = User.objects.get()
    assert (found.pk, found.password, found.email) == (stranger.pk, stranger.password, stranger.email)
    assert Listing.objects.count() == 0
    assert capsys.readouterr().out == ""
