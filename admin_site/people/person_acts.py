"""What staff do on a person's page besides roles: suspend with its consequences told, sign out, look through their eyes."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib.admin.utils import unquote
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from admin_site.frame import fields
from admin_site.frame.actions import DANGER, SUCCESS, WARNING, ReasonForm, dialog_action
from admin_site.frame.display import instant, sees_phones, url_of
from admin_site.moderation.case_forms import letter, likely, points
from admin_site.people import viewing
from backend.accounts.models import Session, User
from backend.core import access
from backend.identity import signing_out
from backend.identity import viewing as views
from backend.moderation import persons, reasons, suspending
from backend.moderation.models import USER, Case, Decision

_THEN = "_then"
"""Where a dialog leads, on the row that it was about."""

DEVICES = 50
"""How many living devices a dialog offers."""


def user_of(object_id: Any) -> User | None:
    """The user of a dialog's page."""
    key = unquote(str(object_id))
    return User.objects.filter(pk=key).first() if key.isdigit() else None


class SuspendForm(ReasonForm):
    """Says what the account still carries and shows the letter, then asks why."""

    form_before_template = "admin_site/suspend_preview.html"
    code = fields.choice(_("What is wrong"), reasons.choices(USER), initial=reasons.OTHER, required=False)
    field_order = ("code", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = _("They read it in the letter, behind the sentence of the reason.")
        user = user_of(self.object_id)
        self.case = _case_about(user) if user is not None else None
        if self.case is not None and self.case.pk:
            self.fields["code"].initial = likely(self.case)
        shows_anew = {
            "hx-get": self.request.path,
            "hx-target": "#ko-suspend",
            "hx-select": "#ko-suspend",
            "hx-swap": "outerHTML",
            "hx-include": "closest form",
            "hx-params": "code,reason",
        }
        self.fields["code"].widget.attrs |= {**shows_anew, "hx-trigger": "change"}
        self.fields["reason"].widget.attrs |= {**shows_anew, "hx-trigger": "keyup changed delay:600ms"}

    def clean_code(self) -> str:
        return self.cleaned_data["code"] or reasons.OTHER

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        if self.case is None:
            return {}
        user = self.case.person
        found = persons.consequences(user, now=timezone.now())
        counted = [
            (_("Devices that are signed out"), found.devices),
            (_("Stays of theirs as a guest that go on"), found.stays_as_guest),
            (_("Stays of their guests that go on"), found.stays_as_host),
            (_("Listings that nobody finds any more"), found.listings),
            (_("Payouts that are still sent, unless you hold them"), found.payouts),
        ]
        said = request.POST if request.method == "POST" else request.GET
        code = said.get("code", self.fields["code"].initial)
        return {
            "user": user,
            "counted": [(words, f"{persons.MOST}+" if n >= persons.MOST else n) for words, n in counted],
            "points": points(self.case, code) if code in reasons.REASONS else "",
            "letter": letter(self.case, Decision.Action.SUSPEND_PERSON, code, said.get("reason", "")),
        }


def _case_about(user: User) -> Case:
    """The case in hand about a person, or one as it would be opened."""
    found = Case.objects.filter(user=user, status__in=Case.IN_HAND).select_related("user", "person__profile")
    return found.first() or Case(user=user, person=user)


class RestoreForm(ReasonForm):
    """Whether the decision was wrong, and why."""

    takes_back = fields.switch(
        _("The suspension was a mistake"),
        help_text=_("The decision is taken back, and its strike counts no longer. Otherwise both stand."),
    )
    field_order = ("takes_back", "reason")


class DeviceForm(ReasonForm):
    """Which device, and why."""

    session = forms.ChoiceField(label=_("Device"), widget=UnfoldAdminSelectWidget())
    field_order = ("session", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user, shows = user_of(self.object_id), sees_phones(self.request.user)
        living = Session.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now())
        choices: Any = [
            (
                str(each.pk),
                " · ".join(
                    filter(
                        None, (each.device, (each.address or "") if shows else "", instant(each.last_used_at))
                    )
                ),
            )
            for each in living.defer("refresh_secret").order_by("-last_used_at")[:DEVICES]
        ]
        field: Any = self.fields["session"]
        field.choices = choices


class Suspends:
    """Shut somebody out, and let them in again."""

    def has_suspend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return _may(self, request, object_id, "user.suspend")

    @dialog_action(
        title=_("Suspend"),
        question=_(
            "Every device is signed out at once and no sign-in works until the account is restored. The letter says"
            " how they can appeal, and the reason counts as a strike."
        ),
        done=_("The account is suspended."),
        permission="suspend",
        icon="block",
        variant=DANGER,
        form_class=SuspendForm,
    )
    def suspend(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        suspending.suspend(
            actor=request.user, person=row, code=given["code"], words=given["reason"], now=timezone.now()
        )

    @dialog_action(
        title=_("Restore"),
        question=_(
            "The account may sign in again, and they are told so. Devices that were signed out stay signed out."
        ),
        done=_("The account is restored."),
        permission="suspend",
        icon="lock_open",
        variant=SUCCESS,
        form_class=RestoreForm,
    )
    def restore(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        suspending.reinstate(
            actor=request.user,
            person=row,
            reason=given["reason"],
            takes_back=given["takes_back"],
            now=timezone.now(),
        )


class SignsOut:
    """End one device, or all of them."""

    def has_sign_out_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return _may(self, request, object_id, "user.sign_out")

    @dialog_action(
        title=_("Sign out everywhere"),
        question=_(
            "Every device is signed out at once, the apps and the back office too. They may sign in again: for a"
            " stolen password let them set a new one as well."
        ),
        done=_("Every device is signed out."),
        permission="sign_out",
        icon="logout",
        variant=WARNING,
    )
    def sign_out(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        signing_out.end_all(actor=request.user, user=row, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Sign out a device"),
        question=_("The device that you choose is signed out at once; the others stay signed in."),
        done=_("The device is signed out."),
        permission="sign_out",
        icon="phonelink_erase",
        form_class=DeviceForm,
    )
    def sign_out_device(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        signing_out.end_one(
            actor=request.user,
            user=row,
            session_id=uuid.UUID(given["session"]),
            reason=given["reason"],
            now=timezone.now(),
        )


class ViewsAs:
    """See what somebody sees."""

    def has_view_as_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return _may(self, request, object_id, "user.view_as")

    @dialog_action(
        title=_("View as"),
        question=_(
            "You see their pages as they see them, for 15 minutes, and can change nothing. The audit log keeps your"
            " reason and every page that you open."
        ),
        done=_("You see what they see. Nothing can be changed here."),
        permission="view_as",
        icon="visibility",
    )
    def view_as(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        view = views.start(actor=request.user, user=row, reason=given["reason"], now=timezone.now())
        viewing.keep(request, view)
        row.__dict__[_THEN] = viewing.url(row.pk)

    def after_action(self, row: User) -> str:
        """Back to the page that the dialog was opened on; when a view has just begun, to what is seen."""
        return str(row.__dict__.get(_THEN) or url_of(row))


def _may(page: Any, request: HttpRequest, object_id: Any, rule: str) -> bool:
    row = page.get_row(request, str(object_id))
    return row is not None and access.can(request.user, rule, row)
