"""Exchange rates: what is known and how old it is, asked for again or set by hand with a reason."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import FieldTextFilter

from admin_site.frame import fields
from admin_site.frame.actions import ReasonForm, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.exporting import export_action
from admin_site.frame.importing import import_action
from backend.core import access, rate_book
from backend.core.models import ExchangeRate
from backend.jobs.imports import exchange_rates


class RateForm(ReasonForm):
    """What a euro bought on a day, and why the sources do not say so."""

    css_class = "ko-grid"
    currency = fields.words(_("Currency"), 3, help_text=_("Three letters of ISO 4217."))
    per_euro = fields.number(_("Units per euro"), decimal_places=8)
    rate_on = fields.date(_("Date"))
    field_order = ("currency", "per_euro", "rate_on", "reason")


@admin.register(ExchangeRate)
class ExchangeRatePage(Page):
    """The newest day of a currency counts. New rates come in by themselves."""

    icon = "currency_exchange"
    list_display = ("currency", "per_euro", "rate_on", "source")
    list_filter = (("currency", FieldTextFilter),)
    list_select_related = ("currency",)
    list_before_template = "admin_site/rates_age.html"
    search_fields = ("currency__code__istartswith",)
    ordering = ("-rate_on", "currency")
    actions_list = ("export", "import_rows", "fetch", "put")
    import_rows = import_action("exchange_rates", permission="change_rates")
    export = export_action(
        columns=[
            ("currency", "currency_id"),
            ("per_euro", "per_euro"),
            ("rate_on", "rate_on"),
            ("source", "source"),
        ],
    )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {"age": rate_book.age(timezone.now())} if self.has_view_permission(request) else {}
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    def has_change_rates_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "exchange_rates.change")

    @dialog_action(
        title=_("Fetch now"),
        question=_("The sources are asked at once. A rate that leaps is left out all the same."),
        done=_("The sources were asked. What came of it stands in the audit log."),
        permission="change_rates",
        icon="sync",
        on_list=True,
    )
    def fetch(self, request: HttpRequest, row: None, given: dict[str, Any]) -> None:
        exchange_rates.fetch_by_hand(actor=request.user, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Set a rate"),
        question=_(
            "It counts where no newer day is known, also when it leaps. Quotes and bookings keep the rate that they "
            "were made with."
        ),
        done=_("The rate is set."),
        permission="change_rates",
        icon="edit",
        form_class=RateForm,
        on_list=True,
    )
    def put(self, request: HttpRequest, row: None, given: dict[str, Any]) -> None:
        exchange_rates.put_by_hand(
            actor=request.user,
            currency=given["currency"].strip().upper(),
            per_euro=given["per_euro"],
            rate_on=given["rate_on"],
            reason=given["reason"],
            now=timezone.now(),
        )
