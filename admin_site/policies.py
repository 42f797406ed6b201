"""Cancellation policies: every version that there was, in words."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import display

from admin_site.base import Page
from admin_site.display import label, link, pretty, table
from backend.bookings.models import CancellationPolicy

CODES: dict[str, Any] = {
    "flexible": _("flexible"),
    "moderate": _("moderate"),
    "limited": _("limited"),
    "firm": _("firm"),
    "strict": _("strict"),
    "non_refundable": _("non-refundable"),
    "long_stay": _("long stay"),
}


def named(code: str) -> Any:
    """A policy's name in the reader's language."""
    return CODES.get(code, code)


def keeps(keep: dict[str, Any] | None, *, in_stay: bool = False) -> str:
    """What the host keeps, in words: ``{"nights": 1, "percent": "50"}``; None: nothing at all."""
    if keep is None:
        return str(_("nothing: everything goes back"))
    nights, share = int(keep.get("nights", 0)), str(keep.get("percent", 0))
    if share == "100":
        return str(_("all nights"))
    parts = [str(_("the nights stayed"))] if in_stay else []
    if nights:
        parts.append(ngettext("%(n)d night", "%(n)d nights", nights) % {"n": nights})
    if share != "0":
        rest = _("%(percent)s %% of the rest") if parts else _("%(percent)s %% of the nights")
        parts.append(str(rest) % {"percent": share})
    return " + ".join(parts) or str(_("no night"))


def in_words(rules: dict[str, Any]) -> list[list[Any]]:
    """The tiers of a policy in the order of time: when, and what the host keeps."""
    rows = []
    grace = rules.get("grace")
    if grace:
        when = _("within %(hours)s h of the confirmation, if that lies %(days)s days or more before check-in")
        rows.append([when % {"hours": grace["hours"], "days": grace["days_before"]}, keeps(None)])
    for tier in rules.get("tiers", []):
        days = int(tier["days_before"])
        when = ngettext(
            "until %(n)d day before check-in, at its hour",
            "until %(n)d days before check-in, at its hour",
            days,
        )
        rows.append([when % {"n": days}, keeps(tier["keep"])])
    rows.append([_("later, before check-in"), keeps(rules.get("late"))])
    rows.append([_("during the stay"), keeps(rules.get("stay"), in_stay=True)])
    return rows


class VersionFilter(RadioFilter):
    title = _("policy")
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(CODES.items())

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[CancellationPolicy]
    ) -> QuerySet[CancellationPolicy]:
        return queryset.filter(code=self.value()) if self.value() else queryset


@admin.register(CancellationPolicy)
class PolicyPage(Page):
    """One version a row. A booking keeps the version that it was made under."""

    icon = "event_repeat"
    list_display = ("name", "version", "effective_from", "summary", "by")
    list_filter = (VersionFilter,)
    list_filter_submit = True
    ordering = ("code", "-version")
    fields = (
        ("name", "version", "effective_from"),
        "tiers",
        ("created_at", "by"),
        "reason",
        "data",
    )
    readonly_fields = ("name", "tiers", "by", "data")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CancellationPolicy]:
        return super().get_queryset(request).select_related("created_by")

    @display(description=_("policy"))
    def name(self, policy: CancellationPolicy) -> Any:
        return named(policy.code)

    @display(description=_("everything goes back"))
    def summary(self, policy: CancellationPolicy) -> str:
        free = [tier for tier in policy.rules.get("tiers", []) if tier["keep"] is None]
        if not free:
            return label(_("in the grace only") if policy.rules.get("grace") else _("never"), "default")
        days = min(int(tier["days_before"]) for tier in free)
        until = ngettext("until %(n)d day before", "until %(n)d days before", days) % {"n": days}
        return label(until, "success")

    @display(description=_("tiers"))
    def tiers(self, policy: CancellationPolicy) -> str:
        return table([_("when the guest cancels"), _("the host keeps")], in_words(policy.rules))

    @display(description=_("as data"))
    def data(self, policy: CancellationPolicy) -> str:
        return pretty(policy.rules)

    @display(description=_("published by"))
    def by(self, policy: CancellationPolicy) -> str:
        return link(policy.created_by)
