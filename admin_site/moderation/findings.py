"""What was found by itself in listings, the words that are looked for, and the strikes that decisions have led to."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm

from admin_site.frame import fields, finding
from admin_site.frame.actions import DEFAULT, SUCCESS, WARNING, ReasonForm, dialog_action, refuse
from admin_site.frame.base import Page
from admin_site.frame.display import label, link, url_of
from admin_site.moderation.case_view import explain
from backend.core import access
from backend.core.errors import DomainError
from backend.moderation import deciding, text_rules
from backend.moderation.models import Flag, Strike, TextRule

FLAG_COLOURS = {"open": "warning", "confirmed": "danger", "dismissed": "default", "gone": "default"}
SEVERITY_COLOURS = {"low": "default", "normal": "info", "high": "danger"}


class RuleForm(ReasonForm):
    """Which words, in which listings, and why."""

    pattern = fields.words(
        _("Words"), 120, help_text=_("Plain words; * for any letters of a word: cash only, moneygr*m")
    )
    language = fields.choice(
        _("In listings written in"), TextRule._meta.get_field("language").choices, required=False
    )
    severity = fields.choice(_("Severity"), TextRule.Severity.choices, initial="normal")
    field_order = ("pattern", "language", "severity", "reason")


class TryForm(BaseDialogForm):
    """A pattern and a text to try it on."""

    pattern = fields.words(_("Words"), 120)
    text = fields.text(_("Text"), text_rules.TRIED_LONGEST, rows=6)


@admin.register(Flag)
class FlagPage(Page):
    icon = "flag"
    list_display = ("created_at", "place", "kind", "weight", "state", "of_case")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("severity", ChoicesDropdownFilter),
    )
    list_filter_submit = True
    search_fields = ("=listing__id",)
    search_help_text = _("Number of the listing")
    ordering = ("-id",)
    actions_detail = ("dismiss",)
    offered = {"dismiss": lambda flag: flag.status == Flag.Status.OPEN}
    fields = (
        ("place", "of_case"),
        ("kind", "weight", "state"),
        "why",
        ("created_at", "decided_at", "decided_by"),
    )
    readonly_fields = ("place", "of_case", "weight", "state", "why")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Flag]:
        return super().get_queryset(request).select_related("listing", "case", "decided_by")

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        flag = self.get_row(request, str(object_id)) if object_id else None
        case = flag.case if flag is not None else None
        return case is not None and access.can(request.user, "case.decide", case)

    @dialog_action(
        title=_("Dismiss"),
        question=_("There is nothing in it: the same is not found again in this listing."),
        done=_("The finding is dismissed."),
        permission="decide",
        icon="done",
        variant=DEFAULT,
    )
    def dismiss(self, request: HttpRequest, row: Flag, given: dict[str, Any]) -> None:
        deciding.dismiss_flag(actor=request.user, flag_id=row.pk, reason=given["reason"], now=timezone.now())

    def after_action(self, row: Flag) -> str:
        return url_of(row.case or row)

    @display(description=_("listing"))
    def place(self, flag: Flag) -> str:
        return link(flag.listing)

    @display(description=_("case"))
    def of_case(self, flag: Flag) -> str:
        return link(flag.case)

    @display(description=_("severity"))
    def weight(self, flag: Flag) -> str:
        return label(flag.get_severity_display(), SEVERITY_COLOURS[flag.severity])

    @display(description=_("status"))
    def state(self, flag: Flag) -> str:
        return label(flag.get_status_display(), FLAG_COLOURS[flag.status])

    @display(description=_("found"))
    def why(self, flag: Flag) -> str:
        return format_html_join("", "<div>{}</div>", ((line,) for line in explain(flag))) or "–"


@admin.register(TextRule)
class TextRulePage(Page):
    icon = "spellcheck"
    list_display = ("pattern", "language", "weight", "is_on", "note", "created_at")
    list_filter = (("language", ChoicesDropdownFilter), ("severity", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("pattern",)
    ordering = ("pattern",)
    actions_list = ("add_rule", "try_rule")
    actions_detail = ("switch_on", "switch_off")
    offered = {
        "switch_on": lambda rule: not rule.is_active,
        "switch_off": lambda rule: rule.is_active,
    }
    fields = (("pattern", "language"), ("weight", "is_on"), "note", ("created_by", "created_at"))
    readonly_fields = ("weight", "is_on")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TextRule]:
        return super().get_queryset(request).select_related("created_by")

    def has_edit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "text_rule.edit")

    @dialog_action(
        title=_("Add rule"),
        question=_(
            "It is looked for in every listing that is offered or changed from now on. Nothing is hidden by it."
        ),
        done=_("The rule is added."),
        permission="edit",
        icon="add",
        variant=SUCCESS,
        form_class=RuleForm,
        on_list=True,
    )
    def add_rule(self, request: HttpRequest, row: None, given: dict[str, Any]) -> None:
        text_rules.add(actor=request.user, now=timezone.now(), **given_rule(given))

    @action(
        description=_("Try words"),
        url_path="try-rule",
        permissions=["edit"],
        icon="science",
        dialog={
            "title": _("Try words"),
            "description": _("Shows what they would find in a text. Nothing is kept."),
            "form_class": TryForm,
            "form_submit_text": _("Try words"),
            "button": "primary",
        },
    )
    def try_rule(self, request: HttpRequest, form: Any) -> HttpResponse:
        """What a pattern would find in a text."""
        given = form.cleaned_data
        try:
            pieces = text_rules.matches(actor=request.user, pattern=given["pattern"], text=given["text"])
        except DomainError as error:
            dialog = {"title": _("Try words"), "form_submit_text": _("Try words"), "button": "primary"}
            return refuse(request, dialog, form, error)
        count = sum(found for _words, found in pieces)
        return render(request, "admin_site/tried_words.html", {"pieces": pieces, "count": count})

    @dialog_action(
        title=_("Switch on"),
        question=_("It is looked for again in listings that are offered or changed."),
        done=_("The rule is on."),
        permission="edit",
        icon="toggle_on",
        variant=SUCCESS,
    )
    def switch_on(self, request: HttpRequest, row: TextRule, given: dict[str, Any]) -> None:
        text_rules.switch(
            actor=request.user, rule_id=row.pk, on=True, reason=given["reason"], now=timezone.now()
        )

    @dialog_action(
        title=_("Switch off"),
        question=_("It is not looked for any more. What it has found stays until the listing changes."),
        done=_("The rule is off."),
        permission="edit",
        icon="toggle_off",
        variant=WARNING,
    )
    def switch_off(self, request: HttpRequest, row: TextRule, given: dict[str, Any]) -> None:
        text_rules.switch(
            actor=request.user, rule_id=row.pk, on=False, reason=given["reason"], now=timezone.now()
        )

    @display(description=_("severity"))
    def weight(self, rule: TextRule) -> str:
        return label(rule.get_severity_display(), SEVERITY_COLOURS[rule.severity])

    @display(description=_("on"), boolean=True)
    def is_on(self, rule: TextRule) -> bool:
        return rule.is_active


def given_rule(given: dict[str, Any]) -> dict[str, Any]:
    """What the dialog says, by the names of the operation."""
    return {name: given[name] for name in ("pattern", "language", "severity", "reason")}


class CountingFilter(RadioFilter):
    """Whether strikes count now."""

    title = _("counts")
    parameter_name = "counts"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("now")), ("no", _("no longer"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Strike]) -> QuerySet[Strike]:
        counting = {"removed_at": None, "expires_at__gt": timezone.now()}
        if self.value() == "yes":
            return queryset.filter(**counting)
        return queryset.exclude(**counting) if self.value() == "no" else queryset


@admin.register(Strike)
class StrikePage(Page):
    icon = "heart_broken"
    list_display = ("created_at", "whose", "points", "reason_code", "expires_at", "removed_at", "of_case")
    list_filter = (CountingFilter, ("reason_code", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("id",)
    search_help_text = _("Name or email")
    ordering = ("-id",)
    fields = (
        ("whose", "of_case"),
        ("points", "reason_code"),
        ("created_at", "expires_at", "removed_at"),
        "paused",
    )
    readonly_fields = ("whose", "of_case")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Strike]:
        return super().get_queryset(request).select_related("person", "decision__case")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Strike], search_term: str
    ) -> tuple[QuerySet[Strike], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(person__in=finding.people_ids(search_term)), False

    @display(description=_("whose"))
    def whose(self, strike: Strike) -> str:
        return link(strike.person)

    @display(description=_("case"))
    def of_case(self, strike: Strike) -> str:
        return link(strike.decision.case)
