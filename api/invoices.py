"""Documents with a number, as PDF: invoices, receipts, credit notes, a host's statements."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import get_supported_language_variant
from ninja import Path, Query, Router
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from api import languages
from api.booking_types import visible
from api.conditional import etag_response, not_modified
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import Id, MoneyOut, Out, Params
from backend.bookings import papers
from backend.core.errors import NotFound
from backend.core.money import Money
from backend.payments import statements
from backend.payments.documents import issuing, rendering, storing
from backend.payments.models import Document, DocumentKind

router = Router(tags=["Documents"])

Kind = Literal["invoice", "receipt", "credit_note", "statement"]

PDF: Any = {
    "responses": {
        200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}, "example": "%PDF-1.7"}}}
    }
}  # fmt: skip
"""What an operation that answers with a PDF says of it in the OpenAPI document."""


def _first_of_month(value: str) -> str:
    """Raises: PydanticCustomError for what is no month."""
    try:
        date.fromisoformat(f"{value}-01")
    except ValueError:
        raise PydanticCustomError("invalid_month", "A month is written like 2027-03.") from None
    return value


Month = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d{2}$", description="The month, as 2027-03.", examples=["2027-03"]),
    AfterValidator(_first_of_month),
]


class DocumentOut(Out):
    """A document that was issued. It never changes; ``pdf_url`` gives the same bytes for ever."""

    id: Id
    number: Annotated[str, Field(examples=["KRB-INV-2027-000001"])]
    kind: Annotated[Kind, Field(examples=["invoice"])]
    booking_id: int | None
    currency: str
    total: Annotated[MoneyOut, Field(examples=[302])]
    language: Annotated[str, Field(description="The language that it was issued in.", examples=["en"])]
    corrects: Annotated[
        str | None, Field(description="The number of what a credit note corrects.", examples=[None])
    ]
    month: Annotated[str | None, Field(description="Of a statement.", examples=[None])]
    issued_at: datetime
    pdf_url: Annotated[str, Field(examples=["http://127.0.0.1:8000/api/documents/42.pdf"])]


class DocumentQuery(PageQuery):
    """What the list of documents takes."""

    kind: Annotated[Kind | None, Field(description="Only those of this kind.")] = None
    booking_id: Annotated[Id | None, Field(description="Only those about this booking.")] = None


class StatementPdfQuery(Params):
    """Which statement."""

    month: Month
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="The currency that was paid.")]


@router.get(
    "/documents/", response=responses(Page[DocumentOut]), summary="List one's documents, newest first"
)
def list_documents(request: HttpRequest, params: Query[DocumentQuery]) -> dict[str, Any]:
    """Invoices, receipts and credit notes of the caller's stays, and the caller's statements as a host."""
    found = _whole().filter(recipient_id=_user(request).pk)
    if params.kind is not None:
        found = found.filter(kind=params.kind)
    if params.booking_id is not None:
        found = found.filter(folio__booking__id=params.booking_id)
    return page(request, found, params, lambda document: _payload(request, document))


@router.get("/documents/{int:document_id}/", response=responses(DocumentOut, NotFound), summary="A document")
def get_document(request: HttpRequest, document_id: Path[Id]) -> HttpResponse:
    """What is known of one of one's documents; its pages are behind ``pdf_url``."""
    payload = _payload(request, _mine(request, document_id))
    return etag_response(request, payload, payload)


@router.get(
    "/documents/{int:document_id}.pdf",
    response=responses(str, NotFound),
    summary="A document as PDF",
    openapi_extra=PDF,
)
def get_document_pdf(request: HttpRequest, document_id: Path[Id]) -> HttpResponse:
    """As it was issued. In another language where ``Accept-Language`` asks for one: then it is marked a translation."""
    return _pdf(request, _mine(request, document_id))


