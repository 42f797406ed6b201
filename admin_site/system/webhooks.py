"""Where hosts' programs hear what happens, and what became of telling them. Secrets and contents are not shown."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.fields import CharField
from django.db.models.functions import Cast, Coalesce, NullIf
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesRadioFilter, FieldTextFilter, RadioFilter
from unfold.decorators import display

from admin_site.frame import fields, finding
from admin_site.frame.actions import WARNING, ReasonForm, dialog_action
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import label, link
from backend.core import access
from backend.webhooks import helping
from backend.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

STATE_COLOURS = {"waiting": "warning", "delivered": "success", "failed": "danger"}


class SinceForm(ReasonForm):
    """From when on is sent again, and why."""

    since = fields.moment(_("Since (UTC)"), help_text=_("Events of the last 30 days are kept."))
    field_order = ("since", "reason")


class StandingFilter(RadioFilter):
    title = _("state")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("on", _("on")), ("failing", _("not answering")), ("off", _("switched off"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]
    ) -> QuerySet[WebhookEndpoint]:
        chosen = {
            "on": Q(disabled_at=None),
            "failing": Q(disabled_at=None, failing_since__isnull=False),
            "off": Q(disabled_at__isnull=False),
        }.get(self.value() or "")
        return queryset.filter(chosen) if chosen else queryset


class Overseen:
    """Pages for those who may oversee webhooks, whatever permissions their group has."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access.can(request.user, "webhook.oversee")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return access.can(request.user, "webhook.oversee")

    def has_help_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "webhook.oversee")


def with_answers(deliveries: QuerySet[WebhookDelivery]) -> QuerySet[WebhookDelivery]:
    """Each delivery with what its last attempt came to, as ``answered``: a status, or the word for why none came."""
    tries = WebhookAttempt.objects.filter(delivery=OuterRef("pk")).order_by("-number")
    said = Coalesce(Cast("status", CharField()), NullIf(F("error"), Value("")))
    return deliveries.annotate(answered=Subquery(tries.annotate(said=said).values("said")[:1]))


class DeliveryColumns:
    @display(description=_("state"))
    def progress(self, delivery: WebhookDelivery) -> str:
        return label(delivery.get_state_display(), STATE_COLOURS[delivery.state])

    @display(description=_("last answer"))
    def answer(self, delivery: WebhookDelivery) -> str:
        return getattr(delivery, "answered", None) or "–"

    @display(description=_("next attempt at"))
    def next_try(self, delivery: WebhookDelivery) -> Any:
        """When it is tried again; nothing where it has ended, or nothing is sent to its endpoint."""
        is_coming = delivery.state == WebhookDelivery.State.WAITING and delivery.endpoint.disabled_at is None
        return delivery.next_at if is_coming else None

    @display(description=_("event"))
    def event_link(self, delivery: WebhookDelivery) -> str:
        return link(delivery, delivery.type)

    @display(description=_("webhook"))
    def target(self, delivery: WebhookDelivery) -> str:
        return link(delivery.endpoint, host_of(delivery.endpoint))

    @display(description=_("owner"))
    def owner(self, delivery: WebhookDelivery) -> str:
        return link(delivery.endpoint.user)


def host_of(endpoint: WebhookEndpoint) -> str:
    """The host name only: the rest of the address may be a secret."""
    return urlsplit(endpoint.url).hostname or "–"


class Deliveries(DeliveryColumns, Rows):
    model = WebhookDelivery
    verbose_name_plural = _("Deliveries")
    fields = ("event_link", "created_at", "progress", "attempts", "answer", "delivered_at")
    readonly_fields = fields
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        return with_answers(super().get_queryset(request).defer("data"))


