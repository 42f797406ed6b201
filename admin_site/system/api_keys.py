"""Keys by which hosts' programs act for them. Nobody sees a key, only how it begins."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.actions import DANGER, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import label, link
from backend.accounts.models import ApiKey
from backend.core import access
from backend.identity import api_keys


class WorkingFilter(RadioFilter):
    title = _("works")
    parameter_name = "works"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("yes")), ("no", _("no"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        ended = Q(revoked_at__isnull=False) | Q(expires_at__lte=timezone.now())
        if self.value() == "yes":
            return queryset.exclude(ended)
        return queryset.filter(ended) if self.value() == "no" else queryset


@admin.register(ApiKey)
class ApiKeyPage(Page):
    icon = "key"
    list_display = ("begins", "owner", "name", "area", "standing", "last_used_at", "created_at")
    list_filter = (WorkingFilter,)
    list_filter_submit = True
    search_fields = ("prefix",)
    search_help_text = _("How a key begins, or a person's name or email")
    ordering = ("-id",)
    actions_detail = ("revoke",)
    offered = {"revoke": lambda row: row.revoked_at is None}
    fields = (
        ("begins", "name", "owner"),
        "area",
        ("standing", "last_used_at"),
        ("created_at", "expires_at", "revoked_at"),
    )
    readonly_fields = ("begins", "owner", "area", "standing")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).select_related("user").defer("digest")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ApiKey], search_term: str
    ) -> tuple[QuerySet[ApiKey], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if api_keys.is_key(term):
            # Somebody found a key and pasted it whole: what begins as it does is enough to know whose it is.
            return queryset.filter(prefix=term[: api_keys.SHOWN]), False
        return queryset.filter(user__in=finding.people_ids(term)), False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.can(request.user, "api_key.oversee")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return access.can(request.user, "api_key.oversee")

    def has_oversee_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "api_key.oversee")

    @dialog_action(
        title=_("Revoke"),
        question=_(
            "The key is refused from the next request on, for good. Its owner reads the reason, and can make another."
        ),
        done=_("The key is revoked."),
        permission="oversee",
        icon="key_off",
        variant=DANGER,
    )
    def revoke(self, request: HttpRequest, row: ApiKey, given: dict[str, Any]) -> None:
        api_keys.revoke_of(actor=request.user, key_id=row.pk, reason=given["reason"], now=timezone.now())

    @display(description=_("begins with"))
    def begins(self, key: ApiKey) -> str:
        return str(key)

    @display(description=_("owner"))
    def owner(self, key: ApiKey) -> str:
        return link(key.user)

    @display(description=_("scopes"))
    def area(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description=_("state"))
    def standing(self, key: ApiKey) -> str:
        if key.revoked_at is not None:
            return label(_("revoked"), "default")
        if key.expires_at is not None and key.expires_at <= timezone.now():
            return label(_("run out"), "default")
        return label(_("works"), "success")
