"""What hosts are paid: a payout for whatever of a stay is owed to somebody, written down as soon as it is owed, and the
money operation that pays it once it is due and nothing holds it.

None of this talks to a provider: whoever settles bookings sends the operations and records what came of them
(``payout_results``). The order of locks: receiver, stays by id, payout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.core import access, platform
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, DomainError
from backend.core.money import Money
from backend.payments import intents, payout_holds, payout_netting, payout_notices
from backend.payments.models import Folio, MoneyOp, Payout, PayoutAccount, PayoutHold
from backend.payments.payout_holds import WAITING, hold, hold_for_folio, release, release_for_folio
from backend.payments.payout_receivers import account_of, hold_receiver, in_account
from backend.payments.states import OPEN_OPS, PayoutStatus

__all__ = [
    "Prepared",
    "hold",
    "hold_for_folio",
    "pay_now",
    "prepare_due",
    "release",
    "release_for_folio",
    "retry",
    "schedule",
    "schedule_rest",
]

CAME_BACK = "came back"
"""The note of the hold on what is owed again after a payout came back."""

log = structlog.get_logger(__name__)


class NothingToRetry(Conflict):
    """The payout has not failed."""

    code = "nothing_to_retry"
    title = _("This payout has not failed.")


@dataclass(slots=True)
class Prepared:
    """What a round of payouts did: the operations to send now, and how many were netted whole, held or left."""

    ops: list[MoneyOp] = field(default_factory=list)
    netted: int = 0
    held: int = 0
    left: int = 0


def schedule(*, folio: Folio, due_at: datetime, now: datetime, came_back: bool = False) -> list[Payout]:
    """Write down a payout for each to whom the stay owes more than what is scheduled already. Inside a transaction.

    What no provider could pay by itself is left for the next payout. ``due_at`` is when it may be sent at the earliest. Again writes nothing. What ``came_back`` waits for the staff,
    so that it does not go to and fro.
    """
    folio = lock(Folio.objects.all(), pk=folio.pk)
    made = []
    for standing in payout_netting.standings(folio):
        if standing.minor >= 0 or payout_netting.is_crumb(standing):
            continue
        theirs = Payout.objects.filter(folio=folio, receiver_id=standing.holder_id)
        payout = Payout.objects.create(
            reference=intents.reference("T"),
            receiver_id=standing.holder_id,
            folio=folio,
            part=(theirs.aggregate(last=Max("part"))["last"] or 0) + 1,
            gross_minor=-standing.minor,
            amount_minor=-standing.minor,
            currency=folio.currency,
            due_at=due_at,
            needs_attention=came_back,
            created_at=now,
        )
        if came_back:
            PayoutHold.objects.create(
                payout=payout, reason=PayoutHold.Reason.STAFF, note=CAME_BACK, created_at=now
            )
        payout_holds.assess(payout, now)
        made.append(payout)
    return made


def schedule_rest(*, now: datetime) -> dict[str, int]:
    """Write down payouts for what is owed and that nothing else would bring: a penalty that was waived after it was
    netted, a dispute that was won after all."""
    made = 0
    for folio_id in sorted({standing.folio_id for standing in payout_netting.uncovered()}):
        with transaction.atomic():
            made += len(schedule(folio=Folio(pk=folio_id), due_at=now, now=now))
    return {"scheduled": made}


def prepare_due(*, now: datetime) -> Prepared:
    """Write down the operations of all payouts that are due at ``now`` (UTC) and that nothing holds.

    Each in a transaction of its own; what somebody else holds is left for the next round, and everything while the
    sending of payouts is switched off.
    """
    done = Prepared()
    if not platform.is_on("payouts"):
        return done
    for payout_id in list(_due(now).values_list("pk", flat=True)):
        try:
            _prepare(payout_id, done, now)
        except DomainError as error:
            log.warning("payouts.left", payout=payout_id, code=error.code)
            done.left += 1
    return done


def _due(now: datetime) -> Any:
    """The payouts worth a look: due, not under way, and not held by what does not end by itself."""
    active = PayoutHold.objects.filter(payout=OuterRef("pk"), released_at=None)
    usable = PayoutAccount.objects.filter(
        user=OuterRef("receiver"), is_default=True, status=PayoutAccount.Status.ACTIVE
    )
    account_reasons = payout_holds.ACCOUNT_REASONS
    lasting = active.exclude(reason__in=[*payout_holds.PASSING, *account_reasons])
    free = Q(status__in=[PayoutStatus.SCHEDULED, PayoutStatus.FAILED])
    held = Q(status=PayoutStatus.ON_HOLD) & ~Exists(lasting)
    without_account = Exists(active.filter(reason__in=account_reasons)) & ~Exists(usable)
    underway = MoneyOp.objects.filter(payout=OuterRef("pk"), state__in=OPEN_OPS)
    return (
        Payout.objects.filter(free | held & ~without_account, due_at__lte=now, needs_attention=False)
        .exclude(Exists(underway))
        .order_by("due_at", "id")
    )


@retrying
def _prepare(payout_id: int, done: Prepared, now: datetime) -> None:
    with transaction.atomic(durable=True):
        receiver_id, folio_id = Payout.objects.values_list("receiver_id", "folio_id").get(pk=payout_id)
        hold_receiver(receiver_id)
        stays = payout_netting.lock_stays(folio_id, receiver_id)
        payout = lock(Payout.objects.select_related("receiver", "folio"), pk=payout_id)
        is_underway = payout.ops.filter(state__in=OPEN_OPS).exists()
        if payout.status not in WAITING or payout.due_at > now or payout.needs_attention or is_underway:
            return
        if not payout_holds.assess(payout, now):
            done.held += 1
            return
        payout_holds.move(payout, PayoutStatus.SCHEDULED)
        payout_netting.net(payout, stays, now)
        payout_netting.carry(payout, stays, now)
        account = account_of(receiver_id)
        assert account is not None, "a payout without an account is held"  # noqa: S101
        amount, rate = in_account(payout, account)
        if rate is None:
            payout_netting.leave(payout, payout.amount_minor - amount.minor)
        if payout.amount_minor:
            op = _intend(payout, account, amount, rate, now)
        else:
            _close_netted(payout, now)
    if payout.amount_minor:
        done.ops.append(op)
    else:
        done.netted += 1


def _close_netted(payout: Payout, now: datetime) -> None:
    """All of it was taken for debts: there is nothing to send."""
    payout_holds.move(
        payout,
        PayoutStatus.PAID,
        paid_minor=0,
        paid_currency=payout.currency,
        sent_at=now,
        paid_at=now,
    )
    payout_notices.netted(payout, now)


def _intend(
    payout: Payout, account: PayoutAccount, amount: Money, rate: Decimal | None, now: datetime
) -> MoneyOp:
    """Write down what the provider of the receiver's account is asked to pay, in the account's currency."""
    payout.account, payout.rate = account, rate
    payout.paid_minor, payout.paid_currency = amount.minor, amount.currency
    payout.save(update_fields=["account", "rate", "paid_minor", "paid_currency"])
    return MoneyOp.objects.create(
        payout=payout,
        kind=MoneyOp.Kind.PAYOUT,
        provider=account.provider,
        amount_minor=amount.minor,
        currency=amount.currency,
        created_at=now,
        updated_at=now,
    )


@retrying
def retry(*, actor: Any, payout_id: int, reason: str, now: datetime) -> None:
    """Try a payout again that failed for good or came back, from ``now`` on, with new tries.

    Raises: NotFound, NotAllowed, Invalid (no reason), WrongState (sent, or on its way), NothingToRetry.
    """
    with transaction.atomic(durable=True):
        payout = payout_holds.locked(payout_id)
        access.require(actor, "payout.release", payout)
        text = payout_holds.require_reason(reason)
        payout_holds.require_waiting(payout)
        if not payout.needs_attention and payout.status != PayoutStatus.FAILED:
            raise NothingToRetry(extra={"state": payout.status})
        payout.needs_attention, payout.attempts, payout.due_at = False, 0, min(payout.due_at, now)
        payout.save(update_fields=["needs_attention", "attempts", "due_at"])
        payout.holds.filter(reason=PayoutHold.Reason.STAFF, owner=None, released_at=None).update(
            released_at=now, released_by_id=actor.pk
        )
        if payout.status == PayoutStatus.FAILED:
            payout_holds.move(payout, PayoutStatus.SCHEDULED)
        payout_holds.assess(payout, now)
        audit.record(actor=actor, action="payout.retry", subject=payout, now=now, reason=text)


@retrying
def pay_now(*, actor: Any, payout_id: int, reason: str, now: datetime) -> None:
    """Let a payout be due at ``now`` instead of later. What holds it still holds it.

    Raises: NotFound, NotAllowed, Invalid (no reason), WrongState (sent, on its way, or due already).
    """
    with transaction.atomic(durable=True):
        payout = payout_holds.locked(payout_id)
        access.require(actor, "payout.release", payout)
        text = payout_holds.require_reason(reason)
        payout_holds.require_waiting(payout)
        if payout.due_at <= now:
            raise payout_holds.WrongState(extra={"state": payout.status})
        before, payout.due_at = payout.due_at, now
        payout.save(update_fields=["due_at"])
        payout_holds.assess(payout, now)
        audit.record(
            actor=actor,
            action="payout.pay_now",
            subject=payout,
            now=now,
            before={"due_at": before.isoformat()},
            after={"due_at": now.isoformat()},
            reason=text,
        )
