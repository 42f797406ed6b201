"""Disputes: what guests' banks ask back, until when an answer is due, and what speaks for us."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from admin_site.frame import fields, masking
from admin_site.frame.actions import DANGER, SUCCESS, ReasonForm, dialog_action
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import DISPUTE_COLOURS, label, link, money, table
from admin_site.frame.exporting import export_action, major
from admin_site.frame.masking import full_name
from admin_site.frame.narrowing import Amounts, ByCurrency, ByHost, ByProvider, Days
from admin_site.home import next_steps
from backend.bookings import dispute_answers
from backend.core import access, platform
from backend.payments import disputes, ledger
from backend.payments.models import Dispute, DisputeAnswer, RefundRequest
from backend.payments.refunds import OPEN_DISPUTES

PROVIDERS_PAGES = {
    "stripe": "https://dashboard.stripe.com/disputes/{}",
    "paypal": "https://www.paypal.com/resolutioncenter/view/{}",
}
"""Where a dispute is answered, by provider."""


class NoteForm(BaseDialogForm):
    note = forms.CharField(
        label=_("What speaks for us"),
        max_length=5000,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "maxlength": 5000}),
    )


FACTS = {
    "product": _("What was sold"),
    "customer": _("Who bought it"),
    "email": _("The guest's email address"),
    "days": _("When the stay was"),
    "terms": _("The terms of cancellation that were agreed"),
    "log": _("What happened when"),
}
"""What can be sent beside the staff's words, as ``dispute_answers.facts`` names it."""


class EvidenceForm(BaseDialogForm):
    """What speaks for us, and which facts of the stay go with it."""

    form_before_template = "admin_site/dispute_preview.html"
    note = forms.CharField(
        label=_("What speaks for us"),
        max_length=5000,
        help_text=_("In English, for a bank: what was agreed, what the guest got, what they wrote."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "maxlength": 5000}),
    )
    facts = fields.several(_("Facts that go with it"), list(FACTS.items()), initial=list(FACTS))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dispute = Dispute.objects.filter(pk=_number(self.object_id)).first()
        if self.dispute is not None:
            self.fields["note"].initial = self.dispute.note

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        return _preview(self.dispute)


class AcceptForm(ReasonForm):
    """Why we give in."""

    form_before_template = "admin_site/dispute_preview.html"

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        return _preview(Dispute.objects.filter(pk=_number(object_id)).first())


def _shown(fact: dispute_answers.Fact) -> str:
    """A fact as its reader may see it; the bank gets it whole."""
    if fact.name == "email":
        return masking.email(fact.text)
    return masking.named(fact.text) if fact.name == "customer" and fact.text else fact.text or "–"


def _number(object_id: Any) -> int:
    text = unquote(str(object_id))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _preview(dispute: Dispute | None) -> dict[str, Any]:
    if dispute is None:
        return {}
    return {
        "dispute": dispute,
        "amount": money(dispute.amount_minor, dispute.currency),
        "fee": money(dispute.fee_minor, dispute.currency),
        "left": next_steps.time_left(dispute, timezone.now()),
        "bearer": RefundRequest.Bearer(platform.get("dispute_loss_borne_by")).label,
    }


def _awaits(dispute: Dispute, kind: str) -> bool:
    return dispute.status == Dispute.Status.NEEDS_RESPONSE and dispute_answers.takes(dispute, kind)


class ByDisputedHost(ByHost):
    field = "payment__folio__host"


class Answers(Rows):
    """What was answered, and what became of it."""

    model = DisputeAnswer
    verbose_name_plural = _("Answers")
    fields = ("created_at", "kind", "outcome", "said", "facts_sent", "by", "settled_at")
    readonly_fields = fields
    ordering = ("-created_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DisputeAnswer]:
        return super().get_queryset(request).select_related("given_by")

    @display(description=_("state"))
    def outcome(self, answer: DisputeAnswer) -> str:
        colour = {"sent": "success", "refused": "danger"}.get(answer.state, "warning")
        words = (
            f"{answer.get_state_display()} ({answer.error_code})"
            if answer.error_code
            else answer.get_state_display()
        )
        return label(words, colour)

    @display(description=_("text"))
    def said(self, answer: DisputeAnswer) -> str:
        return format_html('<span class="ko-words">{}</span>', answer.text)

    @display(description=_("facts"))
    def facts_sent(self, answer: DisputeAnswer) -> str:
        return ", ".join(str(FACTS.get(name, name)) for name in answer.facts) or "–"

    @display(description=_("by"))
    def by(self, answer: DisputeAnswer) -> str:
        return link(answer.given_by)


class OpenFilter(RadioFilter):
    title = _("state")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("open")), ("0", _("decided"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Dispute]) -> QuerySet[Dispute]:
        if self.value() is None:
            return queryset
        is_open = queryset.filter(status__in=OPEN_DISPUTES)
        return is_open if self.value() == "1" else queryset.exclude(status__in=OPEN_DISPUTES)


