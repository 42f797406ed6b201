"""People: who they are, where they are signed in, and what staff do to accounts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from admin_site.frame import finding, masking
from admin_site.frame.actions import ReasonForm, dialog_action
from admin_site.frame.base import Page, Rows, has_role
from admin_site.frame.display import label, sees_phones
from admin_site.frame.exporting import export_action
from admin_site.frame.revealing import Shown, reveal_action
from admin_site.people import person_facts
from admin_site.people.cohosts import KeptListings
from admin_site.people.identities import Identities, Unlinks
from admin_site.people.person_acts import SignsOut, Suspends, ViewsAs
from admin_site.people.person_filters import (
    CountryFilter,
    DaysFilter,
    RiskFilter,
    StandingFilter,
    VerifiedFilter,
)
from admin_site.people.person_strikes import Strikes
from admin_site.people.privacy import Erases
from backend.accounts.models import ADMIN, ROLES, Session, User
from backend.core import access
from backend.identity import revealing
from backend.identity import services as identity

LONGEST_NUMBER = 19

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


class Sessions(Rows):
    """Devices that are or were signed in. Their secrets are never fetched."""

    model = Session
    verbose_name_plural = _("Signed-in devices")
    fields = ("device", "from_address", "created_at", "last_used_at", "revoked_at", "revoked_reason")
    readonly_fields = fields
    ordering = ("-last_used_at",)
    over = ("sign_out_device",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        # Unlike its page, an inline is made anew for each request.
        self.shows_addresses = sees_phones(request.user)
        return super().get_queryset(request).defer("refresh_secret")

    @display(description=_("address"))
    def from_address(self, session: Session) -> str:
        return (session.address or "–") if self.shows_addresses else "•••"


class Roles(Rows):
    """What somebody may do; administrators give and take it here."""

    model = User.groups.through
    verbose_name_plural = _("Roles")
    fields = ("role",)
    readonly_fields = fields
    ordering = ("group_id",)
    over = ("grant_role", "revoke_role")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("group")

    @display(description=_("role"))
    def role(self, row: Any) -> str:
        name = row.group.name
        return label(ROLE_NAMES.get(name, name), ROLE_COLOURS.get(name, "default"))


@admin.register(User)
class UserPage(Suspends, SignsOut, ViewsAs, Unlinks, Erases, Page):
    """A person: who they are, what is known of them, and what staff do to the account."""

    icon = "person"
    change_form_outer_after_template = "admin_site/person.html"
    list_display = ("person", "mail", "role_labels", "standing", "created_at")
    list_filter = (
        StandingFilter,
        VerifiedFilter,
        RiskFilter,
        CountryFilter,
        ("groups", RelatedDropdownFilter),
        ("created_at", DaysFilter),
    )
    list_filter_submit = True
    search_fields = ("username",)
    search_help_text = _("Name, email, phone number or the number of the account")
    sortable_by = ()
    ordering = ("-id",)
    inlines = (Sessions, Roles, Strikes, Identities, KeptListings)
    actions_list = ("export",)
    actions_detail = (
        *("view_as", "suspend", "restore", "sign_out", "sign_out_device"),
        *("grant_role", "revoke_role", "unlink", "reveal", "erase"),
    )
    in_tabs = frozenset({"sign_out_device", "grant_role", "revoke_role"})
    offered = {
        "suspend": lambda user: user.suspended_at is None and user.erased_at is None,
        "restore": lambda user: user.suspended_at is not None,
        "view_as": lambda user: user.is_active and user.suspended_at is None and user.erased_at is None,
        "sign_out": lambda user: user.is_active and user.suspended_at is None,
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

    class Media:
        css = {"all": ("admin_site/moderation.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).select_related("profile").prefetch_related("groups")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        word = search_term.strip()
        if word.isascii() and word.isdigit() and len(word) < LONGEST_NUMBER:
            return queryset.filter(Q(pk=int(word)) | Q(pk__in=finding.people_ids(word))), False
        return finding.people(search_term, queryset), False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_row(request, object_id) if self.has_view_permission(request) else None
        desk = person_facts.of(request, row, now=timezone.now()) if row is not None else None
        return super().change_view(request, object_id, form_url, {"desk": desk, **(extra_context or {})})

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request) and access.can(request.user, "rows.export")

    export = export_action(
        columns=[
            ("id", "pk"),
            ("username", "username"),
            ("first_name", "first_name"),
            ("last_name", lambda user: masking.last_name(user.last_name)),
            ("email", lambda user: masking.email(user.email)),
            ("phone", lambda user: masking.phone(user.profile.phone)),
            ("phone_verified_at", "profile.phone_verified_at"),
            ("identity_verified_at", "profile.identity_verified_at"),
            ("superhost", "profile.is_superhost"),
            ("joined_at", "created_at"),
            ("suspended_at", "suspended_at"),
            ("active", "is_active"),
        ],
    )

    def has_grant_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "user.grant_role", row)

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
