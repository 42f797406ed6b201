"""Cases: the queue of the moderators, and one case with all that they should see before they decide."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import action, display

from admin_site.frame import finding
from admin_site.frame.actions import DANGER, DEFAULT, SUCCESS, WARNING, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import label, link
from admin_site.moderation import case_view
from admin_site.moderation.case_forms import (
    ApproveForm,
    DismissForm,
    NoteForm,
    TakeForm,
    case_of,
    decision_form,
    letter,
)
from backend.core import access
from backend.core.access import SYSTEM
from backend.moderation import appeals, cases, deciding
from backend.moderation.models import SUBJECTS, Case, Decision, Flag, Report

COLOURS = {
    "open": "warning",
    "waiting_for_host": "info",
    "decided": "default",
    "appealed": "danger",
    "closed": "default",
}
PRIORITY_COLOURS = {0: "default", 1: "info", 2: "warning", 3: "danger"}
NOT_OVER = (Case.Status.OPEN, Case.Status.WAITING, Case.Status.APPEALED)
Action = Decision.Action


class StateFilter(RadioFilter):
    """Where a case stands. Without a choice: all that are not over."""

    title = _("state")
    parameter_name = "state"
    all_option = ["", _("not over")]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("open", _("to decide")),
            ("again", _("offered again")),
            ("appealed", _("appealed")),
            ("waiting_for_host", _("waits for the host")),
            ("decided", _("decided")),
            ("closed", _("closed")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        value = self.value()
        if value == "again":
            return queryset.filter(status=Case.Status.OPEN, resubmitted_at__isnull=False)
        if value in Case.Status.values:
            return queryset.filter(status=value)
        return queryset if request.GET.get("q") else queryset.filter(status__in=NOT_OVER)


class HandsFilter(RadioFilter):
    """Who looks after it, and whether it is late."""

    title = _("in whose hands")
    parameter_name = "hands"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("mine", _("mine")), ("free", _("nobody's")), ("late", _("overdue"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        if self.value() == "mine":
            return queryset.filter(assignee=request.user.pk)
        if self.value() == "free":
            return queryset.filter(assignee=None)
        if self.value() == "late":
            return queryset.filter(status__in=Case.QUEUED, due_at__lt=timezone.now())
        return queryset


class SubjectFilter(RadioFilter):
    title = _("about")
    parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        words = {"listing": _("listing"), "user": _("person"), "message": _("message"), "review": _("review")}
        return [(kind, words[kind]) for kind in SUBJECTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        return queryset.filter(**{f"{self.value()}__isnull": False}) if self.value() in SUBJECTS else queryset


def _gathered(model: Any) -> Any:
    """How many open rows of ``model`` a case has."""
    rows = model.objects.filter(case=OuterRef("pk"), status="open").order_by().values(one=Value(1))
    return Coalesce(Subquery(rows.annotate(n=Count("pk")).values("n")), 0)


def _fits(decision: str) -> Any:
    return lambda case: decision in deciding.possible(case, SYSTEM)


def _is_appealed(case: Case) -> bool:
    return case.status == Case.Status.APPEALED


@admin.register(Case)
class CasePage(Page):
    icon = "gavel"
    list_display = ("what", "whose", "why", "urgency", "clock", "hands", "state")
    list_filter = (StateFilter, HandsFilter, SubjectFilter, ("priority", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("id",)
    search_help_text = _("Number of a case or a listing, or name or email of whom it is about")
    change_form_before_template = "admin_site/case.html"
    actions_detail = (
        *("take", "give_back", "approve", "ask_for_changes", "flag", "reject", "suspend", "hide"),
        *("suspend_person", "dismiss", "take_back", "let_stand", "letter"),
    )
    offered = {
        "take": lambda case: case.assignee_id is None and case.status in NOT_OVER,
        "give_back": lambda case: case.assignee_id is not None,
        "approve": _fits(Action.APPROVE),
        "ask_for_changes": _fits(Action.CHANGES),
        "flag": _fits(Action.FLAG),
        "reject": _fits(Action.REJECT),
        "suspend": _fits(Action.SUSPEND),
        "hide": _fits(Action.HIDE),
        "suspend_person": _fits(Action.SUSPEND_PERSON),
        "dismiss": _fits(Action.DISMISS),
        "take_back": _is_appealed,
        "let_stand": _is_appealed,
        # Asked for by the dialogs.
        "letter": lambda case: False,
    }
    fields = ()

    class Media:
        css = {"all": ("admin_site/moderation.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Case]:
        related = (
            *("person", "assignee", "listing", "user", "message__conversation__listing"),
            *("review__listing", "review__booking"),
        )
        rows = super().get_queryset(request).select_related(*related)
        return rows.annotate(reported=_gathered(Report), found=_gathered(Flag))

    def get_ordering(self, request: HttpRequest) -> Any:
        """What is due first at the top; of what is over the newest."""
        over = request.GET.get("state") in ("decided", "closed") or request.GET.get("q")
        return ("-id",) if over else ("due_at", "id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Case], search_term: str
    ) -> tuple[QuerySet[Case], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(person__in=finding.people_ids(term))
        if term.isascii() and term.isdigit() and len(term) < 19:
            found |= Q(pk=int(term)) | Q(listing=int(term))
        return queryset.filter(found), False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return ()

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        case = self.get_row(request, object_id) if object_id else None
        shown = case_view.context(case, request.user) if case is not None else {}
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        known: dict[str, bool] = request.__dict__.setdefault("_may_decide", {})
        key = str(object_id)
        if key not in known:
            case = self.get_row(request, key) if object_id else None
            known[key] = case is not None and access.can(request.user, "case.decide", case)
        return known[key]

    def has_suspend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        if not self.has_decide_permission(request, object_id):
            return False
        return access.can(request.user, "user.suspend", self.get_row(request, str(object_id)).person)

    def has_appeal_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may decide cases, but for who took the decision that is appealed against."""
        if not self.has_decide_permission(request, object_id):
            return False
        decided = Decision.objects.filter(case=object_id, appeal__status="open").first()
        return decided is None or access.can(request.user, "appeal.decide", decided)

    @dialog_action(
        title=_("Take"),
        question=_("You look after it, and no colleague can decide it until you give it back."),
        done=_("The case is yours."),
        permission="decide",
        icon="back_hand",
        variant=DEFAULT,
        form_class=TakeForm,
    )
    def take(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        cases.take(actor=request.user, case_id=row.pk, now=timezone.now())

    @dialog_action(
        title=_("Give back"),
        question=_("Others can take and decide it. Administrators may do this in a colleague's place."),
        done=_("The case is anybody's."),
        permission="decide",
        icon="undo",
        variant=DEFAULT,
        form_class=TakeForm,
    )
    def give_back(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        cases.give_back(actor=request.user, case_id=row.pk, reason=given["note"], now=timezone.now())

    @dialog_action(
        title=_("Approve"),
        question=_("Guests can find and book it at once. The host is told."),
        done=_("The listing is published."),
        permission="decide",
        icon="check_circle",
        variant=SUCCESS,
        form_class=ApproveForm,
    )
    def approve(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _decide(request, row, Action.APPROVE, given)

    @dialog_action(
        title=_("Ask for changes"),
        question=_(
            "The host gets it back as a draft, changes it and offers it again; then it is here again."
        ),
        done=_("The host is asked for changes."),
        permission="decide",
        icon="edit_note",
        variant=WARNING,
        form_class=decision_form(Action.CHANGES),
    )
    def ask_for_changes(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _decide(request, row, Action.CHANGES, given)

    @dialog_action(
        title=_("Flag"),
        question=_("It is hidden while you look at it, and the case stays open. The host reads the reason."),
        done=_("The listing is flagged."),
        permission="decide",
        icon="flag",
        variant=WARNING,
        form_class=decision_form(Action.FLAG),
    )
    def flag(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _decide(request, row, Action.FLAG, given)

    @dialog_action(
        title=_("Reject"),
        question=_("It is taken off the marketplace. The host may change it and offer it again, or appeal."),
        done=_("The listing is rejected."),
        permission="decide",
        icon="cancel",
        variant=DANGER,
        form_class=decision_form(Action.REJECT),
    )
    def reject(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _decide(request, row, Action.REJECT, given)

    @dialog_action(
        title=_("Suspend listing"),
        question=_("It is taken down for good: only a moderator brings it back. The host may appeal."),
        done=_("The listing is suspended."),
        permission="decide",
        icon="block",
        variant=DANGER,
        form_class=decision_form(Action.SUSPEND),
    )
    def suspend(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _decide(request, row, Action.SUSPEND, given)

    @dialog_action(
        title=_("Hide"),
        question=_("Nobody reads it any more. Whoever wrote it is told the reason and may appeal."),
        done=_("It is hidden."),
        permission="decide",
        icon="visibility_off",
        variant=DANGER,
        form_class=decision_form(Action.HIDE),
    )
    def hide(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _decide(request, row, Action.HIDE, given)

    @dialog_action(
        title=_("Suspend person"),
        question=_("They are shut out until somebody restores them. The letter says how they can appeal."),
        done=_("The person is suspended."),
        permission="suspend",
        icon="person_off",
        variant=DANGER,
        form_class=decision_form(Action.SUSPEND_PERSON),
    )
    def suspend_person(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _decide(request, row, Action.SUSPEND_PERSON, given)

    @dialog_action(
        title=_("Dismiss"),
        question=_(
            "There is nothing in it. What was found is not found again; who reported it is told that it is decided."
        ),
        done=_("The case is dismissed."),
        permission="decide",
        icon="done_all",
        variant=DEFAULT,
        form_class=DismissForm,
    )
    def dismiss(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _decide(request, row, Action.DISMISS, given)

    @dialog_action(
        title=_("Take the decision back"),
        question=_(
            "The appeal is granted: what the decision did is undone, its strike is removed, and they are told."
        ),
        done=_("The decision is taken back."),
        permission="appeal",
        icon="history",
        variant=SUCCESS,
        form_class=NoteForm,
    )
    def take_back(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _hear(request, row, True, given)

    @dialog_action(
        title=_("Let the decision stand"),
        question=_("The appeal is refused, and there is no other. They are told your reason."),
        done=_("The appeal is decided."),
        permission="appeal",
        icon="gavel",
        variant=DANGER,
        form_class=NoteForm,
    )
    def let_stand(self, request: HttpRequest, row: Case, given: dict[str, Any]) -> None:
        _hear(request, row, False, given)

    @action(description=_("Letter"), url_path="letter", permissions=["decide"])
    def letter(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The letter of a decision as it would be sent with what the dialog says now."""
        case = case_of(object_id)
        if case is None:
            raise Http404
        said = {name: request.GET.get(name, "") for name in ("action", "code", "words")}
        made = letter(case, said["action"], said["code"], said["words"])
        return TemplateResponse(request, "admin_site/case_letter.html", {"letter": made})

    @display(description=_("about"), header=True)
    def what(self, case: Case) -> list[Any]:
        return [*case_view.heading(case), _KIND_ICONS[case.kind]]

    @display(description=_("whose"))
    def whose(self, case: Case) -> str:
        return link(case.person)

    @display(description=_("why"))
    def why(self, case: Any) -> str:
        parts = []
        if case.resubmitted_at and case.status == Case.Status.OPEN:
            parts.append(_now("offered again"))
        elif case.listing is not None and case.listing.status == "pending_review":
            parts.append(_now("to approve"))
        if case.reported:
            parts.append(_now("reports: %(n)s") % {"n": case.reported})
        if case.found:
            parts.append(_now("findings: %(n)s") % {"n": case.found})
        if case.status == Case.Status.APPEALED:
            parts.append(_now("appeal"))
        return " · ".join(parts) or "–"

    @display(description=_("priority"))
    def urgency(self, case: Case) -> str:
        return label(case.get_priority_display(), PRIORITY_COLOURS[case.priority])

    @display(description=_("due"), ordering=F("due_at"))
    def clock(self, case: Case) -> str:
        return case_clock(case)

    @display(description=_("taken by"))
    def hands(self, case: Case) -> str:
        return link(case.assignee)

    @display(description=_("status"))
    def state(self, case: Case) -> str:
        return label(case.get_status_display(), COLOURS[case.status])


_KIND_ICONS = {"listing": "L", "user": "P", "message": "M", "review": "R"}


def case_clock(case: Case) -> str:
    """How long somebody still has, or how late it is; "–" for what nobody has to decide."""
    if case.status not in Case.QUEUED:
        return "–"
    now = timezone.now()
    if case.due_at >= now:
        return str(_("%(time)s left") % {"time": timeuntil(case.due_at, now, depth=1)})
    return label(_("%(time)s late") % {"time": timesince(case.due_at, now, depth=1)}, "danger")


def _decide(request: HttpRequest, row: Case, decision: str, given: dict[str, Any]) -> None:
    deciding.decide(
        actor=request.user,
        case_id=row.pk,
        action=decision,
        code=given.get("code", ""),
        words=given.get("words", ""),
        version=given["version"],
        now=timezone.now(),
    )


def _hear(request: HttpRequest, row: Case, granted: bool, given: dict[str, Any]) -> None:
    appeals.decide(
        actor=request.user,
        case_id=row.pk,
        granted=granted,
        reason=given["words"],
        version=given["version"],
        now=timezone.now(),
    )