@admin.register(Dispute)
class DisputePage(Page):
    icon = "gavel"
    actions_list = ("export",)
    actions_detail = ("give_evidence", "accept", "note_evidence")
    offered = {
        "give_evidence": lambda dispute: _awaits(dispute, DisputeAnswer.Kind.EVIDENCE),
        "accept": lambda dispute: _awaits(dispute, DisputeAnswer.Kind.ACCEPTANCE),
    }
    export = export_action(
        columns=[
            ("dispute", "provider_ref"),
            ("provider", "provider"),
            ("payment", "payment.reference"),
            ("booking", "payment.folio.booking.reference"),
            ("guest", lambda dispute: full_name(dispute.payment.folio.guest)),
            ("host", lambda dispute: full_name(dispute.payment.folio.host)),
            ("amount", major("amount_minor")),
            ("fee", major("fee_minor")),
            ("currency", "currency"),
            ("of_the_stay", major("folio_minor", "payment.currency")),
            ("stay_currency", "payment.currency"),
            ("reason", "reason"),
            ("status", "status"),
            ("money_taken", "funds_withdrawn"),
            ("opened_at", "opened_at"),
            ("evidence_due_at", "evidence_due_at"),
            ("closed_at", "closed_at"),
        ],
    )
    list_display = ("provider_ref", "booking", "amount", "reason", "state", "left", "answer", "opened_at")
    list_filter = (
        OpenFilter,
        ("status", ChoicesDropdownFilter),
        ByProvider,
        ByCurrency,
        ByDisputedHost,
        ("amount_minor", Amounts),
        ("opened_at", Days),
    )
    inlines = (Answers,)
    list_filter_submit = True
    search_fields = ("provider_ref", "payment__reference", "payment__folio__booking__reference")
    search_help_text = _("Reference of the dispute, the payment or the booking")
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "next_step",
                    ("booking", "guest", "host"),
                    ("payment_link", "provider", "provider_page"),
                    ("amount", "of_the_stay", "fee"),
                    ("reason", "state", "funds_withdrawn"),
                    ("opened_at", "evidence_due_at", "left"),
                    ("closed_at", "bearer", "loss_link"),
                    "note",
                )
            },
        ),
        (_("Evidence"), {"classes": ("tab",), "fields": ("checklist",)}),
    )
    readonly_fields = (
        *("next_step", "booking", "guest", "host", "payment_link", "provider_page", "amount", "of_the_stay"),
        *("fee", "state", "left", "bearer", "loss_link", "checklist"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dispute]:
        people = ("payment__folio__guest", "payment__folio__host")
        rows = super().get_queryset(request).select_related("payment__folio__booking", "loss", *people)
        return rows.prefetch_related(Prefetch("answers", DisputeAnswer.objects.order_by("created_at")))

    def has_answer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "dispute.answer", row)

    @dialog_action(
        title=_("Submit evidence"),
        question=_(
            "The guest's bank decides by what is sent now. It can be done once: nothing can be added later."
        ),
        done=_("The evidence is on its way: see Answers."),
        permission="answer",
        icon="send",
        variant=SUCCESS,
        form_class=EvidenceForm,
    )
    def give_evidence(self, request: HttpRequest, row: Dispute, given: dict[str, Any]) -> None:
        left_out = [name for name in FACTS if name not in given["facts"]]
        dispute_answers.give_evidence(
            actor=request.user, dispute_id=row.pk, text=given["note"], leave_out=left_out, now=timezone.now()
        )

    @dialog_action(
        title=_("Accept the dispute"),
        question=_("The guest keeps the money and the dispute is lost. The provider keeps its fee."),
        done=_("The dispute is accepted."),
        permission="answer",
        icon="thumb_down",
        variant=DANGER,
        form_class=AcceptForm,
    )
    def accept(self, request: HttpRequest, row: Dispute, given: dict[str, Any]) -> None:
        dispute_answers.accept(
            actor=request.user, dispute_id=row.pk, reason=given["reason"], now=timezone.now()
        )

    def has_note_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "dispute.note", row)

    @dialog_action(
        title=_("Note the evidence"),
        question=_(
            "For the staff: it is sent to nobody. What is noted stands in the dialog that submits the evidence."
        ),
        done=_("The note is kept."),
        permission="note",
        icon="edit_note",
        form_class=NoteForm,
    )
    def note_evidence(self, request: HttpRequest, row: Dispute, given: dict[str, Any]) -> None:
        disputes.note(actor=request.user, dispute=row, text=given["note"], now=timezone.now())

    @display(description=_("next step"))
    def next_step(self, dispute: Dispute) -> str:
        return next_steps.of_dispute(dispute, timezone.now())

    @display(description=_("time left"))
    def left(self, dispute: Dispute) -> str:
        return next_steps.time_left(dispute, timezone.now())

    @display(description=_("answer"))
    def answer(self, dispute: Dispute) -> str:
        return next_steps.answered(dispute, next(reversed(dispute.answers.all()), None))

    @display(description=_("who bears it"))
    def bearer(self, dispute: Dispute) -> str:
        """Who bore the loss by the books, or would by the settings in force."""
        if dispute.loss is not None:
            entries = dispute.loss.entries.exclude(account__in=[ledger.DISPUTES, ledger.FX]).order_by("id")
            return ", ".join(
                f"{entry.account} {money(entry.amount_minor, entry.currency)}" for entry in entries
            )
        if dispute.status not in OPEN_DISPUTES:
            return "–"
        words = RefundRequest.Bearer(platform.get("dispute_loss_borne_by")).label
        return str(_("if it is lost: {bearer}")).format(bearer=words)

    @display(description=_("what speaks for us"))
    def checklist(self, dispute: Dispute) -> str:
        rows: list[list[Any]] = [
            [
                label(_("there"), "success") if fact.is_there else label(_("missing"), "warning"),
                fact.title,
                format_html('<span class="ko-words">{}</span>', _shown(fact)),
            ]
            for fact in dispute_answers.facts(dispute)
        ]
        said = label(_("there"), "success") if dispute.note else label(_("missing"), "warning")
        rows.append(
            [
                said,
                _("What the staff say"),
                format_html('<span class="ko-words">{}</span>', dispute.note or "–"),
            ]
        )
        return table([_("have we"), _("evidence"), _("what the bank reads")], rows)

    @display(description=_("booking"))
    def booking(self, dispute: Dispute) -> str:
        return link(getattr(dispute.payment.folio, "booking", None))

    @display(description=_("guest"))
    def guest(self, dispute: Dispute) -> str:
        return link(dispute.payment.folio.guest)

    @display(description=_("host"))
    def host(self, dispute: Dispute) -> str:
        return link(dispute.payment.folio.host)

    @display(description=_("payment"))
    def payment_link(self, dispute: Dispute) -> str:
        return link(dispute.payment)

    @display(description=_("at the provider"))
    def provider_page(self, dispute: Dispute) -> str:
        page = PROVIDERS_PAGES.get(dispute.provider)
        if page is None:
            return dispute.provider_ref
        url = page.format(quote(dispute.provider_ref, safe=""))
        return format_html(
            '<a href="{}" class="text-link" rel="noreferrer noopener" target="_blank">{}</a>',
            url,
            dispute.provider_ref,
        )

    @display(description=_("amount"))
    def amount(self, dispute: Dispute) -> str:
        return money(dispute.amount_minor, dispute.currency)

    @display(description=_("of the stay"))
    def of_the_stay(self, dispute: Dispute) -> str:
        return money(dispute.folio_minor, dispute.payment.currency)

    @display(description=_("provider's fee"))
    def fee(self, dispute: Dispute) -> str:
        return money(dispute.fee_minor, dispute.currency)

    @display(description=_("booked as lost"))
    def loss_link(self, dispute: Dispute) -> str:
        return link(dispute.loss)

    @display(description=_("status"))
    def state(self, dispute: Dispute) -> str:
        return label(dispute.get_status_display(), DISPUTE_COLOURS[dispute.status])
