"""Comparisons with the providers in the back office: the card of the first page, and settling a difference."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backend.payments import reconciliation
from backend.payments.models import ReconciliationDifference, SandboxRecord
from tests.admin_site.test_actions import act, shown_actions
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
    assert shown_actions(client, difference) == {"Settle"}

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
