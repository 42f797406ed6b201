"""Co-hosts: who keeps whose listings, and what of them; staff end it where it must not go on."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.actions import DANGER, dialog_action
from admin_site.frame.base import Page, Rows, has_role
from admin_site.frame.display import link, url_of
from backend.accounts.models import ADMIN, MODERATOR
from backend.core import access
from backend.listings import cohosts
from backend.listings.models import CoHost, Listing, ListingGrant

GRANTS = {
    "calendar": _("calendar"),
    "bookings": _("bookings"),
    "messages": _("messages"),
    "payouts": _("payouts"),
}


def with_grants(rows: QuerySet[CoHost]) -> QuerySet[CoHost]:
    """With what each may do, in the same query."""
    held = ListingGrant.objects.filter(content_object_id=OuterRef("listing_id"), user_id=OuterRef("user_id"))
    return rows.annotate(held=ArraySubquery(held.values("permission__codename")))


class Columns:
    """What is shown of a co-host wherever it stands."""

    @display(description=_("co-host"))
    def person(self, row: CoHost) -> str:
        return link(row.user, row.user.username)

    @display(description=_("listing"))
    def place(self, row: CoHost) -> str:
        return link(row.listing, row.listing.title)

    @display(description=_("host"))
    def host(self, row: CoHost) -> str:
        return link(row.listing.host, row.listing.host.username)

    @display(description=_("may keep"))
    def keeps(self, row: Any) -> str:
        return ", ".join(str(name) for grant, name in GRANTS.items() if f"host_{grant}" in row.held)


class CoHosts(Columns, Rows):
    """Of a listing."""

    model = CoHost
    verbose_name_plural = _("Co-hosts")
    each = ("withdraw",)
    fields = ("person", "keeps", "created_at")
    readonly_fields = fields
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CoHost]:
        return with_grants(super().get_queryset(request).select_related("user", "listing"))

    def may_act(self, request: HttpRequest, parent: Any) -> bool:
        return has_role(request, MODERATOR, ADMIN)


class KeptListings(CoHosts):
    """Of a person: what they keep for others."""

    verbose_name_plural = _("Keeps for others")
    fields = ("place", "keeps", "created_at")
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("listings.view_cohost")


@admin.register(CoHost)
class CoHostPage(Columns, Page):
    icon = "supervisor_account"
    list_display = ("person", "place", "host", "keeps", "created_at")
    search_fields = ("listing__title",)
    search_help_text = _("Name or email of co-host or host")
    ordering = ("-id",)
    actions_detail = ("withdraw",)
    fieldsets = ((None, {"fields": (("person", "place"), ("host", "keeps"), "created_at")}),)
    readonly_fields = ("person", "place", "host", "keeps", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CoHost]:
        return with_grants(super().get_queryset(request).select_related("user", "listing__host"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CoHost], search_term: str
    ) -> tuple[QuerySet[CoHost], bool]:
        if not search_term.strip():
            return queryset, False
        people = finding.people_ids(search_term)
        return queryset.filter(user__in=people) | queryset.filter(listing__host__in=people), False

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "cohost.withdraw", row)

    def after_action(self, row: CoHost) -> str:
        listing: Listing = row.listing
        return url_of(listing)

    @dialog_action(
        title=_("Withdraw"),
        question=_("They keep this place no longer, from their next click on. Both are told."),
        done=_("The co-hosting has ended."),
        permission="withdraw",
        icon="person_remove",
        variant=DANGER,
    )
    def withdraw(self, request: HttpRequest, row: CoHost, given: dict[str, Any]) -> None:
        cohosts.withdraw(actor=request.user, cohost_id=row.pk, reason=given["reason"], now=timezone.now())
