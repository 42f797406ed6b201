"""Write down what a provider will be asked, and have it asked after the commit."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from procrastinate.contrib.django import app

from backend.payments.models import MoneyOp, Payment

SETTLE_JOB = "bookings.settle"
"""The job that sends one money operation and records what came of it, by name. The package that settles bookings has it."""

REFERENCE_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Letters and digits that nobody mixes up when reading them out."""


def intend(payment: Payment, kind: MoneyOp.Kind, options: dict[str, Any], now: datetime) -> MoneyOp:
    """Write down that the provider of ``payment`` is asked for all of it; the new operation's id is the key."""
    return MoneyOp.objects.create(
        payment=payment,
        kind=kind,
        provider=payment.provider,
        amount_minor=payment.charged_minor,
        currency=payment.charged_currency,
        options=options,
        created_at=now,
        updated_at=now,
    )


def settle_later(ops: Iterable[MoneyOp]) -> None:
    """Have operations sent by the worker as soon as the transaction around commits."""
    for op in ops:
        app.configure_task(SETTLE_JOB, queue="payments").defer(op_id=str(op.pk))


def reference(letter: str) -> str:
    """A fresh ``P-7K3M9Q2X``: 30⁸ of them, so that a second use is refused by the database rather than expected."""
    return f"{letter}-{''.join(secrets.choice(REFERENCE_LETTERS) for _ in range(8))}"
