"""What happens next with money by itself, and the one thing that a person should do: in words, from the rows' states."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.timesince import timeuntil
from django.utils.translation import gettext as _

from admin_site.frame.display import label
from backend.bookings import dispute_answers
from backend.payments.models import Dispute, DisputeAnswer, Payment, Payout, PayoutHold
from backend.payments.payout_holds import ACCOUNT_REASONS, CAUTION
from backend.payments.refunds import OPEN_DISPUTES
from backend.payments.sending import KEY_REMEMBERED
from backend.payments.states import OPEN_OPS, OpState, PaymentStatus, PayoutStatus

SOON = timedelta(hours=72)
"""A dispute whose answer is due within this is urgent."""


def of_operation(state: str, since: datetime | None, now: datetime) -> str:
    """What the reconciler does next with an operation that has no outcome."""
    if state == OpState.CREATED:
        return _("It is sent within the next minute.")
    if since is not None and now - since > KEY_REMEMBERED:
        return _("The provider is asked by name what became of it before anything is sent again.")
    return _(
        "It is sent again under the same key within the next minute; the provider moves it once at most."
    )


def of_payment(payment: Payment, now: datetime) -> str:
    """The one next step of a payment or a refund."""
    op = payment.ops.filter(state__in=OPEN_OPS).order_by("-created_at").first()
    if op is not None and (op.state == OpState.UNKNOWN or op.attempts > 1):
        return _("Wait: the outcome is unknown.") + " " + of_operation(op.state, op.created_at, now)
    if payment.kind == Payment.Kind.REFUND:
        return _of_refund(payment)
    dispute = payment.disputes.filter(status__in=OPEN_DISPUTES).order_by("evidence_due_at").first()
    if dispute is not None and dispute.status == Dispute.Status.NEEDS_RESPONSE:
        return _("Answer the dispute: without an answer in time the money is lost.")
    if dispute is not None:
        return _("Wait: the guest's bank looks at the dispute. What it holds cannot be refunded.")
    if payment.status == PaymentStatus.PENDING:
        if payment.authorized_at is not None:
            return _("Nothing: it is set aside, and taken when the host accepts.")
        return _(
            "Wait for the guest: the payment was begun and not finished. The hold on the nights runs out by itself."
        )
    if payment.status == PaymentStatus.FAILED:
        return _("Nothing: no money was taken. The guest may try again.")
    if payment.status == PaymentStatus.REFUNDED:
        return _("Nothing: all of it has gone back to the guest.")
    return _("Nothing: the money is here. It goes to the host when it is due.")


def of_payout(payout: Payout, held_for: str, now: datetime) -> str:
    """The one next step of a payout; ``held_for`` is the oldest reason that holds it."""
    if payout.needs_attention:
        return _(
            "Ask the receiver for another account, then try it again: nothing happens by itself any more."
        )
    if payout.status == PayoutStatus.ON_HOLD:
        return what_ends(held_for)
    if payout.status == PayoutStatus.FAILED:
        return _("Wait: it is tried again by itself.")
    if payout.status == PayoutStatus.SCHEDULED:
        if payout.due_at > now:
            return _("Wait: it is sent by itself when it is due.")
        return _("Wait: it is sent within a minute.")
    if payout.status == PayoutStatus.SENT:
        return _("Wait: the provider has it. Banks take one to five days.")
    if payout.status == PayoutStatus.REVERSED:
        return _("Nothing here: it came back, and what is owed still is a payout of its own.")
    return _("Nothing: it has arrived.")


def what_ends(reason: str) -> str:
    """What ends a hold."""
    if reason in ACCOUNT_REASONS:
        return _("It goes by itself once the host has a working account.")
    if reason == PayoutHold.Reason.DISPUTE:
        return _("It goes by itself when the bank has decided.")
    if reason in CAUTION:
        return _("It goes by itself as time goes by; release it earlier if it is safe.")
    return _("Only a person lets it go: look at the note, then release it.")


def _of_refund(refund: Payment) -> str:
    if refund.status == PaymentStatus.PENDING:
        return _("Wait: it is on its way. Banks take five to ten days.")
    if refund.status == PaymentStatus.FAILED:
        again = Payment.objects.filter(retry_of=refund).first()
        if again is not None:
            return _("Nothing here: it was made again as {reference}.").format(reference=again.reference)
        return _("Make it again: it did not reach the guest, who is owed it still.")
    return _(
        "Nothing: the provider has sent it. Tell the guest the day and the provider's reference; banks take five to ten days."
    )


def of_dispute(dispute: Dispute, now: datetime) -> str:
    """The one next step of a dispute."""
    if dispute.status == Dispute.Status.UNDER_REVIEW:
        return _("Wait: the bank decides, which takes weeks. Its webhook tells us, and we ask each hour.")
    if dispute.status != Dispute.Status.NEEDS_RESPONSE:
        return _("Nothing: the bank has decided.")
    if dispute.evidence_due_at is not None and dispute.evidence_due_at <= now:
        return _("Nothing can be sent any more: the time is over, and the bank decides without us.")
    if not dispute_answers.takes(dispute, DisputeAnswer.Kind.EVIDENCE):
        return _("Answer it on the provider's own page: it takes no evidence from here.")
    return _("Read the evidence, then submit it, or accept the dispute where the guest is right.")


def time_left(dispute: Dispute, now: datetime) -> str:
    """How long a dispute can still be answered."""
    if dispute.status != Dispute.Status.NEEDS_RESPONSE:
        return "–"
    if dispute.evidence_due_at is None:
        return _("no date is named")
    if dispute.evidence_due_at <= now:
        return label(_("too late"), "danger")
    is_soon = dispute.evidence_due_at - now < SOON
    return label(timeuntil(dispute.evidence_due_at, now, depth=2), "danger" if is_soon else "warning")


def answered(dispute: Dispute, answer: DisputeAnswer | None) -> str:
    """How our answer to a dispute stands."""
    if answer is not None:
        colour = {"sent": "success", "refused": "danger"}.get(answer.state, "warning")
        return label(f"{answer.get_kind_display()}: {answer.get_state_display()}", colour)
    if dispute.status != Dispute.Status.NEEDS_RESPONSE:
        return "–"
    return label(_("note kept, not sent") if dispute.note else _("none yet"), "warning")
