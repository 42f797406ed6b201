"""The rates of one listing, in tabs of its page."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from admin_site.frame.base import Rows
from admin_site.rates.rate_actions import OVER
from admin_site.rates.rates import CodeColumns, Priced, RuleColumns, TaxColumns, with_uses
from backend.core import access
from backend.rates.models import Fee, PriceRule, PromoCode, Tax


class OfListing(Rows):
    """Rows with a page of their own, which staff may change in the host's stead."""

    each = ("edit", "remove")

    def may_act(self, request: HttpRequest, parent: Any) -> bool:
        return access.can(request.user, "listing.correct", parent)


class PriceRules(RuleColumns, OfListing):
    model = PriceRule
    over = OVER[PriceRule]
    verbose_name_plural = _("Price rules")
    fields = ("kind", "applies", "effect", "calendar", "updated_at")
    readonly_fields = fields
    ordering = ("kind", "starts_on", "min_nights", "days_before", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceRule]:
        return super().get_queryset(request).select_related("listing")


class Fees(Priced, OfListing):
    model = Fee
    over = OVER[Fee]
    verbose_name_plural = _("Fees")
    fields = ("kind", "amount", "per", "nights", "updated_at")
    readonly_fields = fields
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Fee]:
        return super().get_queryset(request).select_related("listing")


class Taxes(TaxColumns, OfListing):
    model = Tax
    over = OVER[Tax]
    verbose_name_plural = _("Taxes")
    fields = ("name", "amount", "taken_on", "each_what", "nights", "exempt", "updated_at")
    readonly_fields = fields
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tax]:
        return super().get_queryset(request).select_related("listing")


class Codes(CodeColumns, OfListing):
    model = PromoCode
    over = OVER[PromoCode]
    verbose_name_plural = _("Promotion codes")
    fields = ("code", "worth", "valid", "min_nights", "used", "max_uses_per_guest", "state")
    readonly_fields = fields
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PromoCode]:
        return with_uses(super().get_queryset(request).select_related("listing"))
