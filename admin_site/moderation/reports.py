"""Reports that people have made to the moderators: the queue, what was reported, and the decisions.

Who reported and what they wrote is shown to those alone who decide.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from admin_site.frame import finding, masking
from admin_site.frame.actions import DANGER, DEFAULT, WARNING, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import label, link
from backend.accounts.models import User
from backend.core import access
from backend.moderation import services as moderation
from backend.moderation.models import SUBJECTS, Report

COLOURS = {"open": "warning", "upheld": "danger", "dismissed": "default"}


def with_earlier(reports: QuerySet[Report]) -> QuerySet[Report]:
    """With ``earlier``: how many reports of the same thing there were before, and ``earlier_upheld`` of them."""
    same = Q()
    for subject in SUBJECTS:
        same |= Q(**{subject: OuterRef(subject)})
    before = Report.objects.filter(same, pk__lt=OuterRef("pk")).order_by().values(one=Value(1))
    counted = before.annotate(n=Count("pk"), upheld=Count("pk", filter=Q(status=Report.Status.UPHELD)))
    return reports.annotate(
        earlier=Coalesce(Subquery(counted.values("n")), 0),
        earlier_upheld=Coalesce(Subquery(counted.values("upheld")), 0),
    )


def _is_open(report: Report) -> bool:
    return report.status == Report.Status.OPEN


@admin.register(Report)
class ReportPage(Page):
    icon = "report"
    list_display = ("created_at", "about", "reason", "reported_by", "waiting", "state", "before")
    list_filter = (("status", ChoicesDropdownFilter), ("reason", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("id",)
    search_help_text = _("Number of a report, or name or email of whom it is about")
    actions_detail = ("uphold", "uphold_and_hide", "uphold_and_suspend", "dismiss")
    offered = {
        "uphold": _is_open,
        "uphold_and_hide": lambda report: _is_open(report) and report.user_id is None,
        "uphold_and_suspend": _is_open,
        "dismiss": _is_open,
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("about", "whose"),
                    ("reason", "reported_by"),
                    "said",
                    "was_written",
                    ("state", "created_at", "before"),
                )
            },
        ),
        (_("Decision"), {"fields": (("decided_at", "decided_by"), ("step", "note"))}),
    )
    readonly_fields = ("about", "whose", "reported_by", "said", "was_written", "state", "before")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        related = ("reporter", "decided_by", "listing__host", "user", "message__sender", "review__author")
        return with_earlier(super().get_queryset(request).select_related(*related, "message__conversation"))

    def get_ordering(self, request: HttpRequest) -> Any:
        """What is open first, and of that the oldest; of the rest the newest."""
        is_open = Q(status=Report.Status.OPEN)
        return (
            Case(When(is_open, then=Value(0)), default=Value(1)),
            Case(When(is_open, then=F("id")), default=-F("id")),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Report], search_term: str
    ) -> tuple[QuerySet[Report], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        people = finding.people_ids(term)
        found = Q(listing__host__in=people) | Q(user__in=people)
        found |= Q(message__sender__in=people) | Q(review__author__in=people)
        if term.isascii() and term.isdigit() and len(term) < 19:
            found |= Q(pk=int(term))
        return queryset.filter(found), False

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        report = self.get_row(request, str(object_id)) if object_id else None
        return report is not None and access.can(request.user, "report.decide", report)

    def has_suspend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        if not self.has_decide_permission(request, object_id):
            return False
        person = _person(self.get_row(request, str(object_id)))
        return person is not None and access.can(request.user, "user.suspend", person)

    @dialog_action(
        title=_("Uphold"),
        question=_(
            "The report is right, and nothing else follows from here. Its reporter is told that it is decided; whom it "
            "is about is told nothing."
        ),
        done=_("The report is upheld."),
        permission="decide",
        icon="check_circle",
        variant=WARNING,
    )
    def uphold(self, request: HttpRequest, row: Report, given: dict[str, Any]) -> None:
        _uphold(request, row, given, Report.Step.NONE)

    @dialog_action(
        title=_("Uphold and hide"),
        question=_(
            "The report is right. A listing is flagged: nobody finds it until somebody approves it, its bookings stay. A "
            "message or a review is hidden. The host of a listing and the author of a review read your reason, but "
            "not that somebody reported it. The reporter is told that it is decided."
        ),
        done=_("The report is upheld, and what it is about is hidden."),
        permission="decide",
        icon="visibility_off",
        variant=DANGER,
    )
    def uphold_and_hide(self, request: HttpRequest, row: Report, given: dict[str, Any]) -> None:
        _uphold(request, row, given, Report.Step.HIDE)

    @dialog_action(
        title=_("Uphold and suspend"),
        question=_(
            "The report is right, and whose it is that was reported is shut out: all their sessions end, and they cannot "
            "sign in until somebody restores them. The reporter is told that it is decided."
        ),
        done=_("The report is upheld, and the person is suspended."),
        permission="suspend",
        icon="person_off",
        variant=DANGER,
    )
    def uphold_and_suspend(self, request: HttpRequest, row: Report, given: dict[str, Any]) -> None:
        _uphold(request, row, given, Report.Step.SUSPEND)

    @dialog_action(
        title=_("Dismiss"),
        question=_(
            "There is nothing in the report. Its reporter is told that it is decided and may report the same again; whom "
            "it is about is told nothing."
        ),
        done=_("The report is dismissed."),
        permission="decide",
        icon="cancel",
        variant=DEFAULT,
    )
    def dismiss(self, request: HttpRequest, row: Report, given: dict[str, Any]) -> None:
        moderation.dismiss(actor=request.user, report_id=row.pk, reason=given["reason"], now=timezone.now())

    @display(description=_("about"))
    def about(self, report: Report) -> str:
        if report.message is not None:
            return link(report.message.conversation, _now("message %(id)s") % {"id": report.message_id})
        if report.review is not None:
            return link(report.review, _now("review %(id)s") % {"id": report.review_id})
        return link(report.listing or report.user)

    @display(description=_("whose"))
    def whose(self, report: Report) -> str:
        return link(_person(report))

    @display(description=_("reported by"))
    def reported_by(self, report: Report) -> Any:
        return masking.report(link(report.reporter))

    @display(description=_("details"))
    def said(self, report: Report) -> Any:
        return _lines(masking.report(report.details))

    @display(description=_("what it said"))
    def was_written(self, report: Report) -> Any:
        return _lines(masking.report(report.evidence))

    @display(description=_("waits"))
    def waiting(self, report: Report) -> str:
        return timesince(report.created_at, timezone.now(), depth=1) if _is_open(report) else "–"

    @display(description=_("status"))
    def state(self, report: Report) -> str:
        return label(report.get_status_display(), COLOURS[report.status])

    @display(description=_("earlier reports (upheld)"))
    def before(self, report: Any) -> str:
        return f"{report.earlier} ({report.earlier_upheld})" if report.earlier else "–"


def _uphold(request: HttpRequest, row: Report, given: dict[str, Any], step: str) -> None:
    moderation.uphold(
        actor=request.user, report_id=row.pk, reason=given["reason"], step=step, now=timezone.now()
    )


def _person(report: Report) -> User | None:
    """Whose it is that was reported."""
    if report.listing is not None:
        return report.listing.host
    if report.message is not None:
        return report.message.sender
    return report.review.author if report.review is not None else report.user


def _lines(text: str) -> str:
    return format_html('<div class="whitespace-pre-line">{}</div>', text)
