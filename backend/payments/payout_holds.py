"""What holds a payout back: the platform's own rules, an open dispute, or somebody of the staff.

Rules are looked at again whenever something changes and before a payout is sent; staff may let a payout go in spite of
those that are only caution. A payout with an active hold is ``on_hold``, unless it is on its way already: what a
provider was asked for cannot be held any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE, SUPPORT, User
from backend.audit import services as audit
from backend.core import access, fx, platform
from backend.core.db import lock, retrying
from backend.core.errors import Invalid, WrongState
from backend.core.money import Money, exponent
from backend.payments import payout_notices
from backend.payments.models import Dispute, Folio, Payment, Payout, PayoutAccount, PayoutHold
from backend.payments.payout_receivers import account_of, hold_receiver, in_account
from backend.payments.providers import registry
from backend.payments.providers.base import PaysOut
from backend.payments.states import OPEN_OPS, PAYOUT_TRANSITIONS, DisputeStatus, PayoutStatus

Reason = PayoutHold.Reason

WAITING = [PayoutStatus.SCHEDULED.value, PayoutStatus.ON_HOLD.value, PayoutStatus.FAILED.value]
"""The states of a payout that is still owed."""

AUTOMATIC = frozenset(
    {
        Reason.NO_ACCOUNT,
        Reason.ACCOUNT_RESTRICTED,
        Reason.ACCOUNT_CHANGED,
        Reason.NEW_HOST,
        Reason.BELOW_MINIMUM,
    }
)
"""The reasons that come and go by themselves. One that an open dispute has brought ends when whoever learns of its end
says so."""

CAUTION = frozenset({Reason.ACCOUNT_CHANGED, Reason.NEW_HOST, Reason.BELOW_MINIMUM, Reason.DISPUTE})
"""Those of them that staff may overrule; without a working account nobody can be paid."""

PASSING = frozenset({Reason.ACCOUNT_CHANGED, Reason.NEW_HOST, Reason.BELOW_MINIMUM})
"""Those that end as time goes by, so that a sweep looks at them."""

ACCOUNT_REASONS = frozenset({Reason.NO_ACCOUNT.value, Reason.ACCOUNT_RESTRICTED.value})
"""Those that end when the receiver has a working account."""

OPEN_DISPUTES = [DisputeStatus.NEEDS_RESPONSE.value, DisputeStatus.UNDER_REVIEW.value]


class NotHeld(WrongState):
    """There is nothing to let go."""

    code = "not_held"
    title = _("This payout is not on hold.")


@access.rule("payout.hold")
def may_hold(actor: Any, payout: Payout) -> bool:
    """Stop a payout: whoever of the staff hears of a reason."""
    return bool(actor.has_role(SUPPORT, FINANCE, ADMIN))


@access.rule("payout.release")
def may_release(actor: Any, payout: Payout) -> bool:
    """Let one go, pay it early or try it again: finance, and never what they are paid themselves."""
    return bool(actor.has_role(FINANCE, ADMIN)) and payout.receiver_id != actor.pk


def assess(payout: Payout, now: datetime) -> bool:
    """Look at the platform's rules again and let the status follow; whether the payout may be sent.

    The payout is locked by the caller.
    """
    account = account_of(payout.receiver_id)
    found = reasons(payout, account, now)
    active = {hold.reason: hold.pk for hold in payout.holds.filter(released_at=None)}
    for reason in sorted(found - active.keys() - _overruled(payout, account)):
        PayoutHold.objects.create(payout=payout, reason=reason, created_at=now)
    gone = [active[reason] for reason in (active.keys() & AUTOMATIC) - found]
    if gone:
        PayoutHold.objects.filter(pk__in=gone).update(released_at=now)
    return follow(payout, now)


def reasons(payout: Payout, account: PayoutAccount | None, now: datetime) -> set[str]:
    """The platform's own reasons against sending a payout to ``account`` at ``now``."""
    found = set(_of_account(payout, account, now))
    if _is_new_host(payout, now):
        found.add(Reason.NEW_HOST.value)
    if _is_disputed(payout):
        found.add(Reason.DISPUTE.value)
    if payout.due_at <= now and not found & ACCOUNT_REASONS and _is_too_small(payout, account, now):
        found.add(Reason.BELOW_MINIMUM.value)
    return found


