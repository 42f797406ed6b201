"""Which provider takes and pays which money: the routes, by currency and country."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesRadioFilter
from unfold.decorators import display

from admin_site.frame import fields
from admin_site.frame.actions import DANGER, ReasonForm, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import label, url_of
from backend.core import access
from backend.payments import routing
from backend.payments.models import ProviderRoute
from backend.payments.providers import registry


class RouteForm(ReasonForm):
    """Which money goes which way."""

    css_class = "ko-grid"
    direction = fields.choice(_("Direction"), [("in", _("guests pay")), ("out", _("hosts are paid"))])
    provider = fields.choice(_("Provider"), lambda: [(name, name) for name in registry.configured()])
    currency = fields.words(_("Currency"), 3, required=False, help_text=_("Empty: any."))
    country = fields.words(
        _("Country"),
        2,
        required=False,
        help_text=_("Two letters, of the stay or of the host's account; empty: any."),
    )
    rank = fields.whole(
        _("Rank"), 1, routing.LAST_RANK, initial=1, help_text=_("Among equals the lowest wins.")
    )
    field_order = ("direction", "provider", "currency", "country", "rank", "reason")


class RankForm(ReasonForm):
    """Which of several equal routes wins."""

    rank = fields.whole(_("Rank"), 1, routing.LAST_RANK, help_text=_("Among equals the lowest wins."))
    field_order = ("rank", "reason")


@admin.register(ProviderRoute)
class RoutePage(Page):
    """The most specific route wins; what none says goes to the first provider that takes the currency."""

    icon = "alt_route"
    list_display = ("way", "currency_shown", "country_shown", "provider", "rank", "state")
    list_filter = (("direction", ChoicesRadioFilter), "provider", "is_active")
    list_filter_submit = True
    ordering = ("direction", "-currency", "-country", "rank", "id")
    actions_list = ("add_route",)
    actions_detail = ("set_rank", "switch_off", "switch_on", "remove")
    offered = {"switch_off": lambda route: route.is_active, "switch_on": lambda route: not route.is_active}
    fields = (("way", "provider"), ("currency_shown", "country_shown"), ("rank", "state"))
    readonly_fields = ("way", "currency_shown", "country_shown", "state")

    def has_route_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "payment.route")

    def after_action(self, row: ProviderRoute) -> str:
        return url_of(row) if row.pk else reverse("admin:payments_providerroute_changelist")

    @dialog_action(
        title=_("Add a route"),
        question=_("It holds for payments and payouts that begin from now on."),
        done=_("The route is added."),
        permission="route",
        icon="add",
        form_class=RouteForm,
        on_list=True,
    )
    def add_route(self, request: HttpRequest, row: None, given: dict[str, Any]) -> None:
        routing.add(
            actor=request.user,
            direction=given["direction"],
            provider=given["provider"],
            currency=given["currency"],
            country=given["country"],
            rank=given["rank"],
            reason=given["reason"],
            now=timezone.now(),
        )

    @dialog_action(
        title=_("Change the rank"),
        question=_("Among routes for the same currency and country the lowest rank wins."),
        done=_("The rank is changed."),
        permission="route",
        icon="swap_vert",
        form_class=RankForm,
    )
    def set_rank(self, request: HttpRequest, row: ProviderRoute, given: dict[str, Any]) -> None:
        self._change(request, row, given, rank=given["rank"])

    @dialog_action(
        title=_("Switch off"),
        question=_("Money takes the next best way. What is under way is settled as before."),
        done=_("The route is switched off."),
        permission="route",
        icon="toggle_off",
    )
    def switch_off(self, request: HttpRequest, row: ProviderRoute, given: dict[str, Any]) -> None:
        self._change(request, row, given, is_active=False)

    @dialog_action(
        title=_("Switch on"),
        question=_("It holds for payments and payouts that begin from now on."),
        done=_("The route is switched on."),
        permission="route",
        icon="toggle_on",
    )
    def switch_on(self, request: HttpRequest, row: ProviderRoute, given: dict[str, Any]) -> None:
        self._change(request, row, given, is_active=True)

    @dialog_action(
        title=_("Remove"),
        question=_("Money takes the next best way. What is under way is settled as before."),
        done=_("The route is removed."),
        permission="route",
        icon="delete",
        variant=DANGER,
    )
    def remove(self, request: HttpRequest, row: ProviderRoute, given: dict[str, Any]) -> None:
        routing.remove(actor=request.user, route=row, reason=given["reason"], now=timezone.now())
        row.pk = None

    def _change(
        self, request: HttpRequest, row: ProviderRoute, given: dict[str, Any], **changes: Any
    ) -> None:
        values = {"rank": row.rank, "is_active": row.is_active, **changes}
        routing.change(actor=request.user, route=row, reason=given["reason"], now=timezone.now(), **values)

    @display(description=_("direction"))
    def way(self, route: ProviderRoute) -> str:
        return str(route.get_direction_display())

    @display(description=_("currency"))
    def currency_shown(self, route: ProviderRoute) -> str:
        return route.currency or str(_("any"))

    @display(description=_("country"))
    def country_shown(self, route: ProviderRoute) -> str:
        return route.country or str(_("any"))

    @display(description=_("state"))
    def state(self, route: ProviderRoute) -> str:
        if route.provider not in registry.configured():
            return label(_("not set up here"), "danger")
        return label(_("in force"), "success") if route.is_active else label(_("switched off"), "warning")
