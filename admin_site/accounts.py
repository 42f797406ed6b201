"""People: who they are, where they are signed in, and what staff do to accounts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from admin_site import finding, masking
from admin_site.actions import DANGER, SUCCESS, ReasonForm, dialog_action
from admin_site.base import Page, Rows, has_role
from admin_site.cohosts import KeptListings
from admin_site.display import label, sees_phones
from admin_site.identities import Identities, Unlinks
from admin_site.privacy import Erases
from admin_site.revealing import Shown, reveal_action
from backend.accounts.models import ADMIN, ROLES, Session, User
from backend.core import access
from backend.identity import revealing
from backend.identity import services as identity

ROLE_NAMES = {
    "guest": _("guest"),
    "host": _("host"),
    "support": _("support"),
    "moderator": _("moderator"),
    "finance": _("finance"),
    "admin": _("admin"),
}
ROLE_COLOURS = {"support": "info", "finance": "info", "moderator": "warning", "admin": "danger"}


class RoleForm(ReasonForm):
    """Which role, and why."""

    role = forms.ChoiceField(
        label=_("Role"), choices=[(role, ROLE_NAMES[role]) for role in ROLES], widget=UnfoldAdminSelectWidget
    )
    field_order = ("role", "reason")


class StandingFilter(RadioFilter):
    """Suspended, closed, or neither."""

    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("active", _("active")), ("suspended", _("suspended")), ("closed", _("closed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        if self.value() == "active":
            return queryset.filter(is_active=True, suspended_at=None)
        if self.value() == "suspended":
            return queryset.filter(suspended_at__isnull=False)
        return queryset.filter(is_active=False) if self.value() == "closed" else queryset


class Sessions(Rows):
    """Devices that are or were signed in. Their secrets are never fetched."""

    model = Session
    verbose_name_plural = _("Signed-in devices")
    fields = ("device", "from_address", "created_at", "last_used_at", "revoked_at", "revoked_reason")
    readonly_fields = fields
    ordering = ("-last_used_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        # Unlike its page, an inline is made anew for each request.
        self.shows_addresses = sees_phones(request.user)
        return super().get_queryset(request).defer("refresh_secret")

    @display(description=_("address"))
    def from_address(self, session: Session) -> str:
        return (session.address or "–") if self.shows_addresses else "•••"


@admin.register(User)
class UserPage(Unlinks, Erases, Page):
    icon = "person"
    list_display = ("person", "mail", "role_labels", "standing", "created_at")
    list_filter = (StandingFilter, ("groups", RelatedDropdownFilter))
    list_filter_submit = True
    search_fields = ("username",)
    search_help_text = _("Name, email or phone number")
    sortable_by = ()
    ordering = ("-id",)
    inlines = (Sessions, Identities, KeptListings)
    actions_detail = ("suspend", "restore", "grant_role", "revoke_role", "unlink", "reveal", "erase")
    offered = {
        "suspend": lambda user: user.suspended_at is None,
        "restore": lambda user: user.suspended_at is not None,
        "unlink": lambda user: user.socialaccount_set.exists(),
        "erase": lambda user: user.erased_at is None,
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("username", "mail"),
                    ("first_name", "family_name"),
                    ("standing", "role_labels"),
                    ("suspended_at", "suspended_reason"),
                    ("created_at", "last_login"),
                )
            },
        ),
        (
            _("Profile"),
            {
                "fields": (
                    ("phone", "phone_verified"),
                    ("spoken", "language"),
                    ("currency", "timezone"),
                    ("superhost", "responses"),
                    "about",
                )
            },
        ),
    )
    readonly_fields = (
        *(
            "person",
            "standing",
            "role_labels",
            "mail",
            "family_name",
            "phone",
            "phone_verified",
            "spoken",
            "language",
            "currency",
        ),
        *("timezone", "superhost", "responses", "about"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).select_related("profile").prefetch_related("groups")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        return finding.people(search_term, queryset), False

    def has_suspend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "user.suspend", row)

    def has_grant_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "user.grant_role", row)

    @dialog_action(
        title=_("Suspend"),
        question=_("Every device is signed out at once and no sign-in works until the account is restored."),
        done=_("The account is suspended."),
        permission="suspend",
        icon="block",
        variant=DANGER,
    )
    def suspend(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        identity.suspend(actor=request.user, user=row, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Restore"),
        question=_("The account may sign in again. Devices that were signed out stay signed out."),
        done=_("The account is restored."),
        permission="suspend",
        icon="lock_open",
        variant=SUCCESS,
    )
    def restore(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        identity.restore(actor=request.user, user=row, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Grant role"),
        question=_("A staff role opens the back office from the next request on."),
        done=_("The role is granted."),
        permission="grant",
        icon="add_moderator",
        form_class=RoleForm,
    )
    def grant_role(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        identity.grant_role(
            actor=request.user, user=row, role=given["role"], reason=given["reason"], now=timezone.now()
        )

    @dialog_action(
        title=_("Revoke role"),
        question=_("It counts from the next request on."),
        done=_("The role is revoked."),
        permission="grant",
        icon="remove_moderator",
        form_class=RoleForm,
    )
    def revoke_role(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        identity.revoke_role(
            actor=request.user, user=row, role=given["role"], reason=given["reason"], now=timezone.now()
        )

    def has_reveal_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        is_masked = not (masking.sees(masking.EMAIL) and masking.sees(masking.NAME))
        return row is not None and is_masked and access.can(request.user, "user.reveal", row)

    @reveal_action(
        question=_("Shows how this person is called and reached. The audit log keeps that you have seen it.")
    )
    def reveal(self, request: HttpRequest, row: User, reason: str) -> Shown:
        contact = revealing.contact(actor=request.user, user=row, reason=reason, now=timezone.now())
        return [(_("last name"), contact.last_name), (_("email"), contact.email), (_("phone"), contact.phone)]

    @display(description=_("person"), header=True)
    def person(self, user: User) -> list[str]:
        return [masking.full_name(user), f"@{user.username}", (user.first_name or user.username)[:2]]

    @display(description=_("roles"))
    def role_labels(self, user: User) -> str:
        names = sorted(group.name for group in user.groups.all())
        labels = [(label(ROLE_NAMES.get(name, name), ROLE_COLOURS.get(name, "default")),) for name in names]
        return format_html_join(" ", "{}", labels) or "–"

    @display(description=_("standing"))
    def standing(self, user: User) -> str:
        if user.erased_at is not None:
            return label(_("erased"), "default")
        if not user.is_active:
            return label(_("closed"), "default")
        return label(_("suspended"), "danger") if user.suspended_at else label(_("active"), "success")

    @display(description=_("phone"))
    def phone(self, user: User) -> str:
        return masking.phone(user.profile.phone)

    @display(description=_("email"))
    def mail(self, user: User) -> str:
        return masking.email(user.email)

    @display(description=_("last name"))
    def family_name(self, user: User) -> str:
        return masking.last_name(user.last_name)

    @display(description=_("phone verified at"))
    def phone_verified(self, user: User) -> Any:
        return user.profile.phone_verified_at or "–"

    @display(description=_("speaks"))
    def spoken(self, user: User) -> str:
        return ", ".join(user.profile.languages) or "–"

    @display(description=_("wants to be served in"))
    def language(self, user: User) -> str:
        return user.profile.language or "–"

    @display(description=_("currency"))
    def currency(self, user: User) -> str:
        return user.profile.currency or "–"

    @display(description=_("time zone"))
    def timezone(self, user: User) -> str:
        return user.profile.timezone or "–"

    @display(description=_("superhost"), boolean=True)
    def superhost(self, user: User) -> bool:
        return user.profile.is_superhost

    @display(description=_("answers"))
    def responses(self, user: User) -> str:
        profile = user.profile
        if profile.response_rate is None:
            return "–"
        return _("%(rate)s %%, within %(hours)s h") % {
            "rate": profile.response_rate,
            "hours": profile.response_time_hours or "–",
        }

    @display(description=_("about"))
    def about(self, user: User) -> str:
        return user.profile.bio or "–"


@admin.register(Group)
class RolePage(Page):
    """What each role may look at. Roles are given to people on their pages."""

    icon = "badge"
    list_display = ("name", "sees")
    fields = ("name", "sees")
    readonly_fields = ("sees",)
    ordering = ("id",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_role(request, ADMIN) and super().has_view_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("permissions__content_type")

    @display(description=_("may see"))
    def sees(self, group: Group) -> str:
        seen = {each.content_type.app_label for each in group.permissions.all()}
        return ", ".join(sorted(seen)) or "–"
