"""The dialogs of a case: what is decided and why, with what follows from it and the letter before it is sent."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.forms import BaseDialogForm

from admin_site.frame import fields
from backend.core import platform
from backend.listings.states import ListingStatus
from backend.moderation import deciding, history, letters, reasons, strikes
from backend.moderation.models import LISTING, Case, Decision, Flag, Report

Action = Decision.Action


def case_of(object_id: Any) -> Case | None:
    """The case of a dialog, with what it is about and whose it is."""
    related = ("listing", "user", "message__conversation__listing", "review__listing", "review__booking")
    found = Case.objects.select_related("person__profile", *related)
    return found.filter(pk=int(object_id)).first() if str(object_id).isdecimal() else None


class CaseForm(BaseDialogForm):
    """A dialog about a case as somebody has seen it: when it has moved on since, nothing is done."""

    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, request: HttpRequest, object_id: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        self.case = case_of(object_id)
        if self.case is not None:
            self.fields["version"].initial = self.case.version


class TakeForm(CaseForm):
    """Taking a case, or giving it back, may be explained."""

    note = fields.text(_("Note"), 500, required=False)


class NoteForm(CaseForm):
    """What needs no letter: why, for the record."""

    words = fields.text(_("Reason"), 500)


class DecisionForm(CaseForm):
    """Reason and words of a decision; the letter is shown as it will be read, and anew when they change."""

    action = ""
    form_before_template = "admin_site/case_dialog.html"
    code = fields.choice(_("Reason"), [])
    words = fields.text(
        _("Words of your own"),
        500,
        required=False,
        help_text=_("They stand behind the sentence of the reason."),
    )

    def __init__(self, request: HttpRequest, object_id: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        if self.case is None:
            return
        shows_anew = {
            "hx-get": f"{reverse('admin:moderation_case_letter', args=(self.case.pk,))}?action={self.action}",
            "hx-target": "#ko-letter",
            "hx-select": "#ko-letter",
            "hx-swap": "outerHTML",
            "hx-include": "closest form",
            "hx-params": "code,words,action",
        }
        if "code" in self.fields:
            self.fields["code"].choices = reasons.choices(self.case.kind)
            self.fields["code"].initial = likely(self.case)
            self.fields["code"].widget.attrs |= {**shows_anew, "hx-trigger": "change"}
        self.fields["words"].widget.attrs |= {**shows_anew, "hx-trigger": "keyup changed delay:600ms"}

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        if self.case is None:
            return {}
        code = str(self["code"].value() or "") if "code" in self.fields else ""
        return {
            "lines": consequences(self.case, self.action, code),
            "letter": letter(self.case, self.action, code, str(self["words"].value() or "")),
        }


def decision_form(action: str) -> type[DecisionForm]:
    """The form of one decision."""
    return type(f"{action.title().replace('_', '')}Form", (DecisionForm,), {"action": action})


class ApproveForm(DecisionForm):
    """Approving needs no reason; the host reads that the listing is published."""

    action = Action.APPROVE
    code = None  # type: ignore[assignment]
    words = fields.text(
        _("Note"), 500, required=False, help_text=_("For the record; the host does not read it.")
    )


class DismissForm(DecisionForm):
    """What is dismissed is told to nobody but those who reported it."""

    action = Action.DISMISS
    code = None  # type: ignore[assignment]
    words = fields.text(_("Reason"), 500)


def likely(case: Case) -> str:
    """The reason that what is reported or found speaks for."""
    fitting = dict(reasons.choices(case.kind))
    reported = Report.objects.filter(case=case, status=Report.Status.OPEN).order_by("pk")
    found = Flag.objects.filter(case=case, status=Flag.Status.OPEN).order_by("pk")
    said = [reasons.OF_REPORTS[each] for each in reported.values_list("reason", flat=True)[:20]]
    said += [reasons.OF_FLAGS[each] for each in found.values_list("kind", flat=True)[:20]]
    # Words that staff look for say nothing of why; whatever else was found says more.
    said = [code for code in said if code in fitting and code != reasons.OTHER]
    return said[0] if said else reasons.OTHER


def letter(case: Case, action: str, code: str, words: str) -> dict[str, Any] | None:
    """The letter of a decision as whom it concerns would read it; None where nobody is told, or it is not possible."""
    if action not in deciding.FITS[case.kind]:
        return None
    now = timezone.now()
    until = deciding.appeal_until(case, action, now)
    return letters.preview(case, action, code, words.strip()[:500], appeal_until=until, now=now)


def consequences(case: Case, action: str, code: str) -> list[tuple[Any, Any]]:
    """What follows from a decision, as words and numbers, before anybody takes it."""
    hanging = history.consequences(case)
    reports = Report.objects.filter(case=case, status=Report.Status.OPEN).count()
    is_against = action in Decision.AGAINST
    lines: list[tuple[Any, Any]] = []
    if case.kind == LISTING and case.subject.status == ListingStatus.PUBLISHED and action != Action.DISMISS:
        lines.append((_("Search and booking"), _("stop at once")))
    if case.kind == LISTING and action == Action.APPROVE:
        lines.append((_("Search and booking"), _("begin at once")))
    if action == Action.SUSPEND_PERSON:
        lines.append((_("Signed-in devices"), _("signed out at once")))
        lines.append((_("Listings that are no longer found"), hanging.listings))
    if action in (Action.REJECT, Action.SUSPEND, Action.SUSPEND_PERSON, Action.FLAG, Action.CHANGES):
        lines.append((_("Coming stays that go on"), hanging.coming))
        lines.append((_("Requests that still wait"), hanging.waiting))
    if reports and action not in Decision.STEPS:
        lines.append(
            (_("Reports that are upheld") if is_against else _("Reports that are dismissed"), reports)
        )
    if is_against and code in reasons.REASONS:
        lines.append((_("Points against the person"), points(case, code)))
    return lines


def points(case: Case, code: str) -> str:
    """What counts against a person now and after a decision for ``code``, and what that leads to."""
    before = strikes.points(case.person_id, timezone.now())
    after = before + reasons.REASONS[code].points
    steps = [
        ("strikes_propose_suspension", _("a suspension is proposed")),
        ("strikes_block_listings", _("no more offers, listings paused")),
        ("strikes_warn", _("warned by mail")),
    ]
    crossed = next((words for key, words in steps if after >= platform.get(key) and after > before), None)
    return f"{before} → {after}" + (f" · {crossed}" if crossed else "")
