"""What hosts ask for beside the night: rules of price, fees, taxes and promotion codes, of all listings."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.actions import DANGER, dialog_action
from admin_site.frame.base import COUNTED, Page
from admin_site.frame.display import days, label, link, money, percent, weekdays
from admin_site.frame.exporting import export_action, major
from admin_site.frame.importing import import_action
from admin_site.rates.rate_actions import RowActions, change, edit_action, remove, remove_action, values_of
from admin_site.rates.rate_forms import CodeRowForm, FeeRowForm, PlatformCodeForm, RuleRowForm, TaxRowForm
from backend.bookings.states import BookingStatus
from backend.core import access, platform
from backend.rates import services as rates
from backend.rates.models import Fee, PriceRule, PromoCode, RuleKind, Tax

STANDING = (BookingStatus.PENDING, BookingStatus.CONFIRMED, BookingStatus.COMPLETED)
"""A booking in one of these uses its promotion code; one that fell through has given it back."""


class Priced:
    """Columns of rows that carry an amount in their listing's currency or a percentage."""

    @display(description=_("amount"))
    def amount(self, row: Any) -> str:
        return (
            percent(row.percent) if row.percent is not None else money(row.amount_minor, row.listing.currency)
        )

    @display(description=_("nights"))
    def nights(self, row: Any) -> str:
        most = row.max_nights
        return ngettext("%(n)d night at most", "%(n)d nights at most", most) % {"n": most} if most else "–"


class RuleColumns:
    """A price rule in the words of a table."""

    @display(description=_("when"))
    def applies(self, rule: PriceRule) -> str:
        """The dates of a season, the evenings of a weekend, the threshold of a discount."""
        if rule.kind == RuleKind.SEASON:
            dates = days(rule.starts_on, rule.ends_on, years=True)
            return f"{dates}, {weekdays(rule.weekdays)}" if rule.weekdays else dates
        if rule.kind == RuleKind.WEEKEND:
            return weekdays(rule.weekdays or (5, 6))
        if rule.kind == RuleKind.LENGTH_OF_STAY:
            return ngettext("from %(n)d night", "from %(n)d nights", rule.min_nights or 0) % {
                "n": rule.min_nights
            }
        if rule.kind == RuleKind.EARLY_BIRD:
            return ngettext(
                "booked %(n)d day ahead or more", "booked %(n)d days ahead or more", rule.days_before or 0
            ) % {"n": rule.days_before}
        if rule.kind == RuleKind.LAST_MINUTE:
            return ngettext(
                "booked within %(n)d day of check-in",
                "booked within %(n)d days of check-in",
                rule.days_before or 0,
            ) % {"n": rule.days_before}
        return str(_("the first bookings"))

    @display(description=_("price"))
    def effect(self, rule: PriceRule) -> str:
        """A price of its own, a share on the base price (signed), or what is taken off the nights."""
        if rule.price_minor is not None:
            return money(rule.price_minor, rule.listing.currency)
        if rule.percent is None:
            return "–"
        if rule.kind in (RuleKind.SEASON, RuleKind.WEEKEND):
            sign = "+" if rule.percent > 0 else "−"
            return _("%(percent)s on the base price") % {"percent": sign + percent(abs(rule.percent))}
        return "−" + percent(rule.percent)

    @display(description=_("calendar"))
    def calendar(self, rule: PriceRule) -> str:
        """What a season says of stays, beside its price."""
        if rule.kind != RuleKind.SEASON:
            return "–"
        said: list[Any] = []
        if least := rule.min_nights:
            said.append(ngettext("%(n)d night or more", "%(n)d nights or more", least) % {"n": least})
        if most := rule.max_nights:
            said.append(ngettext("%(n)d night at most", "%(n)d nights at most", most) % {"n": most})
        if rule.closed_to_arrival is not None:
            said.append(_("no arrivals") if rule.closed_to_arrival else _("arrivals"))
        if rule.closed_to_departure is not None:
            said.append(_("no departures") if rule.closed_to_departure else _("departures"))
        return ", ".join(str(word) for word in said) or "–"


