"""Documents with a number, to look at, to download and to mail again; and the ranges of their numbers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.actions import dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import link, money, pretty
from admin_site.frame.exporting import export_action, major
from admin_site.frame.masking import full_name
from admin_site.frame.narrowing import Amounts, ByCurrency, Days
from backend.core import access
from backend.payments.documents import mailing, storing
from backend.payments.models import Document, DocumentSeries


@admin.register(Document)
class DocumentPage(Page):
    icon = "description"
    list_display = (
        "reference",
        "kind",
        "recipient_link",
        "booking",
        "total",
        "issued_at",
        "emailed_at",
        "pdf",
    )
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ByCurrency,
        ("total_minor", Amounts),
        ("issued_at", Days),
    )
    list_filter_submit = True
    list_select_related = ("recipient", "folio__booking")
    search_fields = ("reference",)
    search_help_text = _("Number of the document, reference of the booking, or a person's name or email")
    ordering = ("-id",)
    actions_list = ("export",)
    export = export_action(
        related=("recipient", "folio__booking", "payment", "corrects"),
        columns=[
            ("number", "reference"),
            ("kind", "kind"),
            ("issuer", "issuer"),
            ("recipient", lambda document: full_name(document.recipient)),
            ("booking", "folio.booking.reference"),
            ("payment", "payment.reference"),
            ("corrects", "corrects.reference"),
            ("total", major("total_minor")),
            ("currency", "currency"),
            ("issued_at", "issued_at"),
            ("emailed_at", "emailed_at"),
        ],
    )
    actions_detail = ("send_again",)
    fields = (
        ("reference", "kind", "pdf"),
        ("recipient_link", "booking"),
        ("total", "payment_link"),
        ("corrects_link", "corrected_by"),
        ("language", "law_language", "month"),
        ("issued_at", "emailed_at"),
        "sha256",
        "content",
    )
    readonly_fields = (
        "recipient_link",
        "booking",
        "total",
        "payment_link",
        "corrects_link",
        "corrected_by",
        "pdf",
        "content",
    )

    def get_urls(self) -> list[Any]:
        download = path(
            "<int:document_id>/pdf/",
            self.admin_site.admin_view(self.download),
            name="payments_document_pdf",
        )
        return [download, *super().get_urls()]

    def download(self, request: HttpRequest, document_id: int) -> HttpResponse:
        """The PDF as it was issued."""
        document = Document.objects.filter(pk=document_id).first()
        if not self.has_view_permission(request, document):
            raise PermissionDenied
        if document is None:
            raise Http404
        response = HttpResponse(storing.content(document), content_type="application/pdf")
        response["Content-Disposition"] = f'attachment; filename="{storing.filename(document)}"'
        response["Cache-Control"] = "private, no-store"
        return response

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Document], search_term: str
    ) -> tuple[QuerySet[Document], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_number = queryset.filter(reference=term.upper())
        found = by_number if by_number.exists() else queryset.filter(folio__booking__reference=term.upper())
        if found.exists():
            return found, False
        return queryset.filter(recipient__in=finding.people_ids(term)), False

    def has_send_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "document.send")

    @dialog_action(
        title=_("Mail again"),
        question=_("The document goes to its recipient once more."),
        done=_("The mail is on its way."),
        permission="send",
        icon="forward_to_inbox",
    )
    def send_again(self, request: HttpRequest, row: Document, given: dict[str, Any]) -> None:
        mailing.send_again(actor=request.user, document=row, reason=given["reason"], now=timezone.now())

    @display(description=_("recipient"))
    def recipient_link(self, document: Document) -> str:
        return link(document.recipient)

    @display(description=_("booking"))
    def booking(self, document: Document) -> str:
        booking = getattr(document.folio, "booking", None)
        return link(booking) if booking else "–"

    @display(description=_("total"))
    def total(self, document: Document) -> str:
        return money(document.total_minor, document.currency)

    @display(description=_("payment"))
    def payment_link(self, document: Document) -> str:
        return link(document.payment)

    @display(description=_("corrects"))
    def corrects_link(self, document: Document) -> str:
        return link(document.corrects)

    @display(description=_("corrected by"))
    def corrected_by(self, document: Document) -> str:
        notes = document.corrections.order_by("id")[:20]
        lines = [(link(note), money(note.total_minor, note.currency)) for note in notes]
        return format_html_join(" · ", "{} ({})", lines) or "–"

    @display(description=_("PDF"))
    def pdf(self, document: Document) -> str:
        url = reverse("admin:payments_document_pdf", args=(document.pk,))
        return format_html('<a href="{}" class="text-link">{}</a>', url, _("Download"))

    @display(description=_("content"))
    def content(self, document: Document) -> str:
        return pretty(document.data)


@admin.register(DocumentSeries)
class DocumentSeriesPage(Page):
    """How far each range of numbers has come. Nobody sets them back."""

    icon = "format_list_numbered"
    list_display = ("issuer", "kind", "year", "last_number")
    ordering = ("-year", "issuer", "kind")
    fields = (("issuer", "kind", "year"), "last_number")
