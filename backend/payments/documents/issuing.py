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

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.accounts.models import User
from backend.core import platform
from backend.core.db import constraint_errors, insert
from backend.core.errors import Conflict
from backend.notifications.rendering import supported
from backend.payments.documents import contents, numbering
from backend.payments.documents.contents import Common, Subject
from backend.payments.documents.shelf import Shelf
from backend.payments.models import Document, DocumentKind, Payment
from backend.payments.statements import Statement

RENDER_JOB = "payments.render_documents"
"""The job that renders and stores documents; it stands in ``payments.tasks``."""


class IssuedBefore(Conflict):
    """Somebody has issued the same document at the same time."""

    code = "issued_before"
    title = _("This document is issued already.")


class MonthNotOver(Conflict):
    """A statement is issued when nothing can come to its month any more."""

    code = "month_not_over"
    title = _("This month is not over yet.")


ONCE = {"documents_once_per_payment": IssuedBefore, "documents_one_statement_a_month": IssuedBefore}


def issue_for(
    *, payment: Payment, kinds: Sequence[DocumentKind], subject: Subject, now: datetime
) -> list[Document]:
    """The invoice or the receipt or both of ``payment``, which is taken; again it gives the same ones.

    ``subject.lines`` are the lines in force, with what the payment was for. The caller holds the folio; where it does
    not, rivals may meet. Raises: IssuedBefore, with which the transaction is lost.
    """
    shelf = Shelf.of(payment.folio)
    found = {kind: document for kind in kinds if (document := shelf.about(payment.pk, kind))}
    drafts = _drafts(shelf, payment, [kind for kind in kinds if kind not in found], subject, now)
    if drafts:
        with constraint_errors(ONCE, savepoint=False):
            Document.objects.bulk_create(drafts.values())
        _render_later(*drafts.values())
    return [found.get(kind) or drafts[kind] for kind in kinds]


def issue_credit_note(
    *, refund: Payment, subject: Subject, cause: str, tax_due_minor: int, now: datetime
) -> Document:
    """The credit note over ``refund``, which is given back; again it gives the same one. The caller holds the folio.

    A refund that is made again, since the first one came back, has the first one's: the guest was credited once.
    The note corrects the invoice over the payment that the refund is of, or its receipt where there is no invoice.
    ``cause`` is the word that the refund was written down with; ``tax_due_minor`` the taxes that the guest still owes
    after it: what was invoiced beyond them is in this note, as far as its amount goes.
    """
    shelf = Shelf.of(refund.folio)
    found = shelf.credited(refund)
    if found is not None:
        return found
    invoice = shelf.about(refund.parent_id, DocumentKind.INVOICE)
    corrected = invoice or shelf.about(refund.parent_id, DocumentKind.RECEIPT)
    invoiced = sum(one.tax_minor for one in shelf.earlier())
    data = contents.credit_note(
        _common(refund.folio.guest),
        subject,
        refund,
        cause=cause,
        corrects=_corrected(corrected),
        tax_minor=min(max(invoiced - tax_due_minor, 0), refund.amount_minor) if invoice else 0,
    )
    number = _number(DocumentKind.CREDIT_NOTE, data, now)
    note = _about(refund, DocumentKind.CREDIT_NOTE, number, data, now)
    note.corrects = corrected
    return _issue(note)


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
        with constraint_errors(ONCE):
            number = _number(DocumentKind.STATEMENT, data, now)
            draft = _draft(DocumentKind.STATEMENT, number, host, data, now)
            draft.currency, draft.month = statement.currency, statement.month
            return _issue(draft)
    except IssuedBefore:
        return mine.get()


def _drafts(
    shelf: Shelf, payment: Payment, kinds: Sequence[DocumentKind], subject: Subject, now: datetime
) -> dict[DocumentKind, Document]:
    """What ``payment`` is due and does not have, numbered and not written yet. A receipt names the invoice that it pays."""
    drafts: dict[DocumentKind, Document] = {}
    if not kinds:
        return drafts
    common = _common(payment.folio.guest)
    numbers = numbering.take_each(common.issuer["code"], kinds, numbering.year_of(now))
    for kind, number in zip(kinds, numbers, strict=True):
        if kind == DocumentKind.INVOICE:
            data = contents.invoice(common, subject, payment, shelf.earlier())
        else:
            invoice = drafts.get(DocumentKind.INVOICE) or shelf.about(payment.pk, DocumentKind.INVOICE)
            paid = invoice.reference if invoice else ""
            data = contents.receipt(common, subject, payment, invoice=paid, paid_minor=shelf.paid_minor())
        drafts[kind] = _about(payment, kind, number, data, now)
    return drafts


def _number(kind: DocumentKind, data: dict[str, Any], now: datetime) -> int:
    return numbering.take(data["issuer"]["code"], kind, numbering.year_of(now))


def _about(
    payment: Payment, kind: DocumentKind, number: int, data: dict[str, Any], now: datetime
) -> Document:
    """A document for the guest about a payment or refund."""
    document = _draft(kind, number, payment.folio.guest, data, now)
    document.payment, document.folio, document.currency = payment, payment.folio, payment.currency
    return document


def _draft(kind: DocumentKind, number: int, recipient: User, data: dict[str, Any], now: datetime) -> Document:
    language, issuer, year = supported(recipient.language), data["issuer"]["code"], numbering.year_of(now)
    second = str(platform.get("law_language"))
    return Document(
        kind=kind,
        issuer=issuer,
        year=year,
        number=number,
        reference=numbering.text(issuer, kind, year, number),
        recipient=recipient,
        language=language,
        law_language=second if second != language else "",
        total_minor=data["total_minor"],
        data=data,
        issued_at=now,
    )


def _issue(document: Document) -> Document:
    """Write a document and have it rendered once that is committed."""
    insert(document)
    _render_later(document)
    return document


def _render_later(*documents: Document) -> None:
    app.configure_task(RENDER_JOB, queue="documents").defer(document_ids=[each.pk for each in documents])


def _common(recipient: User) -> Common:
    return Common(recipient=recipient.get_full_name())


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
