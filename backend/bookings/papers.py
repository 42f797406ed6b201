"""The papers of a stay: what its invoice, receipts and credit notes say, issued as money moves, found again later.

Called in the transaction that records the money, with the booking held. Which document there is for what, and that
each is issued once, is ``payments.documents.issuing``'s.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from backend.accounts.models import ADMIN, FINANCE
from backend.bookings.models import Booking
from backend.bookings.sentences import describe
from backend.bookings.states import BookingStatus
from backend.bookings.steps import hold_still
from backend.core import access
from backend.core.access import SYSTEM
from backend.core.db import lock, retrying
from backend.core.errors import Conflict
from backend.payments import folios
from backend.payments.documents import issuing
from backend.payments.documents.contents import TAX, Line, Subject, Words
from backend.payments.models import Document, DocumentKind, Folio, FolioLine, MoneyOp, Payment

LANGUAGES = [code for code, _name in settings.LANGUAGES]


class NotPaid(Conflict):
    """There is no document of a payment that was not made."""

    code = "not_paid"
    title = _("This stay is not paid yet.")


@access.rule("booking.papers")
def may_read(actor: Any, booking: Booking) -> bool:
    """Its parties, and staff who account for money: names and addresses stand on papers, which support sees masked."""
    return actor.pk in (booking.guest_id, booking.host_id) or actor.has_role(FINANCE, ADMIN)


def paid(booking: Booking, payment: Payment, *, now: datetime, sold: bool = True) -> list[Document]:
    """Issue what a payment that was just taken is due: its invoice and its receipt.

    ``sold`` is false of money that came too late to buy anything: then there is a receipt only.
    """
    kinds = [DocumentKind.INVOICE, DocumentKind.RECEIPT] if sold else [DocumentKind.RECEIPT]
    _take_hold(booking, payment)
    return issuing.issue_for(payment=payment, kinds=kinds, subject=subject_of(booking), now=now)


def refunded(booking: Booking, op: MoneyOp, *, now: datetime) -> list[Document]:
    """Issue the credit note of a refund that was just made. One that is made again has the first one's."""
    subject = subject_of(booking)
    _take_hold(booking, op.of_payment)
    note = issuing.issue_credit_note(
        refund=op.of_payment,
        subject=subject,
        cause=str(op.options.get("cause", "")),
        tax_due_minor=_tax_due(booking, subject),
        now=now,
    )
    return [note]


def document_of(*, actor: Any, booking: Booking, kind: DocumentKind, now: datetime) -> Document:
    """The newest invoice or receipt of a booking.

    What was paid before documents were issued gets them now. Raises: NotAllowed, NotPaid.
    """
    access.require(actor, "booking.papers", booking)
    mine = Document.objects.filter(folio_id=booking.folio_id, kind=kind).order_by("-id")
    found = mine.first()
    if found is None and _taken(booking).exists():
        _catch_up(booking.pk, now=now)
        found = mine.first()
    if found is None:
        raise NotPaid
    return found


@retrying
def _catch_up(booking_id: int, *, now: datetime) -> None:
    with transaction.atomic(durable=True):
        booking = hold_still(SYSTEM, booking_id)
        lock(Folio.objects.all(), pk=booking.folio_id)
        for payment in _taken(booking).order_by("id"):
            paid(booking, payment, now=now, sold=booking.confirmed_at is not None)


def subject_of(booking: Booking) -> Subject:
    """What documents say of a booking: the stay, and the guest's lines in force."""
    lines = folios.in_force(FolioLine.objects.filter(folio_id=booking.folio_id).order_by("position"))
    return Subject(
        reference=booking.reference,
        listing=booking.listing.title,
        place=booking.listing.location,
        host=booking.host.get_short_name(),
        check_in=booking.check_in,
        check_out=booking.check_out,
        guests=booking.guests,
        lines=tuple(_line(line) for line in lines if line.side == FolioLine.GUEST),
    )


def _take_hold(booking: Booking, payment: Payment) -> None:
    """Let the payment's folio and guest be those that are held with the booking: nothing of them is read again."""
    payment.folio = booking.folio
    payment.folio.guest = booking.guest


def _taken(booking: Booking) -> Any:
    payments = Payment.objects.filter(folio_id=booking.folio_id, kind=Payment.Kind.PAYMENT)
    return payments.exclude(completed_at=None)


def _line(line: FolioLine) -> Line:
    inputs = line.rule.get("inputs", {}) if line.code == TAX else {}
    return Line(
        code=line.code,
        words=_words(line),
        quantity=line.quantity,
        unit_minor=line.unit_minor,
        amount_minor=line.amount_minor,
        percent=inputs.get("percent"),
        base_minor=inputs.get("base_minor"),
    )


def _words(line: FolioLine) -> Words:
    """The line's sentence in every language that we speak."""
    words = {}
    for language in LANGUAGES:
        with override(language):
            words[language] = describe(line.code, line.quantity, line.rule)
    return words


def _tax_due(booking: Booking, subject: Subject) -> int:
    """The taxes that the guest still owes, in minor units.

    Of a canceled stay those that were kept; else those of the price, or of as much of it as was not given back.
    """
    if booking.status == BookingStatus.CANCELED:
        return booking.taxes_kept_minor or 0
    back = Payment.objects.filter(folio_id=booking.folio_id, kind=Payment.Kind.REFUND)
    left = sum(row.amount_minor for row in _taken(booking))
    left -= sum(row.amount_minor for row in back.exclude(status=Payment.Status.FAILED))
    if left >= subject.total_minor:
        return subject.tax_minor
    return round(Fraction(subject.tax_minor * left, subject.total_minor))
