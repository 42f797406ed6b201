"""What receivers are told of their payouts and accounts, inside the transaction that changes them."""

from __future__ import annotations

from datetime import datetime

from backend.notifications import services as notifications
from backend.payments.models import Payout, PayoutAccount


def on_hold(payout: Payout, reason: str, now: datetime) -> None:
    """A payout waits for ``reason``: once for each."""
    _tell(payout, "payout.on_hold", f"payout:{payout.pk}:{reason}", now)


def sent(payout: Payout, now: datetime) -> None:
    """A payout is on its way, in the currency of the account."""
    _tell(payout, "payout.sent", f"payout:{payout.pk}", now)


def netted(payout: Payout, now: datetime) -> None:
    """All of a payout was taken for debts."""
    _tell(payout, "payout.netted", f"payout:{payout.pk}", now, minor=payout.netted_minor)


def failed(payout: Payout, now: datetime) -> None:
    """A try failed."""
    _tell(payout, "payout.failed", f"payout:{payout.pk}:{payout.attempts}", now)


def returned(payout: Payout, now: datetime) -> None:
    """What was sent came back."""
    _tell(payout, "payout.returned", f"payout:{payout.pk}", now)


def account_restricted(account: PayoutAccount, now: datetime) -> None:
    """The provider asks for something before it pays again: once for each time that it began to."""
    _tell_of(account, "payout_account.restricted", f"account:{account.pk}:{now.isoformat()}", now)


def account_changed(account: PayoutAccount, now: datetime) -> None:
    """Payouts go somewhere else from now on: mailed in any case, since a stranger may have done it."""
    _tell_of(account, "security.payout_account_changed", f"account:{account.pk}:{now.isoformat()}", now)


def _tell(payout: Payout, kind: str, key: str, now: datetime, *, minor: int | None = None) -> None:
    is_paid = payout.paid_minor and payout.paid_currency
    amount = payout.paid_minor if is_paid else payout.amount_minor
    notifications.notify(
        user=payout.receiver,
        kind=kind,
        object_key=key,
        now=now,
        params={
            "reference": payout.reference,
            "amount": amount if minor is None else minor,
            "currency": payout.paid_currency if is_paid and minor is None else payout.currency,
        },
        data={"payout_id": payout.pk},
        url=f"/payouts/{payout.pk}",
    )


def _tell_of(account: PayoutAccount, kind: str, key: str, now: datetime) -> None:
    notifications.notify(
        user=account.user,
        kind=kind,
        object_key=key,
        now=now,
        params={"provider": account.provider, "account": account.shown or account.provider},
        data={"payout_account_id": account.pk},
        url=f"/payout-accounts/{account.pk}",
    )
