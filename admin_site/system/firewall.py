"""The firewall and the limits: which networks come in at which door, and whom a limit has stopped lately."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesRadioFilter, FieldTextFilter, RadioFilter
from unfold.decorators import action, display

from admin_site.frame import fields
from admin_site.frame.actions import DANGER, ReasonForm, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import label, link, url_of
from admin_site.frame.exporting import export_action
from admin_site.frame.importing import import_action
from backend.accounts.models import User
from backend.core import access
from backend.core import firewall as judging
from backend.core.models import FirewallRule, ThrottledSubject
from backend.identity import firewall

CONFIRM = _("Do it although it shuts my own address out")


class RuleForm(ReasonForm):
    """A network, a door, and what becomes of it there."""

    css_class = "ko-grid"
    network = fields.words(
        _("Network"), 50, help_text=_("An address or a network: 203.0.113.7, 203.0.113.0/24, 2001:db8::/32.")
    )
    effect = fields.choice(_("Effect"), FirewallRule.Effect.choices)
    door = fields.choice(_("Door"), FirewallRule.Door.choices)
    expires_at = fields.moment(
        _("Until (UTC)"),
        required=False,
        help_text=_(
            "Empty: for good. When the last rule that allows has ended, the door is open to everybody."
        ),
    )
    note = fields.words(_("Note"), 200, required=False)
    confirmed = fields.switch(CONFIRM)
    field_order = ("network", "effect", "door", "expires_at", "note", "confirmed", "reason")


class ChangeForm(ReasonForm):
    """Why, and whether it is meant."""

    confirmed = fields.switch(CONFIRM)
    field_order = ("confirmed", "reason")


class BlockForm(ReasonForm):
    """How long a stopped address stays out."""

    hours = fields.whole(_("Hours"), 1, 24 * 365, initial=24)
    field_order = ("hours", "reason")


class AddressForm(forms.Form):
    """Whose way in is to be tried."""

    address = forms.GenericIPAddressField(label=_("Address"), widget=fields.words("", 45).widget)


class InForceFilter(RadioFilter):
    title = _("in force")
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("yes")), ("no", _("no"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FirewallRule]) -> QuerySet[FirewallRule]:
        over = {"expires_at__lte": timezone.now()}
        if self.value() == "yes":
            return queryset.filter(is_active=True).exclude(**over)
        if self.value() == "no":
            return queryset.exclude(pk__in=queryset.filter(is_active=True).exclude(**over))
        return queryset


def own_address() -> str | None:
    """Where whoever sits before the page comes from, as the firewall sees it."""
    return structlog.contextvars.get_contextvars().get("address")


@admin.register(FirewallRule)
class FirewallPage(Page):
    """Blocking wins over allowing; a door that somebody is allowed in at is closed to all others."""

    icon = "security"
    list_display = ("network_shown", "effect_shown", "door", "state", "expires_at", "note", "by")
    list_filter = (("door", ChoicesRadioFilter), ("effect", ChoicesRadioFilter), InForceFilter)
    list_filter_submit = True
    ordering = ("-id",)
    search_fields = ("note__icontains",)
    search_help_text = _("A word of the note")
    actions_list = ("export", "import_rows", "try_address", "add_rule")
    import_rows = import_action("firewall_rules", permission="change_rules")
    export = export_action(
        columns=[
            ("network", "network"),
            ("effect", "effect"),
            ("door", "door"),
            ("expires_at", "expires_at"),
            ("note", "note"),
            ("active", "is_active"),
        ],
    )
    actions_detail = ("switch_off", "switch_on", "remove")
    offered = {"switch_off": lambda rule: rule.is_active, "switch_on": lambda rule: not rule.is_active}
    fields = (
        ("network_shown", "effect_shown", "door"),
        ("state", "expires_at"),
        "note",
        ("created_at", "by"),
    )
    readonly_fields = ("network_shown", "effect_shown", "state", "by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[FirewallRule]:
        author = User.objects.filter(pk=OuterRef("created_by_id")).values("username")
        return super().get_queryset(request).annotate(author=Subquery(author))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.can(request.user, "firewall.see")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_rules_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request)

    def after_action(self, row: FirewallRule) -> str:
        return url_of(row) if row.pk else reverse("admin:core_firewallrule_changelist")

    @dialog_action(
        title=_("Add a rule"),
        question=_(
            "It counts within a second, on every machine. Blocking wins over allowing; a door that somebody is allowed "
            "in at is closed to all others."
        ),
        done=_("The rule is added."),
        permission="change_rules",
        icon="add",
        form_class=RuleForm,
        on_list=True,
    )
    def add_rule(self, request: HttpRequest, row: None, given: dict[str, Any]) -> None:
        firewall.add(
            actor=request.user,
            network=given["network"],
            effect=given["effect"],
            door=given["door"],
            expires_at=given["expires_at"],
            note=given["note"],
            confirmed=given["confirmed"],
            reason=given["reason"],
            own_address=own_address(),
            now=timezone.now(),
        )

    @dialog_action(
        title=_("Switch off"),
        question=_("The rule is kept and counts for nothing, within a second, on every machine."),
        done=_("The rule is switched off."),
        permission="change_rules",
        icon="toggle_off",
        form_class=ChangeForm,
    )
    def switch_off(self, request: HttpRequest, row: FirewallRule, given: dict[str, Any]) -> None:
        self._switch(request, row, given, is_active=False)

    @dialog_action(
        title=_("Switch on"),
        question=_("The rule counts again, within a second, on every machine."),
        done=_("The rule is switched on."),
        permission="change_rules",
        icon="toggle_on",
        form_class=ChangeForm,
    )
    def switch_on(self, request: HttpRequest, row: FirewallRule, given: dict[str, Any]) -> None:
        self._switch(request, row, given, is_active=True)

    @dialog_action(
        title=_("Remove"),
        question=_("The rule is gone for good, within a second, on every machine."),
        done=_("The rule is removed."),
        permission="change_rules",
        icon="delete",
        variant=DANGER,
        form_class=ChangeForm,
    )
    def remove(self, request: HttpRequest, row: FirewallRule, given: dict[str, Any]) -> None:
        firewall.remove(
            actor=request.user,
            rule=row,
            confirmed=given["confirmed"],
            reason=given["reason"],
            own_address=own_address(),
            now=timezone.now(),
        )
        row.pk = None

    @action(description=_("Try an address"), url_path="try", permissions=["view"], icon="login")
    def try_address(self, request: HttpRequest) -> HttpResponse:
        """Whether an address would get in at each door, and by which rule. Changes nothing."""
        asked = "address" in request.GET
        form = AddressForm(request.GET if asked else None, initial={"address": own_address()})
        context = {
            **self.admin_site.each_context(request),
            "title": _("Would this address get in?"),
            "opts": self.opts,
            "form": form,
            "headers": [_("door"), _("gets in"), _("because of")],
            "rows": _verdicts(form.cleaned_data["address"]) if asked and form.is_valid() else None,
        }
        return TemplateResponse(request, "admin_site/try_address.html", context)

    def _switch(
        self, request: HttpRequest, row: FirewallRule, given: dict[str, Any], *, is_active: bool
    ) -> None:
        firewall.switch(
            actor=request.user,
            rule=row,
            is_active=is_active,
            confirmed=given["confirmed"],
            reason=given["reason"],
            own_address=own_address(),
            now=timezone.now(),
        )

    @display(description=_("network"), ordering="network")
    def network_shown(self, rule: FirewallRule) -> str:
        return str(rule.network)

    @display(description=_("effect"))
    def effect_shown(self, rule: FirewallRule) -> str:
        colour = "danger" if rule.effect == FirewallRule.Effect.BLOCK else "success"
        return label(rule.get_effect_display(), colour)

    @display(description=_("state"))
    def state(self, rule: FirewallRule) -> str:
        if not rule.is_active:
            return label(_("switched off"), "warning")
        if not judging.counts(rule, timezone.now()):
            return label(_("over"), "default")
        return label(_("in force"), "success")

    @display(description=_("made by"))
    def by(self, rule: Any) -> str:
        if rule.created_by_id is None:
            return str(_("the system"))
        return link(User(pk=rule.created_by_id, username=rule.author or "–"))


def _verdicts(address: str) -> list[list[Any]]:
    """A row for each door: whether the address gets in now, and why."""
    rules = judging.refresh()
    shown = []
    for door in judging.DOORS:
        verdict = rules.judge(address, door)
        rule = FirewallRule.objects.filter(pk=verdict.rule_id).first() if verdict.rule_id else None
        otherwise = _("no rule names it") if verdict.is_admitted else _("others are allowed, it is not")
        answer = label(_("yes"), "success") if verdict.is_admitted else label(_("no"), "danger")
        shown.append([FirewallRule.Door(door).label, answer, link(rule) if rule else otherwise])
    return shown


def counts_addresses(stopped: ThrottledSubject) -> bool:
    """Whether the limit counted an address, which can be blocked, and not an account."""
    return stopped.policy == "anonymous" or "address" in stopped.policy


@admin.register(ThrottledSubject)
class ThrottledPage(Page):
    """Whom a limit has stopped in the last 30 days: once for each window in which they went over it."""

    icon = "speed"
    list_display = ("policy", "subject", "windows", "first_at", "last_at")
    list_filter = (("policy", FieldTextFilter), ("subject", FieldTextFilter))
    list_filter_submit = True
    ordering = ("-last_at", "-id")
    sortable_by = ("windows", "last_at")
    search_fields = ("subject__istartswith",)
    search_help_text = _("The beginning of an address or of an account")
    actions_detail = ("block",)
    offered = {"block": counts_addresses}
    fields = (("policy", "who"), ("windows", "first_at", "last_at"))
    readonly_fields = ("who",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.can(request.user, "firewall.see")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_block_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request)

    @dialog_action(
        title=_("Block"),
        question=_("Nothing is done for this address at the API for a while."),
        done=_("The address is blocked."),
        permission="block",
        icon="block",
        variant=DANGER,
        form_class=BlockForm,
    )
    def block(self, request: HttpRequest, row: ThrottledSubject, given: dict[str, Any]) -> None:
        now = timezone.now()
        firewall.add(
            actor=request.user,
            network=row.subject,
            door=FirewallRule.Door.API,
            effect=FirewallRule.Effect.BLOCK,
            note=row.policy,
            expires_at=now + timedelta(hours=given["hours"]),
            own_address=own_address(),
            now=now,
            reason=given["reason"],
        )

    @display(description=_("who"))
    def who(self, stopped: ThrottledSubject) -> str:
        kind, _colon, number = stopped.subject.rpartition(":")
        counts_users = not counts_addresses(stopped) and kind in ("", "account") and number.isdecimal()
        user = User.objects.filter(pk=int(number)).first() if counts_users else None
        return link(user) if user else stopped.subject