@admin.register(WebhookEndpoint)
class WebhookPage(Overseen, Page):
    icon = "webhook"
    list_display = ("address", "owner", "description", "heard", "standing", "failing_since", "created_at")
    list_filter = (StandingFilter,)
    list_filter_submit = True
    list_select_related = ("user",)
    search_fields = ("user__username",)
    search_help_text = _("A person's name or email")
    ordering = ("-id",)
    inlines = (Deliveries,)
    actions_detail = ("send_test", "send_again", "switch_off")
    offered = dict.fromkeys(actions_detail, lambda row: row.disabled_at is None)
    fields = (
        ("address", "owner", "description"),
        "heard",
        ("standing", "failing_since"),
        ("disabled_at", "disabled_reason"),
        ("created_at", "updated_at"),
    )
    readonly_fields = ("address", "owner", "heard", "standing")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        return super().get_queryset(request).select_related("user").defer("secret", "previous_secret")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint], search_term: str
    ) -> tuple[QuerySet[WebhookEndpoint], bool]:
        term = search_term.strip()
        return (queryset.filter(user__in=finding.people_ids(term)) if term else queryset), False

    @dialog_action(
        title=_("Send a test"),
        question=_("An event of the type webhook.test is sent. What came of it stands among the deliveries."),
        done=_("The test is on its way."),
        permission="help",
        icon="send",
    )
    def send_test(self, request: HttpRequest, row: WebhookEndpoint, given: dict[str, Any]) -> None:
        helping.send_test(actor=request.user, endpoint_id=row.pk, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Send again"),
        question=_(
            "All that was delivered or given up since a moment is sent again in order, the first thousand at most. "
            "Receivers tell doubles by the event's number."
        ),
        done=_("The events are on their way again."),
        permission="help",
        icon="replay",
        form_class=SinceForm,
    )
    def send_again(self, request: HttpRequest, row: WebhookEndpoint, given: dict[str, Any]) -> None:
        helping.send_again(
            actor=request.user,
            endpoint_id=row.pk,
            since=given["since"],
            reason=given["reason"],
            now=timezone.now(),
        )

    @dialog_action(
        title=_("Switch off"),
        question=_(
            "For a receiver that does not take what it is sent. Nothing more goes to it; its owner reads the reason, and "
            "may switch it on again."
        ),
        done=_("The webhook is switched off, and its owner is told."),
        permission="help",
        icon="link_off",
        variant=WARNING,
    )
    def switch_off(self, request: HttpRequest, row: WebhookEndpoint, given: dict[str, Any]) -> None:
        helping.switch_off(actor=request.user, endpoint_id=row.pk, reason=given["reason"], now=timezone.now())

    @display(description=_("address"))
    def address(self, endpoint: WebhookEndpoint) -> str:
        return host_of(endpoint)

    @display(description=_("owner"))
    def owner(self, endpoint: WebhookEndpoint) -> str:
        return link(endpoint.user)

    @display(description=_("events"))
    def heard(self, endpoint: WebhookEndpoint) -> Any:
        return ", ".join(endpoint.events) or _("all")

    @display(description=_("state"))
    def standing(self, endpoint: WebhookEndpoint) -> str:
        if endpoint.disabled_at is not None:
            return label(endpoint.get_disabled_reason_display(), "default")
        if endpoint.failing_since is not None:
            return label(_("not answering"), "danger")
        return label(_("on"), "success")


class Tries(Rows):
    model = WebhookAttempt
    verbose_name_plural = _("Attempts")
    fields = ("number", "at", "status", "error", "took_ms")
    readonly_fields = fields
    ordering = ("-number",)


@admin.register(WebhookDelivery)
class WebhookDeliveryPage(Overseen, DeliveryColumns, Page):
    icon = "send"
    list_display = (
        *("event_link", "target", "owner", "progress", "attempts", "answer"),
        *("created_at", "next_try", "delivered_at"),
    )
    list_filter = (("state", ChoicesRadioFilter), ("type", FieldTextFilter))
    list_filter_submit = True
    search_fields = ("event_id",)
    search_help_text = _("An event's number, or a person's name or email")
    ordering = ("-id",)
    inlines = (Tries,)
    actions_detail = ("send_again",)
    offered = {
        "send_again": lambda row: row.endpoint.disabled_at is None and row.state != "waiting",
    }
    fields = (
        ("type", "event_id", "object_key"),
        ("target", "owner"),
        ("progress", "attempts", "answer"),
        ("created_at", "next_try", "delivered_at"),
    )
    readonly_fields = ("target", "owner", "progress", "answer", "next_try")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        rows = super().get_queryset(request).select_related("endpoint__user").defer("data")
        return with_answers(rows)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery], search_term: str
    ) -> tuple[QuerySet[WebhookDelivery], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        theirs = list(
            WebhookEndpoint.objects.filter(user__in=finding.people_ids(term)).values_list("pk", flat=True)
        )
        if theirs:
            return queryset.filter(endpoint__in=theirs), False
        return queryset.filter(event_id=term), False

    @dialog_action(
        title=_("Send again"),
        question=_("It is sent once more under the same number, by which the receiver tells doubles."),
        done=_("The events are on their way again."),
        permission="help",
        icon="replay",
    )
    def send_again(self, request: HttpRequest, row: WebhookDelivery, given: dict[str, Any]) -> None:
        helping.send_again(
            actor=request.user,
            endpoint_id=row.endpoint_id,
            delivery_id=row.pk,
            reason=given["reason"],
            now=timezone.now(),
        )
