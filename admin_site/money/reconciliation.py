"""Comparisons with the providers: when they ran, what the two sides tell differently, and what it was."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from admin_site.frame.actions import dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import label, link
from admin_site.frame.exporting import export_action
from admin_site.frame.narrowing import ByProvider, Days
from backend.bookings import asking_again
from backend.core import access
from backend.payments import reconciliation
from backend.payments.models import MoneyOp, ReconciliationDifference, ReconciliationRun

MEANINGS = {
    ReconciliationDifference.What.UNKNOWN_TO_US: _(
        "The provider moved money for an order that we never gave: somebody acted on the provider's own page, or has our"
        " keys. Find out who, and undo it there if it was wrong. Then settle it here with what it was. The books hold"
        " only what was asked from here: tell the accountant."
    ),
    ReconciliationDifference.What.UNKNOWN_TO_THEM: _(
        "We booked that money moved, and the provider's list does not have it. Lists lag: ask again. If it stays, write"
        " to the provider with our key before anybody pays a second time."
    ),
    ReconciliationDifference.What.OUTCOME: _(
        "We booked one outcome and the provider tells another. A refund that came back is put right by asking again."
        " For all else: do not repeat the movement, settle it once it is clear what happened."
    ),
    ReconciliationDifference.What.TERMS: _(
        "The amount, the currency or the kind is another one than we asked for. This should never happen: stop paying"
        " through this provider until it is explained."
    ),
}
"""Difference → what it means and what to do."""


class NoteForm(BaseDialogForm):
    """What the difference was."""

    note = forms.CharField(
        label=_("What it was"),
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "maxlength": 500}),
    )


class SettledFilter(RadioFilter):
    title = _("settled")
    parameter_name = "settled"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("not yet"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ReconciliationDifference]
    ) -> QuerySet[ReconciliationDifference]:
        return queryset.filter(settled_at=None) if self.value() == "open" else queryset


@admin.register(ReconciliationDifference)
class DifferencePage(Page):
    icon = "difference"
    list_display = ("order", "provider", "what", "ours", "theirs", "first_seen_at", "last_seen_at", "state")
    list_filter = (SettledFilter, ("what", ChoicesDropdownFilter), ByProvider, ("first_seen_at", Days))
    list_filter_submit = True
    search_fields = ("key",)
    search_help_text = _("Our key, or the provider's reference")
    ordering = ("-id",)
    actions_list = ("export",)
    actions_detail = ("ask_again", "settle")
    offered = dict.fromkeys(actions_detail, lambda difference: difference.settled_at is None)
    export = export_action(
        columns=[
            *(("provider", "provider"), ("order", "key"), ("difference", "what")),
            *(("we_say", "ours"), ("they_say", "theirs")),
            *(("first_seen_at", "first_seen_at"), ("last_seen_at", "last_seen_at")),
            *(("settled_at", "settled_at"), ("note", "note")),
        ],
    )
    fields = (
        "meaning",
        ("provider", "order", "what"),
        ("about", "ours", "theirs"),
        ("first_seen_at", "last_seen_at", "settled_at"),
        "note",
    )
    readonly_fields = ("meaning", "order", "about", "state")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ReconciliationDifference], search_term: str
    ) -> tuple[QuerySet[ReconciliationDifference], bool]:
        term = search_term.strip()
        return (queryset.filter(key=term) if term else queryset), False

    def has_settle_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "reconciliation.settle")

    @dialog_action(
        title=_("Ask the provider again"),
        question=_(
            "What it says of the order now is applied, and its whole list is compared once more. It does no harm to ask."
        ),
        done=_("The provider was asked: this page shows what it says now."),
        permission="settle",
        icon="contact_support",
    )
    def ask_again(self, request: HttpRequest, row: ReconciliationDifference, given: dict[str, Any]) -> None:
        agree = asking_again.ask_again(
            actor=request.user, difference_id=row.pk, reason=given["reason"], now=timezone.now()
        )
        if not agree:
            messages.warning(request, _("The two sides still differ."))

    @dialog_action(
        title=_("Settle"),
        question=_(
            "It is not looked for any more as long as both sides say the same as now. Money is moved by other actions."
        ),
        done=_("The difference is settled."),
        permission="settle",
        icon="task_alt",
        form_class=NoteForm,
    )
    def settle(self, request: HttpRequest, row: ReconciliationDifference, given: dict[str, Any]) -> None:
        reconciliation.settle(
            actor=request.user, difference_id=row.pk, note=given["note"], now=timezone.now()
        )

    @display(description=_("what it means"))
    def meaning(self, difference: ReconciliationDifference) -> str:
        return str(MEANINGS[ReconciliationDifference.What(difference.what)])

    @display(description=_("about"))
    def about(self, difference: ReconciliationDifference) -> str:
        """The payment or payout that our order is about."""
        if difference.what == ReconciliationDifference.What.UNKNOWN_TO_US:
            return "–"
        op = asking_again.operation(difference.key)
        return link(op.payment or op.payout) if op else "–"

    @display(description=_("order"))
    def order(self, difference: ReconciliationDifference) -> str:
        if difference.what == ReconciliationDifference.What.UNKNOWN_TO_US:
            return difference.key
        return link(MoneyOp(pk=difference.key), difference.key)

    @display(description=_("state"))
    def state(self, difference: ReconciliationDifference) -> str:
        if difference.settled_at is None:
            return label(_("open"), "danger")
        return label(_("explained") if difference.note else _("gone"), "success")


@admin.register(ReconciliationRun)
class RunPage(Page):
    icon = "compare_arrows"
    list_display = ("ran_at", "provider", "since", "until", "compared", "differences", "outcome")
    ordering = ("-id",)
    fields = (("provider", "ran_at", "outcome"), ("since", "until"), ("compared", "differences"), "failure")
    readonly_fields = ("outcome",)

    @display(description=_("outcome"))
    def outcome(self, run: ReconciliationRun) -> str:
        if run.failure:
            return label(_("failed"), "danger")
        return label(_("differences"), "warning") if run.differences else label(_("equal"), "success")


def card(request: HttpRequest, now: datetime) -> dict[str, Any]:
    """What the first page shows of it; empty for those who may not see it."""
    if not request.user.has_perm("payments.view_reconciliationdifference"):
        return {}
    return {
        "reconciliation_headers": [
            gettext("Provider"),
            gettext("Differences"),
            gettext("Last compared"),
            gettext("State"),
        ],
        "reconciliation": [
            [standing.provider, standing.differences, _age(standing.good_at, now), _state(standing)]
            for standing in reconciliation.standing()
        ],
        "reconciliation_url": reverse("admin:payments_reconciliationdifference_changelist") + "?settled=open",
    }


def _age(at: datetime | None, now: datetime) -> str:
    return gettext("never") if at is None else gettext("%s ago") % timesince(at, now)


def _state(standing: reconciliation.Standing) -> str:
    if standing.failure:
        return label(standing.failure, "danger")
    if standing.differences:
        return label(gettext("differences"), "warning")
    return (
        label(gettext("equal"), "success")
        if standing.good_at
        else label(gettext("never compared"), "default")
    )
