"""Notices, how they reach people, and the addresses that nothing is sent to any more."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django.models import ProcrastinateJob
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter
from unfold.decorators import action, display

from admin_site.frame import finding, masking
from admin_site.frame.actions import dialog_action
from admin_site.frame.base import COUNTED, Page, Rows
from admin_site.frame.display import DELIVERY_COLOURS, label, link, pretty, sees_phones
from admin_site.system import mail_preview
from backend.core import access, declared
from backend.identity import mailboxes
from backend.notifications import deliveries
from backend.notifications.models import Delivery, DeliveryStep, Notification, SuppressedAddress
from backend.notifications.rendering import render


class CarrierColumn:
    @display(description=_("carrier"))
    def taken_by(self, delivery: Delivery) -> Any:
        return declared.BRANDS.get(delivery.carrier, delivery.carrier) or "–"


class Deliveries(CarrierColumn, Rows):
    model = Delivery
    verbose_name_plural = _("Deliveries")
    fields = ("channel", "taken_by", "state", "attempts", "error", "created_at", "sent_at")
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


class Steps(Rows):
    model = DeliveryStep
    verbose_name_plural = _("Steps")
    fields = ("at", "state", "reason")
    readonly_fields = fields


@admin.register(Delivery)
class DeliveryPage(CarrierColumn, Page):
    icon = "outgoing_mail"
    list_display = (
        *("what", "to", "address", "channel", "progress", "attempts"),
        *("error", "taken_by", "provider_id", "created_at", "sent_at"),
    )
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("channel", ChoicesDropdownFilter),
        ("notification__kind", FieldTextFilter),
    )
    list_filter_submit = True
    list_select_related = ("notification__user__profile",)
    list_before_template = "admin_site/queue_depth.html"
    search_fields = ("notification__user__username",)
    search_help_text = _("A person's name or email")
    ordering = ("-id",)
    inlines = (Steps,)
    actions_list = ("preview",)
    actions_detail = ("retry",)
    offered = {"retry": lambda delivery: delivery.state in deliveries.RETRYABLE}
    fields = (
        ("notification", "to", "address"),
        ("channel", "progress"),
        ("attempts", "error"),
        ("taken_by", "provider_id", "settled_at"),
        ("created_at", "attempted_at", "sent_at"),
    )
    readonly_fields = ("to", "address", "progress", "taken_by")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(notification__user__in=finding.people_ids(term)), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"depth": queue_depth(), **(extra_context or {})})

    def get_urls(self) -> list[Any]:
        sheet = path("sheet/", self.admin_site.admin_view(self.sheet), name="notifications_delivery_sheet")
        return [sheet, *super().get_urls()]

    def has_preview_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "notice.preview")

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "delivery.retry")

    @action(description=_("Preview"), url_path="preview", permissions=["preview"], icon="preview")
    def preview(self, request: HttpRequest) -> HttpResponse:
        """What a notice looks like. Nothing is sent."""
        return mail_preview.page(request, self)

    def sheet(self, request: HttpRequest) -> HttpResponse:
        """The mail itself, for the frame of the preview."""
        if not self.has_preview_permission(request):
            raise PermissionDenied
        return mail_preview.sheet(request)

    @dialog_action(
        title=_("Send again"),
        question=_(
            "It goes back into the queue. An SMS whose fate is unknown may arrive twice; an address that is suppressed"
            " must be released first."
        ),
        done=_("It is on its way again."),
        permission="retry",
        icon="forward_to_inbox",
    )
    def retry(self, request: HttpRequest, row: Delivery, given: dict[str, Any]) -> None:
        mailboxes.send_again(actor=request.user, delivery=row, reason=given["reason"], now=timezone.now())

    @display(description=_("notice"))
    def what(self, delivery: Delivery) -> str:
        return delivery.notification.kind

    @display(description=_("to"))
    def to(self, delivery: Delivery) -> str:
        return link(delivery.notification.user)

    @display(description=_("address"))
    def address(self, delivery: Delivery) -> str:
        user = delivery.notification.user
        if delivery.channel == Delivery.SMS:
            return masking.phone(user.profile.phone)
        return masking.email(user.email)

    @display(description=_("state"))
    def progress(self, delivery: Delivery) -> str:
        return label(delivery.get_state_display(), DELIVERY_COLOURS[delivery.state])


@admin.register(SuppressedAddress)
class SuppressedAddressPage(Page):
    icon = "unsubscribe"
    list_display = ("user_shown", "channel", "address_shown", "reason", "created_at")
    list_filter = (("channel", ChoicesDropdownFilter),)
    list_filter_submit = True
    list_select_related = ("user",)
    search_fields = ("user__username",)
    search_help_text = _("A person's name or email")
    ordering = ("-id",)
    actions_detail = ("release",)
    fields = (("user_shown", "channel", "address_shown"), ("reason", "created_at"))
    readonly_fields = ("user_shown", "address_shown")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SuppressedAddress], search_term: str
    ) -> tuple[QuerySet[SuppressedAddress], bool]:
        term = search_term.strip()
        return (queryset.filter(user__in=finding.people_ids(term)) if term else queryset), False

    def has_release_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "suppressed_address.release")

    def after_action(self, row: SuppressedAddress) -> str:
        return reverse("admin:notifications_suppressedaddress_changelist")

    @dialog_action(
        title=_("Release"),
        question=_("The address is written to again. The mail service may have it on a list of its own."),
        done=_("The address is written to again."),
        permission="release",
        icon="mark_email_read",
    )
    def release(self, request: HttpRequest, row: SuppressedAddress, given: dict[str, Any]) -> None:
        mailboxes.release(actor=request.user, row=row, reason=given["reason"], now=timezone.now())

    @display(description=_("user"))
    def user_shown(self, row: SuppressedAddress) -> str:
        return link(row.user)

    @display(description=_("address"))
    def address_shown(self, row: SuppressedAddress) -> str:
        return masking.phone(row.address) if row.channel == Delivery.SMS else masking.email(row.address)


def queue_depth() -> list[tuple[Any, str]]:
    """What waits in the queue of mails and SMS, with its oldest job; counted as far as a list is."""
    waiting = ProcrastinateJob.objects.filter(queue_name=deliveries.QUEUE)
    due = waiting.filter(status="todo").filter(Q(scheduled_at=None) | Q(scheduled_at__lte=timezone.now()))
    later = waiting.filter(status="todo", scheduled_at__gt=timezone.now())
    counted = (
        (_("due now"), due),
        (_("to be tried later"), later),
        (_("being sent"), waiting.filter(status="doing")),
    )
    return [(title, str(rows.order_by()[:COUNTED].count())) for title, rows in counted]