def _overruled(payout: Payout, account: PayoutAccount | None) -> set[str]:
    """The reasons that staff have let this payout go in spite of; for a change of account, of that very change."""
    changed_at = account.replaced_at if account else None
    by_staff = payout.holds.filter(released_by__isnull=False, reason__in=CAUTION)
    return {
        hold.reason
        for hold in by_staff
        if hold.reason != Reason.ACCOUNT_CHANGED or changed_at is None or hold.created_at >= changed_at
    }


def follow(payout: Payout, now: datetime) -> bool:
    """Let the status of a locked payout say whether it is held; whether it is not. Tells the receiver of a new hold."""
    held = payout.holds.filter(released_at=None).order_by("id").first()
    if payout.ops.filter(state__in=OPEN_OPS).exists():
        return False
    if held is not None and payout.status in (PayoutStatus.SCHEDULED, PayoutStatus.FAILED):
        move(payout, PayoutStatus.ON_HOLD)
        payout_notices.on_hold(payout, held.reason, now)
    elif held is None and payout.status == PayoutStatus.ON_HOLD:
        move(payout, PayoutStatus.SCHEDULED)
    return held is None


def move(payout: Payout, status: PayoutStatus, **changes: Any) -> None:
    """Set the status of a locked payout along its edges (or leave it) with what else changes. Raises: WrongState."""
    if payout.status != status:
        PAYOUT_TRANSITIONS.require(payout.status, status)
    for name, value in {"status": status.value, **changes}.items():
        setattr(payout, name, value)
    payout.save(update_fields=["status", *changes])


def reassess(receiver_id: int, now: datetime) -> None:
    """Look at all waiting payouts of a receiver again, whose account has changed. The receiver is held by the caller."""
    waiting = Payout.objects.filter(receiver_id=receiver_id, status__in=WAITING)
    for payout in waiting.select_for_update(no_key=True).order_by("id"):
        assess(payout, now)


def hold_for_folio(
    *, folio: Folio, reason: str, now: datetime, note: str = "", owner: User | None = None
) -> list[Payout]:
    """Hold every payout of a stay that is not sent yet; returns those that now wait. Inside a transaction.

    One that is on its way cannot be held. Again changes nothing.
    """
    lock(Folio.objects.all(), pk=folio.pk)
    held = []
    for payout in _waiting_of(folio):
        if not payout.holds.filter(reason=reason, released_at=None).exists():
            PayoutHold.objects.create(
                payout=payout, reason=reason, note=note[:500], owner=owner, created_at=now
            )
        if not follow(payout, now) and payout.status == PayoutStatus.ON_HOLD:
            held.append(payout)
    return held


def release_for_folio(*, folio: Folio, reason: str, now: datetime, by: User | None = None) -> list[Payout]:
    """End the holds of ``reason`` on a stay's payouts; returns those that nothing holds any more. Inside a transaction."""
    lock(Folio.objects.all(), pk=folio.pk)
    free = []
    for payout in _waiting_of(folio):
        ended = payout.holds.filter(reason=reason, released_at=None).update(released_at=now, released_by=by)
        if ended and follow(payout, now):
            free.append(payout)
    return free


@retrying
def hold(*, actor: Any, payout_id: int, reason: str, now: datetime) -> None:
    """Stop a payout until somebody lets it go. ``reason`` is for the staff; the receiver hears that it waits.

    Raises: NotFound, NotAllowed, Invalid (no reason), WrongState (sent, or on its way).
    """
    with transaction.atomic(durable=True):
        payout = locked(payout_id)
        access.require(actor, "payout.hold", payout)
        text = require_reason(reason)
        require_waiting(payout)
        PayoutHold.objects.create(
            payout=payout, reason=Reason.STAFF, note=text, owner_id=actor.pk, created_at=now
        )
        follow(payout, now)
        audit.record(actor=actor, action="payout.hold", subject=payout, now=now, reason=text)


