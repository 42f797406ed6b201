"""Conversations of guests and hosts: who talks with whom about what. The words are shown for a reason alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.base import Page
from admin_site.frame.display import label, link
from admin_site.frame.revealing import Shown, reveal_action
from backend.core import access
from backend.messaging import revealing
from backend.messaging.models import Conversation, UserBlock
from backend.moderation.models import Report


class ReportedFilter(RadioFilter):
    title = _("reported")
    parameter_name = "reported"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("with an open report")), ("any", _("with any report"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> QuerySet[Conversation]:
        if self.value() is None:
            return queryset
        reports = Report.objects.filter(message__conversation=OuterRef("pk"))
        if self.value() == "1":
            reports = reports.filter(status=Report.Status.OPEN)
        return queryset.filter(Exists(reports))


@admin.register(Conversation)
class ConversationPage(Page):
    icon = "forum"
    actions_detail = ("reveal",)
    list_display = ("id", "place", "guest_link", "host_link", "last_seq", "is_reported", "last_message_at")
    list_filter = (ReportedFilter,)
    list_filter_submit = True
    search_fields = ("id",)
    search_help_text = _("Number of the conversation or the listing, or a username")
    ordering = ("-updated_at", "-id")
    fields = (
        ("place", "guest_link", "host_link"),
        ("last_seq", "is_reported", "has_blocked"),
        ("contact_open_at", "last_message_at", "created_at"),
    )
    readonly_fields = ("place", "guest_link", "host_link", "is_reported", "has_blocked")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        reports = Report.objects.filter(message__conversation=OuterRef("pk"), status=Report.Status.OPEN)
        whole = super().get_queryset(request).select_related("listing", "guest", "host")
        return whole.annotate(reported=Exists(reports))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Conversation], search_term: str
    ) -> tuple[QuerySet[Conversation], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        people = finding.people_ids(term)
        found = Q(guest__in=people) | Q(host__in=people)
        if term.isascii() and term.isdecimal() and int(term) < 2**63:
            found |= Q(pk=int(term)) | Q(listing=int(term))
        return queryset.filter(found), False

    def has_reveal_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "conversation.look", row)

    @reveal_action(
        question=_("Shows what the two wrote to each other. The audit log keeps that you have read it.")
    )
    def reveal(self, request: HttpRequest, row: Conversation, reason: str) -> Shown:
        lines = revealing.look(
            actor=request.user,
            conversation=row,
            reason=reason,
            now=timezone.now(),
            language=get_language() or "",
        )
        return [(_head(line), _words(line)) for line in lines] or [(_("messages"), "")]

    @display(description=_("listing"))
    def place(self, conversation: Conversation) -> str:
        return link(conversation.listing)

    @display(description=_("guest"))
    def guest_link(self, conversation: Conversation) -> str:
        return link(conversation.guest)

    @display(description=_("host"))
    def host_link(self, conversation: Conversation) -> str:
        return link(conversation.host)

    @display(description=_("report"))
    def is_reported(self, conversation: Any) -> str:
        return label(_("open"), "danger") if conversation.reported else "–"

    @display(description=_("can write to each other"))
    def has_blocked(self, conversation: Conversation) -> str:
        two = [conversation.guest_id, conversation.host_id]
        blocked = UserBlock.objects.filter(blocker__in=two, blocked__in=two).exists()
        return label(_("blocked"), "warning") if blocked else str(_("yes"))


def _head(line: revealing.Line) -> str:
    at = date_format(timezone.localtime(line.at), "SHORT_DATETIME_FORMAT")
    hidden = f" · {_now('hidden')}" if line.is_hidden else ""
    return f"{line.seq} · {at} · {line.sender or _now('the platform')}{hidden}"


def _words(line: revealing.Line) -> str:
    return " · ".join(part for part in (line.body, *line.attachments) if part)
