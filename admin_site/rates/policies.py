"""Cancellation policies: every version that there was, in words, the simulator, and how a new one begins."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import action, display

from admin_site.frame import fields
from admin_site.frame.actions import ReasonForm, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import label, link, table
from admin_site.rates.simulator import SimulatorForm, as_text, outcome
from backend.bookings import policy_versions
from backend.bookings.models import CancellationPolicy
from backend.core import access

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
    rows: list[list[Any]] = []
    grace = rules.get("grace")
    if grace:
        soon = _("within %(hours)s h of the confirmation, if that lies %(days)s days or more before check-in")
        rows.append([soon % {"hours": grace["hours"], "days": grace["days_before"]}, keeps(None)])
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


class PublishForm(ReasonForm):
    """The rules as data, prefilled with those of the version that one comes from."""

    rules = fields.text(_("Rules"), 5000, rows=9)
    effective_from = fields.moment(
        _("In force from (UTC)"), required=False, help_text=_("Empty: from now on.")
    )
    field_order = ("rules", "effective_from", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = CancellationPolicy.objects.filter(pk=unquote(str(self.object_id))).first()
        if row is not None:
            self.fields["rules"].initial = as_text(row.rules)

    def clean_rules(self) -> dict[str, Any]:
        try:
            rules = json.loads(self.cleaned_data["rules"])
        except ValueError:
            raise forms.ValidationError(_("This is not JSON.")) from None
        if not isinstance(rules, dict):
            raise forms.ValidationError(_("The rules could not be read."))
        return rules


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
    actions_list = ("simulate",)
    actions_detail = ("simulate_this", "publish")
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

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "policy.publish")

    @action(description=_("Simulator"), url_path="simulate", permissions=["view"], icon="calculate")
    def simulate(self, request: HttpRequest) -> HttpResponse:
        """What a policy gives back for an imagined stay. Asked by GET: it changes nothing and can be passed on."""
        asked = "check_in" in request.GET
        form = SimulatorForm(request.GET if asked else None, initial=request.GET.dict())
        context = {
            **self.admin_site.each_context(request),
            "title": _("Cancellation simulator"),
            "opts": self.opts,
            "form": form,
            "outcome": outcome(form.cleaned_data) if asked and form.is_valid() else None,
        }
        return TemplateResponse(request, "admin_site/simulator.html", context)

    @action(description=_("Simulate"), url_path="simulate-this", permissions=["view"], icon="calculate")
    def simulate_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The simulator with this version chosen."""
        address = reverse("admin:bookings_cancellationpolicy_simulate")
        return HttpResponseRedirect(f"{address}?{urlencode({'version': unquote(object_id)})}")

    @dialog_action(
        title=_("Publish a new version"),
        question=_(
            "Quotes and bookings keep the version that they were made with; from the given instant on, new ones follow "
            "this one. Try the rules in the simulator first."
        ),
        done=_("The new version is published."),
        permission="publish",
        icon="publish",
        form_class=PublishForm,
    )
    def publish(self, request: HttpRequest, row: CancellationPolicy, given: dict[str, Any]) -> None:
        policy_versions.publish(
            actor=request.user,
            code=row.code,
            rules=given["rules"],
            effective_from=given["effective_from"],
            reason=given["reason"],
            now=timezone.now(),
        )

    def after_action(self, row: CancellationPolicy) -> str:
        return f"{reverse('admin:bookings_cancellationpolicy_changelist')}?code={row.code}"

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
        return format_html('<pre class="ko-json">{}</pre>', as_text(policy.rules))

    @display(description=_("published by"))
    def by(self, policy: CancellationPolicy) -> str:
        return link(policy.created_by)
