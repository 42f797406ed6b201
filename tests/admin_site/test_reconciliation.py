"""Comparisons with the providers in the back office: the card of the first page, and settling a difference."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.messages import get_messages
from django.utils import timezone
from django.utils.html import conditional_escape

from admin_site.money.reconciliation import MEANINGS
from backend.payments import reconciliation
from backend.payments.models import ReconciliationDifference, SandboxRecord
from backend.payments.providers.base import ProviderUnavailable
from backend.payments.providers.sandbox import Sandbox
from tests.admin_site.test_actions import act, shown_actions, url
from tests.admin_site.world import audited, make_booking, signed_in, staff

pytestmark = pytest.mark.usefixtures("db")


def differing() -> ReconciliationDifference:
    """A charge that the sandbox tells otherwise, found by a comparison an hour ago."""
    make_booking()
    SandboxRecord.objects.update(amount_minor=1)
    reconciliation.reconcile(now=timezone.now() - timedelta(hours=1))
    return ReconciliationDifference.objects.get()


def card(role: str) -> list[list[str]] | None:
    shown = signed_in(staff(role)).get("/admin/").context.get("reconciliation")
    return None if shown is None else [[str(cell) for cell in row[:3]] for row in shown]


def test_first_page_says_how_the_books_stand_beside_the_providers_lists() -> None:
    assert card("finance") == [["sandbox", "0", "never"]]

    differing()

    assert card("admin") == [["sandbox", "1", "1\xa0hour ago"]]
    assert card("support") is None


def test_settle_takes_a_note_and_leaves_a_trace() -> None:
    difference, person = differing(), staff("finance")
    client = signed_in(person)
    assert shown_actions(client, difference) == {"Ask the provider again", "Settle"}

    answer = act(client, difference, "settle", note="Corrected by hand")

    assert answer.status_code == 200
    difference.refresh_from_db()
    assert (difference.note, difference.settled_at is None) == ("Corrected by hand", False)
    entry = audited("reconciliation.settle")
    assert (entry.actor, entry.reason) == (person, "Corrected by hand")
    assert shown_actions(client, difference) == set()


def test_settle_without_a_note_changes_nothing() -> None:
    difference = differing()

    answer = act(signed_in(staff("admin")), difference, "settle", note=" ")

    assert "HX-Redirect" not in answer
    difference.refresh_from_db()
    assert difference.settled_at is None


def test_asking_again_settles_what_agrees_by_now() -> None:
    difference, person = differing(), staff("finance")
    SandboxRecord.objects.update(amount_minor=30_000)

    act(signed_in(person), difference, "ask_again", reason="They have put it right")

    difference.refresh_from_db()
    assert (difference.settled_at is None, difference.note) == (False, "")
    entry = audited("reconciliation.ask_again")
    assert (entry.actor, entry.reason) == (person, "They have put it right")


def test_asking_again_says_that_the_sides_still_differ() -> None:
    difference = differing()

    answer = act(signed_in(staff("finance")), difference, "ask_again", reason="Is it gone?")

    said = [str(message) for message in get_messages(answer.wsgi_request)]  # type: ignore[attr-defined]
    assert "The two sides still differ." in said
    difference.refresh_from_db()
    assert difference.settled_at is None


def test_asking_again_without_an_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    difference = differing()

    def silent(self: Sandbox, since: datetime) -> None:
        raise ProviderUnavailable("no line")

    monkeypatch.setattr(Sandbox, "list_recent", silent)

    answer = act(signed_in(staff("finance")), difference, "ask_again", reason="Is it gone?")

    assert "The provider does not answer now." in answer.content.decode()
    difference.refresh_from_db()
    assert difference.settled_at is None


@pytest.mark.parametrize("what", ReconciliationDifference.What.values)
def test_each_difference_says_what_it_means(what: str) -> None:
    now = timezone.now()
    row = ReconciliationDifference.objects.create(
        provider="sandbox", key="k", what=what, first_seen_at=now, last_seen_at=now
    )

    page = signed_in(staff("finance")).get(url(row, "change")).content.decode()

    assert conditional_escape(MEANINGS[ReconciliationDifference.What(what)]) in page
