"""What must be true when the dust has settled: the provider's journal, our operations, the books, what people were told."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from django.db.models import Sum

from backend.bookings.models import Booking
from backend.jobs import books
from backend.notifications.models import Delivery, Notification
from backend.payments import ledger
from backend.payments.models import Dispute, LedgerEntry, MoneyOp, Payment, Payout, PayoutHold, SandboxRecord

Moved = tuple[str, str, int, str]
"""Money that a provider really moved: our key, the kind of the operation, minor units, currency."""

MOVING = ("charge", "capture", "refund", "payout", "reverse")
"""The kinds of operations that move money."""


def sandbox_journal() -> list[Moved]:
    """What the sandbox has carried out, of what moves money."""
    done = SandboxRecord.objects.filter(state="succeeded", kind__in=MOVING)
    return list(done.values_list("key", "kind", "amount_minor", "currency"))


def our_operations() -> list[Moved]:
    done = MoneyOp.objects.filter(state="succeeded", kind__in=MOVING)
    return [(str(pk), *rest) for pk, *rest in done.values_list("pk", "kind", "amount_minor", "currency")]


def differences(journal: list[Moved]) -> dict[str, Any]:
    """Where the provider's journal and our operations are not the same set; empty when they are."""
    theirs, ours = Counter(journal), Counter(our_operations())
    found = {
        "only with them": sorted((theirs - ours).elements()),
        "only with us": sorted((ours - theirs).elements()),
    }
    return {what: rows for what, rows in found.items() if rows}


def moved_too_much(journal: list[Moved]) -> Counter[str]:
    """Kind → how many times more the provider moved money of this kind than we ever asked for."""
    theirs = Counter(kind for _key, kind, _amount, _currency in journal)
    asked = Counter(MoneyOp.objects.filter(kind__in=MOVING).values_list("kind", flat=True))
    return theirs - asked


Holdings = dict[tuple[str, str], int]
"""(provider, currency) → what the provider really holds of ours, in minor units."""


def held_by_the_sandbox() -> Holdings:
    """What its journal comes to."""
    left: Counter[tuple[str, str]] = Counter()
    for _key, kind, amount, currency in sandbox_journal():
        left["sandbox", currency] += amount if kind in ("charge", "capture", "reverse") else -amount
    return dict(left)


def books_that_are_wrong(holdings: Holdings) -> dict[str, Any]:
    """Every way in which the books are wrong; empty when they are right."""
    wrong: dict[str, Any] = {
        finding.check.name: finding.violations for finding in books.check_books() if finding.count
    }
    balances = ledger.trial_balance()
    for (provider, currency), expected in holdings.items():
        left = balances.get((ledger.clearing(provider), currency), 0)
        if left != expected:
            wrong[f"clearing {provider} {currency}"] = (left, expected)
    for currency in {currency for _account, currency in balances}:
        total = sum(left for (_account, each), left in balances.items() if each == currency)
        if total:
            wrong[f"ledger {currency}"] = total
    open_ops = list(
        MoneyOp.objects.filter(state__in=["created", "sending", "unknown"]).values_list("kind", "state")
    )
    if open_ops:
        wrong["open"] = open_ops
    held = (
        LedgerEntry.objects.filter(account=ledger.GUEST_FUNDS)
        .values_list("folio")
        .annotate(sum=Sum("amount_minor"))
    )
    still = [folio for folio, left in held.order_by() if left]
    if still:
        wrong["held for guests of stays that are over"] = still
    return wrong


def lies() -> list[str]:
    """What somebody was told and is not so, or is so and nobody was told."""
    told: defaultdict[tuple[int, int], Counter[tuple[str, int]]] = defaultdict(Counter)
    for user, kind, data, params in Notification.objects.values_list("user_id", "kind", "data", "params"):
        if "booking_id" in data and kind in GUEST_KINDS:
            amount = params.get("amount", 0) if kind.startswith("payment.") else 0
            told[data["booking_id"], user][kind, amount] += 1
    found = []
    for booking in Booking.objects.select_related("folio").order_by("pk"):
        expected, allowed = _what_the_guest_should_know(booking)
        heard = told[booking.pk, booking.guest_id]
        if heard - expected - allowed or expected - heard:
            found.append(
                f"booking {booking.pk} {booking.status}: heard {dict(heard - expected - allowed)} too much,"
                f" {dict(expected - heard)} not"
            )
    unsent = Delivery.objects.exclude(state="sent").values_list("notification__kind", "state", "error")
    found += [f"mail about {kind} {state}: {error}" for kind, state, error in unsent]
    return found


