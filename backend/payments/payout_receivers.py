"""Whom a payout goes to: the receiver's account, and one thing at a time for each receiver."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from django.db import connection

from backend.core import fx
from backend.core.money import Money
from backend.payments.models import Payout, PayoutAccount
from backend.payments.providers import registry
from backend.payments.providers.base import PaysOut

_LOCKS = 4_201
"""The first half of the advisory locks of receivers, apart from other uses of such locks."""


def hold_receiver(receiver_id: int) -> None:
    """Let nobody else send to, name or change an account of ``receiver_id`` until the transaction ends.

    Taken before any folio or payout. Waits at most ``lock_timeout``.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a lock outside of a transaction is released at once")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, (%s %% 2147483647)::int)", [_LOCKS, receiver_id])


def account_of(receiver_id: int) -> PayoutAccount | None:
    """The account that the receiver is paid to, whatever its state; None when none is named."""
    return PayoutAccount.objects.filter(user_id=receiver_id, is_default=True).first()


def in_account(payout: Payout, account: PayoutAccount) -> tuple[Money, Decimal | None]:
    """What ``account`` gets for a payout at today's rate, and that rate (None: the currency is the same).

    In the account's currency, by default the stay's; in the steps that the provider pays: an exchanged amount the nearest
    one, the stay's own currency never more than is owed, and what is left is carried over (``payout_netting``).
    Raises: ProviderUnknown, UnknownCurrency.
    """
    amount, rate = Money(payout.amount_minor, payout.currency), None
    if account.currency and account.currency != payout.currency:
        amount, rate, *_said = fx.exchange_with_rate(amount, account.currency)
    adapter = registry.get(account.provider)
    if isinstance(adapter, PaysOut):
        step = adapter.payout_step(amount.currency)
        steps = amount.minor // step if rate is None else round(Fraction(amount.minor, step))
        amount = Money(steps * step, amount.currency)
    return amount, rate
