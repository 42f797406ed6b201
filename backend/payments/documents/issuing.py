"""Issue documents: inside the transaction that records the money which they are about, once for each, for ever.

An invoice for the guest over each payment for a stay, a receipt for each payment, a credit note for each refund, a
statement for each month of a host. When a changed stay costs more, the difference is paid and has an invoice of its
own: it shows the whole price in force and takes off what was invoiced before. When it costs less, the refund has its
credit note. So invoices less credit notes are always what the guest has paid and not got back, and no document is
ever written anew. A payment that came too late to buy anything has a receipt and no invoice; the credit note of its
refund then names the receipt.

What is issued is rendered after the commit, by a job (``storing``).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.accounts.models import Profile, User
from backend.core import platform
from backend.core.db import constraint_errors
from backend.core.errors import Conflict
from backend.notifications.rendering import supported
from backend.payments.documents import contents, numbering
from backend.payments.documents.contents import Common, Earlier, Subject
from backend.payments.models import Document, DocumentKind, Folio, Payment
from backend.payments.statements import Statement

RENDER_JOB = "payments.render_documents"
"""The job that renders and stores documents; it stands in ``payments.tasks``."""

COUNTS = (DocumentKind.INVOICE, DocumentKind.CREDIT_NOTE)
"""The kinds that count against the price of a stay."""


class IssuedBefore(Conflict):
    """Somebody has issued the same document at the same time."""

    code = "issued_before"
    title = _("This document is issued already.")


class MonthNotOver(Conflict):
    """A statement is issued when nothing can come to its month any more."""

    code = "month_not_over"
    title = _("This month is not over yet.")


def issue_invoice(*, payment: Payment, subject: Subject, now: datetime) -> Document:
    """The invoice over ``payment``, which is taken; again it gives the same one. The caller holds the folio.

    ``subject.lines`` are the lines in force, with what the payment was for.
    """
    found = existing(payment, DocumentKind.INVOICE)
    if found is not None:
        return found
    data = contents.invoice(_common(payment.folio.guest), subject, payment, _earlier(payment.folio))
    return _about(payment, DocumentKind.INVOICE, data, now)


def issue_receipt(*, payment: Payment, subject: Subject, now: datetime) -> Document:
    """The receipt of ``payment``, which is taken; again it gives the same one. The caller holds the folio."""
    found = existing(payment, DocumentKind.RECEIPT)
    if found is not None:
        return found
    invoice = existing(payment, DocumentKind.INVOICE)
    data = contents.receipt(
        _common(payment.folio.guest),
        subject,
        payment,
        invoice=invoice.reference if invoice else "",
        paid_minor=_paid(payment.folio),
    )
    return _about(payment, DocumentKind.RECEIPT, data, now)


def issue_credit_note(
    *, refund: Payment, subject: Subject, cause: str, tax_due_minor: int, now: datetime
) -> Document:
    """The credit note over ``refund``, which is given back; again it gives the same one. The caller holds the folio.

    A refund that is made again, since the first one came back, has the first one's: the guest was credited once.
    The note corrects the invoice over the payment that the refund is of, or its receipt where there is no invoice.
    ``cause`` is the word that the refund was written down with; ``tax_due_minor`` the taxes that the guest still owes
    after it: what was invoiced beyond them is in this note, as far as its amount goes.
    """
    found = _credited(refund)
    if found is not None:
        return found
    paid = refund.parent
    assert paid is not None, "a refund has a parent by constraint"  # noqa: S101
    invoice = existing(paid, DocumentKind.INVOICE)
    corrected = invoice or existing(paid, DocumentKind.RECEIPT)
    invoiced = sum(one.tax_minor for one in _earlier(refund.folio))
    data = contents.credit_note(
        _common(refund.folio.guest),
        subject,
        refund,
        cause=cause,
        corrects=_corrected(corrected),
        tax_minor=min(max(invoiced - tax_due_minor, 0), refund.amount_minor) if invoice else 0,
    )
    return _about(refund, DocumentKind.CREDIT_NOTE, data, now, corrects=corrected)


@transaction.atomic
def issue_statement(*, host: User, statement: Statement, now: datetime) -> Document:
    """The document of a host's month in one currency; again it gives the first one.

    Raises: MonthNotOver, since what stands on it would still change.
    """
    following = date(statement.month.year + statement.month.month // 12, statement.month.month % 12 + 1, 1)
    if now.astimezone(UTC).date() < following:
        raise MonthNotOver
    mine = Document.objects.filter(
        kind=DocumentKind.STATEMENT, recipient=host, month=statement.month, currency=statement.currency
    )
    found = mine.first()
    if found is not None:
        return found
    data = contents.statement(_common(host), statement)
    try:
        return _issue(
            DocumentKind.STATEMENT, host, data, now, currency=statement.currency, month=statement.month
        )
    except IssuedBefore:
        return mine.get()


def existing(payment: Payment, kind: DocumentKind) -> Document | None:
    """The document of a kind about a payment or refund."""
    return Document.objects.filter(payment=payment, kind=kind).first()


def _about(
    payment: Payment, kind: DocumentKind, data: dict[str, Any], now: datetime, **fields: Any
) -> Document:
    """A document of the guest about a payment or refund."""
    folio = payment.folio
    return _issue(
        kind, folio.guest, data, now, currency=payment.currency, payment=payment, folio=folio, **fields
    )


def _issue(
    kind: DocumentKind, recipient: User, data: dict[str, Any], now: datetime, *, currency: str, **fields: Any
) -> Document:
    """Number and write a document, and have it rendered once that is committed. Raises: IssuedBefore."""
    language, issuer, year = language_of(recipient), data["issuer"]["code"], numbering.year_of(now)
    second = str(platform.get("law_language"))
    once = {"documents_once_per_payment": IssuedBefore, "documents_one_statement_a_month": IssuedBefore}
    with constraint_errors(once):
        number = numbering.take(issuer, kind, year)
        document = Document.objects.create(
            kind=kind,
            issuer=issuer,
            year=year,
            number=number,
            reference=numbering.text(issuer, kind, year, number),
            recipient=recipient,
            language=language,
            law_language=second if second != language else "",
            currency=currency,
            total_minor=data["total_minor"],
            data=data,
            issued_at=now,
            **fields,
        )
    app.configure_task(RENDER_JOB, queue="documents").defer(document_ids=[document.pk])
    return document


def language_of(recipient: User) -> str:
    """The language that somebody's documents are issued in: what they prefer, else the platform's."""
    return supported(Profile.objects.filter(pk=recipient.pk).values_list("language", flat=True).first() or "")


def _common(recipient: User) -> Common:
    return Common(recipient=recipient.get_full_name())


def _earlier(folio: Folio) -> list[Earlier]:
    """What was invoiced and credited for a stay, and what is on its way back of it and will be credited, in order."""
    issued = Document.objects.filter(folio=folio, kind__in=COUNTS).select_related("corrects").order_by("id")
    found = [
        Earlier(one.reference, one.kind, sign * one.total_minor, sign * one.data["tax_minor"])
        for one in issued
        if (sign := _sign(one))
    ]
    coming = Payment.objects.filter(
        folio=folio,
        kind=Payment.Kind.REFUND,
        status=Payment.Status.PENDING,
        parent__documents__kind=DocumentKind.INVOICE,
    )
    found += [
        Earlier(one.reference, "refund", -one.amount_minor)
        for one in coming.order_by("id")
        if _credited(one) is None
    ]
    return found


def _credited(refund: Payment) -> Document | None:
    """The credit note of a refund, or of the one that it makes again."""
    one: Payment | None = refund
    while one is not None:
        found = existing(one, DocumentKind.CREDIT_NOTE)
        if found is not None:
            return found
        one = one.retry_of
    return None


def _sign(document: Document) -> int:
    """1 for an invoice, -1 for what takes some of one back; 0 for a credit note that has nothing to do with the price."""
    if document.kind == DocumentKind.INVOICE:
        return 1
    return -1 if document.corrects and document.corrects.kind == DocumentKind.INVOICE else 0


def _corrected(document: Document | None) -> dict[str, Any] | None:
    if document is None:
        return None
    return {
        "reference": document.reference,
        "kind": document.kind,
        "issued_on": document.issued_at.date().isoformat(),
        "total_minor": document.total_minor,
        "taxes": document.data.get("taxes", []),
    }


def _paid(folio: Folio) -> int:
    """What was taken for a stay and not given back, in minor units."""
    taken = Payment.objects.filter(folio=folio, kind=Payment.Kind.PAYMENT).exclude(completed_at=None)
    return sum(row.amount_minor - row.refunded_minor for row in taken)