GUEST_KINDS = (
    *("booking.confirmed", "booking.canceled", "booking.completed", "booking.expired"),
    *("payment.completed", "payment.refunded", "payment.refund_failed", "payment.failed"),
)
"""What a guest hears about money and the stay that the provider's journal and the timeline can be held against."""


def _what_the_guest_should_know(
    booking: Booking,
) -> tuple[Counter[tuple[str, int]], Counter[tuple[str, int]]]:
    """What the guest must have heard, and what may have been said besides: of a refund that came back, that it was made."""
    events = Counter(booking.transitions.values_list("event", flat=True))
    expected: Counter[tuple[str, int]] = Counter()
    allowed: Counter[tuple[str, int]] = Counter()
    for event in ("confirmed", "canceled", "completed", "expired"):
        if events[event]:
            expected[f"booking.{event}", 0] = 1
    rows = Payment.objects.filter(folio=booking.folio)
    if events["confirmed"]:
        taken = rows.exclude(completed_at=None).get(kind="payment")
        expected["payment.completed", taken.charged_minor] = 1
    for refund in rows.filter(kind="refund"):
        if refund.status == "completed":
            expected["payment.refunded", refund.charged_minor] += 1
        elif refund.status == "failed":
            expected["payment.refund_failed", refund.charged_minor] += 1
            allowed["payment.refunded", refund.charged_minor] += 1
    for failed in rows.filter(kind="payment", status="failed"):
        # One that was never sent, or was set aside and let go, is none that failed: nobody is told.
        refused = failed.ops.filter(state="failed").exclude(error_code="abandoned").exclude(kind="void")
        if refused.exists():
            expected["payment.failed", failed.charged_minor] += 1
    return expected, allowed


def disputes_that_are_wrong(verdicts: dict[tuple[str, str], str]) -> dict[str, Any]:
    """Where the banks' verdicts (by provider and reference) and ours are not the same; and hosts who were not told once."""
    ours = {
        (each.provider, each.provider_ref): each for each in Dispute.objects.select_related("payment__folio")
    }
    wrong: dict[str, Any] = {
        " ".join(name): (ours[name].status if name in ours else "unknown", verdict)
        for name, verdict in verdicts.items()
        if name not in ours or ours[name].status != verdict
    }
    wrong |= {" ".join(name): "not theirs" for name in ours if name not in verdicts}
    for name, dispute in ours.items():
        told = Notification.objects.filter(
            user=dispute.payment.folio.host_id, object_key__startswith=f"dispute:{dispute.pk}:"
        )
        heard = list(told.order_by("id").values_list("kind", flat=True))
        if heard not in (["dispute.opened", f"dispute.{dispute.status}"], [f"dispute.{dispute.status}"]):
            wrong[" ".join(name)] = heard
    return wrong


LEAST_PAID = {"KES": 100}
"""Where less than so many minor units is carried over to the next payout: M-Pesa moves whole shillings."""


def payouts_that_are_wrong() -> list[str]:
    """Stays that were had and whose host was not paid exactly once, and hosts to whom something is still owed."""
    found = []
    for booking in Booking.objects.filter(status="completed"):
        payouts = Payout.objects.filter(folio=booking.folio)
        shown = list(payouts.values_list("status", "gross_minor", "netted_minor"))
        if len(shown) != 1 or shown[0][0] not in ("sent", "paid"):
            held = PayoutHold.objects.filter(payout__in=payouts, released_at=None)
            why = list(held.values_list("reason", "payout__receiver__payout_accounts__status"))
            found.append(f"booking {booking.pk}: payouts {shown} {why}")
    owed = LedgerEntry.objects.filter(account=ledger.HOST_PAYABLE).values_list("holder", "currency")
    for holder, currency, left in owed.annotate(sum=Sum("amount_minor")).order_by():
        if -left >= LEAST_PAID.get(currency, 1):
            found.append(f"host {holder}: {-left} {currency} still owed")
    return found
