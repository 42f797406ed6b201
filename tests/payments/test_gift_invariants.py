"""What the books must say of gifts and disputes is found when somebody breaks it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction

from backend.payments import disputes, refund_requests
from backend.payments.models import Payment
from backend.payments.providers.base import DisputeState
from tests.factories import NOW, make_user
from tests.payments.desk import TOTAL, make_folio, pay
from tests.payments.test_invariants import unguarded, violated

pytestmark = pytest.mark.usefixtures("db")


def work() -> Payment:
    """A gift that is under way, one that waits for a second person, and three disputes: open, won, lost."""
    folio = make_folio()
    payment = pay(folio)
    for amount in (500, 2_000):
        refund_requests.ask(
            actor=make_user("finance"), folio=folio, amount_minor=amount, bearer="host", reason="x", now=NOW
        )
    for number, status in enumerate(("needs_response", "won", "lost")):
        told = DisputeState(
            reference=f"dp_{number}",
            parent_ref="",
            amount_minor=TOTAL,
            currency="EUR",
            status=status,  # type: ignore[arg-type]
            reason="fraudulent",
            funds_withdrawn=status != "won",
            opened_at=NOW,
            evidence_due_at=NOW + timedelta(days=7),
            fee_minor=1_500,
        )
        disputed = pay(make_folio())
        with transaction.atomic():
            disputes.learn(payment=disputed, state=told, seen=0, stay_is_over=False, now=NOW)
    return payment


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (
            "UPDATE disputes SET funds_withdrawn = false WHERE status = 'needs_response'",
            "disputes_are_booked",
        ),
        ("UPDATE disputes SET funds_withdrawn = true WHERE status = 'won'", "disputes_are_booked"),
        ("UPDATE disputes SET loss_id = NULL WHERE status = 'lost'", "disputes_are_booked"),
        (
            "UPDATE disputes SET amount_minor = amount_minor + 1 WHERE status = 'needs_response'",
            "disputes_are_booked",
        ),
        ("UPDATE refund_requests SET amount_minor = amount_minor + 1", "gifts_are_what_was_agreed"),
        (
            "UPDATE refund_requests SET status = 'declined', decided_at = now(), decided_by_id = NULL",
            "gifts_are_what_was_agreed",
        ),
        ("UPDATE payments SET refund_request_id = NULL", "gifts_are_what_was_agreed"),
    ],
)
def test_invariants_find_gifts_and_disputes_that_do_not_stand_as_agreed(sql: str, name: str) -> None:
    work()
    assert violated() == set()

    with unguarded("disputes", "refund_requests", "payments"), connection.cursor() as cursor:
        cursor.execute(sql)

    assert violated() == {name}
