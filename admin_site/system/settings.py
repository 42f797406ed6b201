"""The platform's settings: found by group or by word, changed in a dialog that tells the effect first, with their history."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from admin_site.frame import sidebar
from admin_site.frame.actions import WARNING, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.custom import PAGES
from admin_site.system import setting_rows
from admin_site.system.setting_forms import DefaultForm, SettingForm, WithdrawForm
from admin_site.system.texts import text_url
from backend.administration import effects
from backend.administration import services as administration
from backend.core import access, platform
from backend.core.errors import Invalid
from backend.core.models import PlatformSetting
from backend.notifications.wording import Wording

LINKS: dict[str, list[tuple[Any, str]]] = {
    "platform": [(_("Currencies"), "core.currency"), (_("Exchange rates"), "core.exchangerate")],
    "bookings": [(_("Bookings"), "bookings.booking")],
    "fees": [
        (_("Service fee"), "rates.servicefeeterms"),
        (_("Cancellation policies"), "bookings.cancellationpolicy"),
    ],
    "payments": [
        (_("Routes of money"), "payments.providerroute"),
        (_("Refunds by hand"), "payments.refundrequest"),
    ],
    "payouts": [(_("Payouts"), "payments.payout"), (_("Routes of money"), "payments.providerroute")],
    "calendars": [(_("Calendar feeds"), "availability.calendarfeed")],
    "notices": [
        (_("Texts and mails"), "page:texts"),
        (_("Deliveries"), "notifications.delivery"),
    ],
    "limits_signing_in": [
        (_("Stopped by limits"), "core.throttledsubject"),
        (_("Firewall"), "core.firewallrule"),
    ],
    "limits": [(_("Stopped by limits"), "core.throttledsubject"), (_("Firewall"), "core.firewallrule")],
    "retention": [(_("Retention"), "privacy.retentionrun")],
}
"""What is set elsewhere and belongs to a group: words and ``app.model``."""


def _differs(key: str) -> bool:
    declared = platform.find(key)
    return declared is not None and platform.get(key) != declared.default


def _address(label: str) -> str:
    page = label.removeprefix("page:")
    return PAGES[page].url() if page != label else reverse(f"admin:{label.replace('.', '_')}_changelist")


@admin.register(PlatformSetting)
class SettingsPage(Page):
    """Every declared setting, whether it was ever changed or not. Administrators only."""

    icon = "tune"
    change_form_outer_before_template = "admin_site/setting.html"
    actions_detail = ("set_value", "set_default", "withdraw")
    offered = {
        "set_default": lambda row: _differs(row.key),
        # It stands beside each plan.
        "withdraw": lambda row: False,
    }

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.can(request.user, "platform.settings")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_administer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        declared = platform.find(object_id)
        return None if declared is None else PlatformSetting(key=declared.key)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What there is to see stands above; a setting has no form of its own."""
        return []

    def get_urls(self) -> list[Any]:
        effect = path(
            "<path:object_id>/effect/",
            self.admin_site.admin_view(self.effect),
            name="core_platformsetting_effect",
        )
        return [effect, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        words = request.GET.get("q", "").strip()[:100]
        only = request.GET.get("group", "")
        groups = setting_rows.groups(words=words, only=only, now=timezone.now())
        for group in groups:
            group["links"] = [
                {"title": title, "url": _address(label)}
                for title, label in LINKS.get(group["key"], [])
                if sidebar.may_see(request.user, label)
            ]
        history = reverse("admin:audit_auditentry_changelist") + "?object_type__exact=platformsetting"
        context = {
            **self.admin_site.each_context(request),
            "title": _("Platform settings"),
            "groups": groups,
            "all_groups": [
                {"key": each.key, "title": each.title, "icon": each.icon} for each in platform.GROUPS
            ],
            "only": only,
            "words": words,
            "history_url": history,
            "opts": self.opts,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin_site/settings.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One setting: what it does, what holds, what is planned, and every change of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        declared = platform.find(unquote(object_id))
        if isinstance(declared, Wording):
            return HttpResponseRedirect(text_url(declared))
        if declared is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return super().change_view(
            request,
            object_id,
            form_url,
            {"setting": setting_rows.one(declared, now=timezone.now()), **(extra_context or {})},
        )

    def effect(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What the value in the dialog would change, for the dialog. Nothing is written."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        declared = platform.DECLARED.get(unquote(object_id))
        if declared is None:
            raise Http404
        form = SettingForm(request, object_id, request.GET)
        shown, refusal = [], None
        form.is_valid()
        if "value" in form.cleaned_data:
            try:
                value = declared.parse(form.cleaned_data["value"])
                shown = effects.of(
                    actor=request.user,
                    key=declared.key,
                    value=value,
                    now=timezone.now(),
                    language=get_language() or "",
                )
            except Invalid as error:
                refusal = error.detail
        context = {"shown": shown, "refusal": refusal}
        return TemplateResponse(request, "admin_site/setting_effect.html", context)

    def after_action(self, row: PlatformSetting) -> str:
        declared = platform.find(row.key)
        if isinstance(declared, Wording):
            return text_url(declared)
        return reverse("admin:core_platformsetting_change", args=(row.key,))

    @dialog_action(
        title=_("Change"),
        question=_("A change is kept in the history with your name and your reason."),
        done=_("The setting is changed."),
        permission="administer",
        icon="tune",
        form_class=SettingForm,
    )
    def set_value(self, request: HttpRequest, row: PlatformSetting, given: dict[str, Any]) -> None:
        administration.change(
            actor=request.user,
            key=row.key,
            value=given["value"],
            effective_from=given["effective_from"],
            reason=given["reason"],
            seen=given["seen"],
            now=timezone.now(),
        )

    @dialog_action(
        title=_("Back to the default"),
        question=_("It counts within a second, on every machine."),
        done=_("The default holds again."),
        permission="administer",
        icon="restart_alt",
        form_class=DefaultForm,
    )
    def set_default(self, request: HttpRequest, row: PlatformSetting, given: dict[str, Any]) -> None:
        administration.change(
            actor=request.user,
            key=row.key,
            value=None,
            reason=given["reason"],
            seen=given["seen"],
            now=timezone.now(),
        )

    @dialog_action(
        title=_("Withdraw a planned change"),
        question=_("It will not come into force. What holds now stays."),
        done=_("The planned change is withdrawn."),
        permission="administer",
        icon="event_busy",
        variant=WARNING,
        form_class=WithdrawForm,
    )
    def withdraw(self, request: HttpRequest, row: PlatformSetting, given: dict[str, Any]) -> None:
        administration.withdraw(
            actor=request.user,
            version_id=int(given["version"]),
            reason=given["reason"],
            now=timezone.now(),
        )
