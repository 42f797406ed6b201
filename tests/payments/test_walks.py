"""Any order of honest and dishonest events: after every step the books are right and the money moved once."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.core import platform
from backend.core.errors import DomainError
from backend.payments import ledger, refund_requests, sending
from backend.payments import services as payments
from backend.payments.invariants import CHECKS
from backend.payments.models import Folio, MoneyOp, Payment, SandboxRecord
from backend.payments.providers.base import Result
from tests.factories import NOW, make_user
from tests.payments.desk import TOTAL, make_folio, start

pytestmark = pytest.mark.usefixtures("db")

OUTCOMES = st.sampled_from(["succeed", "decline", "pending", "timeout"])
STEPS = st.one_of(
    st.tuples(st.just("start"), OUTCOMES, st.booleans()),
    st.tuples(st.just("refund"), st.integers(1, TOTAL), st.none()),
    st.tuples(st.just("gift"), st.integers(1, TOTAL), st.sampled_from(["shared", "host", "platform"])),
    st.tuples(
        st.just("record"), st.sampled_from(["succeeded", "failed", "pending", "unknown"]), st.integers(0, 9)
    ),
    *(
        st.tuples(st.just(verb), st.none(), st.none())
        for verb in (
            "send",
            "send and die",
            "send again",
            "capture",
            "void",
            "abandon",
            "earned",
            "send back",
        )
    ),
)


class Walk:
    """One folio, its clock, and the results that providers gave and nobody has recorded yet."""

    def __init__(self) -> None:
        self.folio: Folio = make_folio()
        self.finance = make_user("finance")
        platform.put("refund_four_eyes_above", 1_000_000)
        self.now = NOW
        self.lost: list[tuple[MoneyOp, Result]] = []

    def step(self, verb: str, first: object, second: object) -> None:
        self.now += timedelta(seconds=1)
        match verb:
            case "start":
                start(self.folio, str(first), capture=bool(second))
            case "refund":
                with transaction.atomic():
                    payments.refund(
                        folio=self.folio, amount_minor=int(str(first)), cause="walk", now=self.now
                    )
            case "gift":
                request = refund_requests.ask(
                    actor=self.finance,
                    folio=self.folio,
                    amount_minor=int(str(first)),
                    bearer=str(second),
                    reason="walk",
                    now=self.now,
                )
                assert request.status == "approved"
            case "send back":
                self.send_back()
            case "capture" | "void" | "abandon":
                payment = payments.pending_payment(self.folio)
                if payment is not None:
                    with transaction.atomic():
                        getattr(payments, verb)(payment=payment, now=self.now)
            case "earned":
                with transaction.atomic():
                    payments.earned(folio=self.folio, now=self.now)
            case "record":
                self.record_lost(int(str(second)), str(first))
            case _:
                self.send(verb)

    def send(self, how: str) -> None:
        """Send everything that is due; ``die`` before recording, or come ``again`` when the leases have run out."""
        if how == "send again":
            self.now += sending.LEASE
        for op_id in payments.open_ops(self.now):
            result = sending.send(op_id, now=self.now)
            assert result is not None
            op = MoneyOp.objects.get(pk=op_id)
            self.lost.append((op, result))
            if how != "send and die":
                self.record(op, result)

    def send_back(self) -> None:
        """The guest's bank returns the oldest refund that was made."""
        made = Payment.objects.filter(folio=self.folio, kind="refund", status="completed").order_by("id")
        payment = made.first()
        if payment is not None:
            op = payment.ops.get()
            SandboxRecord.objects.filter(key=str(op.pk)).update(state="returned")
            result = sending.look_up(op, at=self.now)
            assert result is not None
            self.record(op, result)

    def record_lost(self, number: int, status: str) -> None:
        """An answer arrives late, or twice; an uncertain one may come in place of it."""
        if self.lost:
            op, result = self.lost[number % len(self.lost)]
            self.record(op, Result(status) if status in ("pending", "unknown") else result)  # type: ignore[arg-type]

    def record(self, op: MoneyOp, result: Result) -> None:
        with transaction.atomic():
            payments.record(op_id=op.pk, result=result, now=self.now)

    def check(self) -> None:
        with connection.cursor() as cursor:
            for check in CHECKS:
                cursor.execute(check.sql, {"now": self.now, "seen": self.now})
                assert cursor.fetchall() == [], check.name

    def settle_all(self) -> None:
        for _ in range(3):
            self.send("send again")
        assert payments.open_ops(self.now + timedelta(days=1)) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=14))
def test_any_walk_keeps_the_books_and_moves_money_once(steps: list[tuple[str, object, object]]) -> None:
    walk = Walk()

    for step in steps:
        with suppress(DomainError):
            walk.step(*step)
        walk.check()
    walk.settle_all()
    walk.check()

    done = SandboxRecord.objects.filter(key__in=[str(op) for op in _ops(walk.folio)], state="succeeded")
    taken = sum(record.amount_minor for record in done if record.kind in ("charge", "capture"))
    given_back = sum(record.amount_minor for record in done if record.kind == "refund")
    assert 0 <= taken - given_back <= TOTAL
    assert (
        ledger.balances(walk.folio)["clearing:sandbox"]
        == taken - given_back
        == payments.refundable(walk.folio)
    )
    assert Payment.objects.filter(folio=walk.folio, status="pending", authorized_at=None).count() == 0


def _ops(folio: Folio) -> list[object]:
    return list(MoneyOp.objects.filter(payment__folio=folio).values_list("pk", flat=True))