class TaxColumns(Priced):
    @display(description=_("taken on"))
    def taken_on(self, tax: Tax) -> str:
        if tax.amount_minor is not None:
            return "–"
        names = dict(Tax.Base.choices)
        return ", ".join(str(names[base]) for base in tax.bases or [Tax.Base.NIGHTS])

    @display(description=_("each"))
    def each_what(self, tax: Tax) -> str:
        return "–" if tax.percent is not None else tax.get_per_display()

    @display(description=_("exempt"))
    def exempt(self, tax: Tax) -> str:
        least = tax.exempt_from_nights
        return ngettext("from %(n)d night", "from %(n)d nights", least) % {"n": least} if least else "–"


class CodeColumns:
    @display(description=_("taken off"))
    def worth(self, code: PromoCode) -> str:
        return percent(code.percent) if code.percent is not None else money(code.amount_minor, code.currency)

    @display(description=_("used"))
    def used(self, code: PromoCode) -> str:
        uses: int = getattr(code, "uses", 0)
        return f"{uses} / {code.max_uses}" if code.max_uses else str(uses)

    @display(description=_("valid"))
    def valid(self, code: PromoCode) -> str:
        if code.starts_at is None and code.ends_at is None:
            return str(_("always"))
        return days(code.starts_at, code.ends_at, years=True)

    @display(description=_("state"))
    def state(self, code: PromoCode) -> str:
        now = timezone.now()
        if not code.active:
            return label(_("switched off"), "default")
        if code.ends_at is not None and code.ends_at <= now:
            return label(_("over"), "default")
        if code.max_uses is not None and getattr(code, "uses", 0) >= code.max_uses:
            return label(_("used up"), "warning")
        if code.starts_at is not None and code.starts_at > now:
            return label(_("to come"), "info")
        return label(_("in force"), "success")


def with_uses(codes: QuerySet[PromoCode]) -> QuerySet[PromoCode]:
    """Each code with the number of bookings that use it now, as ``uses``."""
    return codes.annotate(uses=Count("bookings", filter=Q(bookings__status__in=STANDING)))


class RatePage(Page):
    """Rows of one listing; found by its title or its host."""

    ordering: tuple[str, ...] = ("-id",)
    search_fields = ("listing__title",)
    search_help_text = _("Listing or host")
    list_filter_submit = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("listing")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        places = {*finding.listing_ids(term), *finding.listing_ids_of(finding.people_ids(term))}
        # Looked up first: beside an order the planner would rather walk all rows until it has met enough of them.
        found = self.model._default_manager.filter(listing__in=places).values_list("pk", flat=True)[:COUNTED]
        return queryset.filter(pk__in=list(found)), False

    @display(description=_("listing"))
    def place(self, row: Any) -> str:
        return link(row.listing)


@admin.register(PriceRule)
class PriceRulePage(RuleColumns, RowActions, RatePage):
    tab = "price_rules"
    actions_detail = ("edit", "remove")
    edit = edit_action(RuleRowForm)
    remove = remove_action()
    icon = "sell"
    list_display = ("kind", "place", "applies", "effect", "calendar", "updated_at")
    list_filter = (("kind", ChoicesDropdownFilter),)
    fields = (("kind", "place"), ("applies", "effect"), "calendar", ("created_at", "updated_at"))
    readonly_fields = ("place", "applies", "effect", "calendar")


@admin.register(Fee)
class FeePage(Priced, RowActions, RatePage):
    tab = "fees"
    actions_detail = ("edit", "remove")
    edit = edit_action(FeeRowForm)
    remove = remove_action()
    icon = "receipt"
    list_display = ("kind", "place", "amount", "per", "nights", "updated_at")
    list_filter = (("kind", ChoicesDropdownFilter),)
    fields = (("kind", "place"), ("amount", "per", "nights"), ("created_at", "updated_at"))
    readonly_fields = ("place", "amount", "nights")


@admin.register(Tax)
class TaxPage(TaxColumns, RowActions, RatePage):
    tab = "taxes"
    actions_detail = ("edit", "remove")
    edit = edit_action(TaxRowForm)
    remove = remove_action()
    icon = "gavel"
    list_display = ("name", "place", "amount", "taken_on", "each_what", "nights", "exempt")
    fields = (
        ("name", "place"),
        ("amount", "taken_on", "each_what"),
        ("nights", "exempt"),
        ("created_at", "updated_at"),
    )
    readonly_fields = ("place", "amount", "taken_on", "each_what", "nights", "exempt")


