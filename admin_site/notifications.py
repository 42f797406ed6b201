"""Notices and their mails, to look at."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter
from unfold.decorators import display

from admin_site import finding
from admin_site.base import Page, Rows
from admin_site.display import DELIVERY_COLOURS, label, link, pretty, sees_phones
from backend.notifications.models import Delivery, Notification
from backend.notifications.rendering import render


class Deliveries(Rows):
    model = Delivery
    verbose_name_plural = _("Deliveries")
    fields = ("channel", "state", "attempts", "error", "created_at", "sent_at")
    readonly_fields = fields


@admin.register(Notification)
class NotificationPage(Page):
    icon = "notifications"
    list_display = ("kind", "user", "object_key", "read_at", "created_at")
    list_filter = (("kind", FieldTextFilter),)
    list_filter_submit = True
    list_select_related = ("user",)
    search_fields = ("user__username",)
    search_help_text = _("A person's name or email")
    ordering = ("-id",)
    inlines = (Deliveries,)
    fields = (
        ("kind", "user"),
        "title",
        "body",
        ("object_key", "url"),
        ("created_at", "read_at"),
        "values",
    )
    readonly_fields = ("title", "body", "values")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        rows = super().get_queryset(request)
        # Notices about sign-ins tell from which network address.
        return rows if sees_phones(request.user) else rows.exclude(kind__startswith="security.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Notification], search_term: str
    ) -> tuple[QuerySet[Notification], bool]:
        term = search_term.strip()
        return (queryset.filter(user__in=finding.people_ids(term)) if term else queryset), False

    @display(description=_("title"))
    def title(self, notification: Notification) -> str:
        return render(notification, "en")[0]

    @display(description=_("text"))
    def body(self, notification: Notification) -> str:
        return render(notification, "en")[1]

    @display(description=_("values"))
    def values(self, notification: Notification) -> str:
        return pretty(notification.params)


@admin.register(Delivery)
class DeliveryPage(Page):
    icon = "outgoing_mail"
    list_display = ("what", "to", "channel", "progress", "attempts", "error", "created_at", "sent_at")
    list_filter = (("state", ChoicesDropdownFilter),)
    list_filter_submit = True
    list_select_related = ("notification__user",)
    search_fields = ("notification__user__username",)
    search_help_text = _("A person's name or email")
    ordering = ("-id",)
    fields = (
        ("notification", "to"),
        ("channel", "progress"),
        ("attempts", "error"),
        ("created_at", "attempted_at", "sent_at"),
    )
    readonly_fields = ("to", "progress")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(notification__user__in=finding.people_ids(term)), False

    @display(description=_("notice"))
    def what(self, delivery: Delivery) -> str:
        return delivery.notification.kind

    @display(description=_("to"))
    def to(self, delivery: Delivery) -> str:
        return link(delivery.notification.user)

    @display(description=_("state"))
    def progress(self, delivery: Delivery) -> str:
        return label(delivery.get_state_display(), DELIVERY_COLOURS[delivery.state])