@router.get(
    "/bookings/{int:booking_id}/invoice.pdf",
    response=responses(str, 403, NotFound, papers.NotPaid),
    summary="A booking's invoice",
    openapi_extra=PDF,
)
def get_invoice(request: HttpRequest, booking_id: int) -> HttpResponse:
    """For its guest and its host, once it is paid. Of a stay that was changed and paid again, the newest one: it shows
    the whole price and what was invoiced before."""
    return _of_booking(request, booking_id, DocumentKind.INVOICE)


@router.get(
    "/bookings/{int:booking_id}/receipt.pdf",
    response=responses(str, 403, NotFound, papers.NotPaid),
    summary="A booking's receipt",
    openapi_extra=PDF,
)
def get_receipt(request: HttpRequest, booking_id: int) -> HttpResponse:
    """For its guest and its host, once something is paid: the receipt of the newest payment."""
    return _of_booking(request, booking_id, DocumentKind.RECEIPT)


@router.get(
    "/host/statements.pdf",
    response=responses(str, NotFound, issuing.MonthNotOver),
    summary="A month's payout statement as PDF",
    openapi_extra=PDF,
)
def get_statement(request: HttpRequest, params: Query[StatementPdfQuery]) -> HttpResponse:
    """What the caller was paid as a host in a month that is over. It is issued when it is first asked for.

    404 for a month without payouts in the currency.
    """
    host, now = _user(request), timezone.now()
    month = date.fromisoformat(f"{params.month}-01")
    of_month = statements.of(host, month)
    found = next((one for one in of_month if one.currency == params.currency), None)
    if found is None:
        raise NotFound
    return _pdf(request, issuing.issue_statement(host=host, statement=found, now=now))


def _of_booking(request: HttpRequest, booking_id: int, kind: DocumentKind) -> HttpResponse:
    booking = visible(request, booking_id)
    document = papers.document_of(actor=_user(request), booking=booking, kind=kind, now=timezone.now())
    return _pdf(request, document)


def _mine(request: HttpRequest, document_id: int) -> Document:
    """Raises: NotFound."""
    found: Document | None = _whole().visible_to(_user(request)).filter(pk=document_id).first()
    if found is None:
        raise NotFound
    return found


def _user(request: HttpRequest) -> Any:
    return request.auth  # type: ignore[attr-defined]


def _whole() -> Any:
    """Documents with the booking that they are about; bookings stand above payments, so only a door may look there."""
    return Document.objects.annotate(booking_id=F("folio__booking__id")).select_related("corrects")


def _payload(request: HttpRequest, document: Any) -> dict[str, Any]:
    return {
        "id": document.pk,
        "number": document.reference,
        "kind": document.kind,
        "booking_id": document.booking_id,
        "currency": document.currency,
        "total": Money(document.total_minor, document.currency).number(),
        "language": document.language,
        "corrects": document.corrects.reference if document.corrects else None,
        "month": f"{document.month:%Y-%m}" if document.month else None,
        "issued_at": document.issued_at,
        "pdf_url": request.build_absolute_uri(f"/api/documents/{document.pk}.pdf"),
    }


def _pdf(request: HttpRequest, document: Document) -> HttpResponse:
    """The document's bytes in the language that the request asks for, or 304."""
    language = _language(request, document)
    is_original = language == document.language
    if is_original and document.sha256 and not_modified(request, f'"{document.sha256}"'):
        return _tagged(HttpResponse(status=304), document.sha256)
    content = storing.content(document) if is_original else rendering.pdf(document, language=language)
    checksum = hashlib.sha256(content).hexdigest()
    if not_modified(request, f'"{checksum}"'):
        return _tagged(HttpResponse(status=304), checksum)
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{storing.filename(document)}"'
    response["Content-Language"] = language
    return _tagged(response, checksum)


def _language(request: HttpRequest, document: Document) -> str:
    """What ``Accept-Language`` asks for, else what the caller prefers, else what the document was issued in."""
    if not request.headers.get("Accept-Language") and not _user(request).language:
        return document.language
    return get_supported_language_variant(languages.code(request))


def _tagged(response: HttpResponse, checksum: str) -> HttpResponse:
    response["ETag"] = f'"{checksum}"'
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Authorization, Accept-Language"
    return response