@retrying
def release(*, actor: Any, payout_id: int, reason: str, now: datetime) -> None:
    """Let a held payout go: what staff hold, and rules that are only caution. Others stay, such as a missing account.

    Raises: NotFound, NotAllowed, Invalid (no reason), WrongState (sent, or on its way), NotHeld.
    """
    with transaction.atomic(durable=True):
        payout = locked(payout_id)
        access.require(actor, "payout.release", payout)
        text = require_reason(reason)
        require_waiting(payout)
        active = payout.holds.filter(released_at=None, reason__in=[*CAUTION, Reason.STAFF])
        released = sorted(active.values_list("reason", flat=True))
        if not released:
            raise NotHeld(extra={"state": payout.status})
        if active.filter(reason=Reason.STAFF, owner=None).exists():
            # It came back before: letting it go is trying it again.
            payout.needs_attention = False
            payout.save(update_fields=["needs_attention"])
        active.update(released_at=now, released_by_id=actor.pk)
        assess(payout, now)
        audit.record(
            actor=actor,
            action="payout.release",
            subject=payout,
            now=now,
            after={"released": released, "status": payout.status},
            reason=text,
        )


def locked(payout_id: int) -> Payout:
    """A payout that is held still, its receiver and its stay before it. Raises: NotFound."""
    where = Payout.objects.filter(pk=payout_id).values_list("receiver_id", "folio_id").first()
    if where is not None:
        hold_receiver(where[0])
        lock(Folio.objects.all(), pk=where[1])
    return lock(Payout.objects.select_related("receiver", "folio"), pk=payout_id)


def require_reason(reason: str) -> str:
    """What staff write for the audit log. Raises: Invalid."""
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    return reason.strip()[:500]


def require_waiting(payout: Payout) -> None:
    """Raises: WrongState when the payout was sent or is on its way."""
    if payout.status not in WAITING or payout.ops.filter(state__in=OPEN_OPS).exists():
        raise WrongState(extra={"state": payout.status})


def _waiting_of(folio: Folio) -> Iterable[Payout]:
    waiting = Payout.objects.filter(folio=folio, status__in=WAITING).order_by("id")
    return waiting.select_related("receiver").select_for_update(no_key=True, of=("self",))


def _of_account(payout: Payout, account: PayoutAccount | None, now: datetime) -> list[str]:
    if account is None or account.status in (PayoutAccount.Status.PENDING, PayoutAccount.Status.DISABLED):
        return [Reason.NO_ACCOUNT.value]
    found = []
    if account.status == PayoutAccount.Status.RESTRICTED or not _is_reachable(payout, account):
        found.append(Reason.ACCOUNT_RESTRICTED.value)
    wait = timedelta(hours=platform.get("payout_account_change_hours"))
    if account.replaced_at is not None and now < account.replaced_at + wait:
        found.append(Reason.ACCOUNT_CHANGED.value)
    return found


def _is_reachable(payout: Payout, account: PayoutAccount) -> bool:
    """Whether the account's provider is set up here and pays its currency, and there are rates into that."""
    currency = account.currency or payout.currency
    adapter = registry.configured().get(account.provider)
    has_rates = currency == payout.currency or {currency, payout.currency} <= fx.rates().keys()
    return isinstance(adapter, PaysOut) and adapter.pays(currency, account.country) and has_rates


def _is_new_host(payout: Payout, now: datetime) -> bool:
    days = platform.get("new_host_hold_days")
    if not days:
        return False
    paid = Payment.objects.filter(
        folio__host_id=payout.folio.host_id, kind=Payment.Kind.PAYMENT, completed_at__isnull=False
    )
    first = paid.order_by("completed_at").values_list("completed_at", flat=True).first()
    return first is None or now < first + timedelta(days=days)


def _is_disputed(payout: Payout) -> bool:
    return Dispute.objects.filter(payment__folio_id=payout.folio_id, status__in=OPEN_DISPUTES).exists()


def _is_too_small(payout: Payout, account: PayoutAccount | None, now: datetime) -> bool:
    """Whether all that is due to the receiver in this currency and that nothing else holds is too little to send."""
    if account is not None and in_account(payout, account)[0].minor < 1:
        return True
    home, major = platform.get("currency"), platform.get("payout_minimum")
    if not major:
        return False
    smallest = fx.exchange(Money(int(major.scaleb(exponent(home))), home), payout.currency)
    others = (
        Payout.objects.filter(
            receiver_id=payout.receiver_id, currency=payout.currency, status__in=WAITING, due_at__lte=now
        )
        .exclude(pk=payout.pk)
        .exclude(holds__in=PayoutHold.objects.filter(released_at=None).exclude(reason=Reason.BELOW_MINIMUM))
    )
    total = payout.amount_minor + int(others.aggregate(sum=Sum("amount_minor"))["sum"] or 0)
    return total < smallest.minor
