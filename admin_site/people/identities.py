"""What a person signs in with elsewhere, and taking it off their account."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.models import SocialAccount
from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from admin_site.frame.actions import DANGER, ReasonForm, dialog_action
from admin_site.frame.base import Rows
from backend.accounts.models import User
from backend.core import access
from backend.identity import social
from backend.identity.social_providers import PROVIDERS

NAMES = {provider: provider.capitalize() for provider in PROVIDERS}


class Identities(Rows):
    """The providers that sign a person in. What else those said of them is never shown."""

    model = SocialAccount
    verbose_name_plural = _("Signs in through")
    fields = ("named", "date_joined", "last_login")
    readonly_fields = fields
    ordering = ("id",)

    @display(description=_("provider"))
    def named(self, account: SocialAccount) -> str:
        return NAMES.get(account.provider, account.provider)


class UnlinkForm(ReasonForm):
    """Which provider, and why."""

    provider = forms.ChoiceField(
        label=_("Provider"), choices=list(NAMES.items()), widget=UnfoldAdminSelectWidget
    )
    field_order = ("provider", "reason")


class Unlinks:
    """The act on a person's page."""

    def has_unlink_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        page: Any = self
        row = page.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "identity.remove", row)

    @dialog_action(
        title=_("Unlink provider"),
        question=_("It signs this person in no more. They are told, and can still set a password by mail."),
        done=_("The provider is unlinked."),
        permission="unlink",
        icon="link_off",
        variant=DANGER,
        form_class=UnlinkForm,
    )
    def unlink(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        social.remove(
            actor=request.user,
            user=row,
            provider=given["provider"],
            reason=given["reason"],
            now=timezone.now(),
        )
