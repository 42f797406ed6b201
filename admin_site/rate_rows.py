"""The rates of one listing, in tabs of its page."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from admin_site.base import Rows
from admin_site.rates import CodeColumns, Priced, RuleColumns, TaxColumns, with_uses
from backend.rates.models import Fee, PriceRule, PromoCode, Tax


class PriceRules(RuleColumns, Rows):
    model = PriceRule
    verbose_name_plural = _("Price rules")
    fields = ("kind", "applies", "effect", "calendar", "updated_at")
    readonly_fields = fields
    ordering = ("kind", "starts_on", "min_nights", "days_before", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceRule]:
        return super().get_queryset(request).select_related("listing")


class Fees(Priced, Rows):
    model = Fee
    verbose_name_plural = _("Fees")
    fields = ("kind", "amount", "per", "nights", "updated_at")
    readonly_fields = fields
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Fee]:
        return super().get_queryset(request).select_related("listing")


class Taxes(TaxColumns, Rows):
    model = Tax
    verbose_name_plural = _("Taxes")
    fields = ("name", "amount", "taken_on", "each_what", "nights", "exempt", "updated_at")
    readonly_fields = fields
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tax]:
        return super().get_queryset(request).select_related("listing")


class Codes(CodeColumns, Rows):
    model = PromoCode
    verbose_name_plural = _("Promotion codes")
    fields = ("code", "worth", "valid", "min_nights", "used", "max_uses_per_guest", "state")
    readonly_fields = fields
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PromoCode]:
        return with_uses(super().get_queryset(request).select_related("listing"))