class ScopeFilter(RadioFilter):
    """Whose code it is."""

    title = _("of")
    parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("platform", _("the platform")), ("host", _("a host")), ("listing", _("a listing"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PromoCode]) -> QuerySet[PromoCode]:
        if self.value() == "platform":
            return queryset.filter(host=None, listing=None)
        if self.value() == "host":
            return queryset.filter(host__isnull=False)
        return queryset.filter(listing__isnull=False) if self.value() == "listing" else queryset


@admin.register(PromoCode)
class PromoCodePage(CodeColumns, RowActions, Page):
    """Every promotion code, with those of the platform, which staff make."""

    tab = "promo_codes"
    actions_list = ("export", "import_rows", "add_code")
    import_rows = import_action("promo_codes", permission="add_code")
    export = export_action(
        related=("listing", "host"),
        columns=[
            ("code", "code"),
            ("host", "host.username"),
            ("listing", "listing_id"),
            ("percent", "percent"),
            ("amount", major("amount_minor")),
            ("currency", "currency"),
            ("valid_from", "starts_at"),
            ("valid_until", "ends_at"),
            ("min_nights", "min_nights"),
            ("max_uses", "max_uses"),
            ("max_uses_per_guest", "max_uses_per_guest"),
            ("active", "active"),
            ("uses", "uses"),
        ],
    )
    actions_detail = ("edit", "remove")
    icon = "confirmation_number"
    list_display = ("code", "of", "worth", "valid", "used", "state")
    list_filter = (ScopeFilter, "active")
    list_filter_submit = True
    search_fields = ("code",)
    search_help_text = _("The beginning of a code")
    ordering = ("-id",)
    fields = (
        ("code", "of", "state"),
        ("worth", "valid", "used"),
        ("min_nights", "max_uses", "max_uses_per_guest"),
        ("created_at", "updated_at"),
    )
    readonly_fields = ("of", "worth", "valid", "used", "state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PromoCode]:
        return with_uses(super().get_queryset(request).select_related("listing", "host"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[PromoCode], search_term: str
    ) -> tuple[QuerySet[PromoCode], bool]:
        term = search_term.strip()
        return (queryset.filter(code__istartswith=term) if term else queryset), False

    def has_correct_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        if row is not None and row.listing is None:
            return access.can(request.user, "platform.service_fee")
        return super().has_correct_permission(request, object_id)

    def after_action(self, row: PromoCode) -> str:
        if row.listing is not None:
            return super().after_action(row)
        return reverse("admin:rates_promocode_changelist")

    @dialog_action(
        title=_("Change"),
        question=_("What was quoted or booked keeps its price."),
        done=_("It is changed."),
        permission="correct",
        icon="edit",
        form_class=CodeRowForm,
    )
    def edit(self, request: HttpRequest, row: PromoCode, given: dict[str, Any]) -> None:
        if row.listing is not None:
            change(self, request, row, given)
            return
        rates.change_code(
            actor=request.user,
            code_id=row.pk,
            changes=values_of(given),
            reason=given["reason"],
            now=timezone.now(),
        )

    @dialog_action(
        title=_("Remove"),
        question=_("One that bookings were made with can only be switched off."),
        done=_("It is removed."),
        permission="correct",
        icon="delete",
        variant=DANGER,
    )
    def remove(self, request: HttpRequest, row: PromoCode, given: dict[str, Any]) -> None:
        if row.listing is not None:
            remove(self, request, row, given)
            return
        rates.remove_code(actor=request.user, code_id=row.pk, reason=given["reason"], now=timezone.now())

    def has_add_code_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "platform.service_fee")

    @dialog_action(
        title=_("Add a code of the platform"),
        question=_("It holds for every listing, or for all of one host's."),
        done=_("The promotion code is added."),
        permission="add_code",
        icon="add",
        form_class=PlatformCodeForm,
        on_list=True,
    )
    def add_code(self, request: HttpRequest, row: None, given: dict[str, Any]) -> None:
        rates.add_code(
            actor=request.user,
            host=given.pop("host"),
            currency=given.pop("currency") or platform.get("currency"),
            values=values_of(given),
            reason=given["reason"],
            now=timezone.now(),
        )

    @display(description=_("of"))
    def of(self, code: PromoCode) -> str:
        if code.listing is not None:
            return link(code.listing)
        return link(code.host) if code.host is not None else str(_("the platform"))
