"""The audit log: who did what, to what, from where and why. It is written by operations and read here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, TextFilter
from unfold.decorators import action, display

from admin_site.frame import fields, finding
from admin_site.frame.actions import ReasonForm, go, refuse
from admin_site.frame.base import Page
from admin_site.frame.display import link, pretty, sees_phones, url_of
from backend.accounts.models import Session
from backend.audit import exporting
from backend.audit.models import AuditEntry, AuditSeal
from backend.core import access
from backend.core.errors import DomainError, NotAllowed

LINK_AGE_S = 60
"""How long the link to a table that was asked for can be followed."""

_SALT = "audit export"


class Exactly(TextFilter):
    """A text that the column equals, so that an index answers."""

    field = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = (self.value() or "").strip()
        return queryset.filter(**{self.field: value}) if value else queryset


class ByAction(Exactly):
    """``booking.cancel``, or all of a kind: ``booking.``"""

    title = _("action")
    parameter_name = "act"

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = (self.value() or "").strip()
        if not value:
            return queryset
        return (
            queryset.filter(action__startswith=value)
            if value.endswith(".")
            else queryset.filter(action=value)
        )


class ByActor(Exactly):
    """Who acted, or in whose stead: the beginning of a name or of an email address."""

    title = _("actor")
    parameter_name = "who"

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = (self.value() or "").strip()
        if not value:
            return queryset
        people = finding.people_ids(value)
        return queryset.filter(Q(actor__in=people) | Q(in_stead_of__in=people))


class ByKind(Exactly):
    title = _("kind of object")
    parameter_name = field = "object_type"


class ByObject(Exactly):
    title = _("object")
    parameter_name = field = "object_id"


class ByRequest(Exactly):
    title = _("request")
    parameter_name = field = "request_id"


class ByAddress(Exactly):
    """For those who may see addresses; for the others it finds nothing."""

    title = _("address")
    parameter_name = "from"

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = (self.value() or "").strip()
        if not value:
            return queryset
        address = _address(value)
        if address is None or not sees_phones(request.user):
            return queryset.none()
        return queryset.filter(address=address)


class Since(Exactly):
    """``2027-03-01``: from the first instant of this day (UTC) on."""

    title = _("first day")
    parameter_name = "since"

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = (self.value() or "").strip()
        if not value:
            return queryset
        day = _day(value)
        return queryset.none() if day is None else queryset.filter(at__gte=day)


class Until(Exactly):
    """``2027-03-31``: until the last instant of this day (UTC)."""

    title = _("last day")
    parameter_name = "until"

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = (self.value() or "").strip()
        if not value:
            return queryset
        day = _day(value)
        return queryset.none() if day is None else queryset.filter(at__lt=day + timedelta(days=1))


class ExportForm(ReasonForm):
    """Which days, and why."""

    since = fields.date(_("from"))
    until = fields.date(_("until, not included"))
    field_order = ("since", "until", "reason")


DIALOG = {
    "title": _("Export"),
    "description": _("A table of the entries of these days (UTC), at most 20,000. That you took it along stands in the log."),
    "form_class": ExportForm,
    "form_submit_text": _("Export"),
    "button": "primary",
}  # fmt: skip


@admin.register(AuditEntry)
class AuditPage(Page):
    icon = "policy"
    list_display = ("at", "who", "action", "what", "door", "reason")
    list_filter = (
        ByActor,
        ByAction,
        ByKind,
        ByObject,
        Since,
        Until,
        ByRequest,
        ByAddress,
        ("door", ChoicesDropdownFilter),
    )
    list_filter_submit = True
    list_select_related = ("actor", "in_stead_of")
    search_fields = ("object_id",)
    search_help_text = _("Who acted, the object's number, the request's id or an address")
    ordering = ("-id",)
    actions_list = ("export",)
    fields = (
        ("at", "who"),
        ("action", "what"),
        "reason",
        ("old", "new"),
        ("door", "from_address"),
        ("device", "request_id"),
        ("number", "sealed"),
    )
    readonly_fields = ("who", "what", "old", "new", "from_address", "device", "number", "sealed")

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request) and access.can(request.user, "audit.export")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Other pages link to the history of an object."""
        known = ("object_type__exact", "object_id__exact")
        return lookup in known or super().lookup_allowed(lookup, value, request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        return super().get_queryset(request).defer("salt", "origin")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = super().get_fields(request, obj)
        if sees_phones(request.user):
            return shown
        return tuple("door" if row == ("door", "from_address") else row for row in shown)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(actor__in=finding.people_ids(term)) | Q(object_id=term) | Q(request_id=term)
        address = _address(term)
        if address is not None and sees_phones(request.user):
            found |= Q(address=address)
        return queryset.filter(found), False

    def get_urls(self) -> list[Any]:
        table = path("table/", self.admin_site.admin_view(self.table), name="audit_auditentry_table")
        return [table, *super().get_urls()]

    @action(
        description=_("Export"), url_path="export", permissions=["export"], icon="download", dialog=DIALOG
    )
    def export(self, request: HttpRequest, form: Any) -> HttpResponse:
        given = form.cleaned_data
        days = {name: given[name].isoformat() for name in ("since", "until")}
        since, until = _instants(days)
        try:
            exporting.note(
                actor=request.user, since=since, until=until, reason=given["reason"], now=timezone.now()
            )
        except DomainError as error:
            return refuse(request, DIALOG, form, error)
        key = signing.dumps({**days, "user": request.user.pk}, salt=_SALT)
        return go(request, f"{reverse('admin:audit_auditentry_table')}?{urlencode({'key': key})}")

    def table(self, request: HttpRequest) -> HttpResponse:
        """The table that was just asked for, by whom it was asked for."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        try:
            asked = signing.loads(request.GET.get("key", ""), salt=_SALT, max_age=LINK_AGE_S)
        except signing.BadSignature:
            raise Http404 from None
        if asked["user"] != request.user.pk:
            raise PermissionDenied
        since, until = _instants(asked)
        try:
            content = exporting.table(actor=request.user, since=since, until=until)
        except NotAllowed:
            raise PermissionDenied from None
        response = HttpResponse(content, content_type="text/csv; charset=utf-8")
        name = f"audit-{asked['since']}-{asked['until']}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["Cache-Control"] = "private, no-store"
        return response

    @display(description=_("who"))
    def who(self, entry: AuditEntry) -> str:
        if entry.actor is None:
            return str(_("the system"))
        if entry.in_stead_of is None:
            return link(entry.actor)
        words = _("{actor} for {host}")
        return format_html(str(words), actor=link(entry.actor), host=link(entry.in_stead_of))

    @display(description=_("what"))
    def what(self, entry: AuditEntry) -> str:
        name = f"{entry.object_type} {entry.object_id}"
        model = _models(self.admin_site).get(entry.object_type)
        url = url_of(model(pk=entry.object_id)) if model else ""
        return format_html('<a href="{}" class="text-link">{}</a>', url, name) if url else name

    @display(description=_("before"))
    def old(self, entry: AuditEntry) -> str:
        return pretty(entry.before)

    @display(description=_("after"))
    def new(self, entry: AuditEntry) -> str:
        return pretty(entry.after)

    @display(description=_("address"))
    def from_address(self, entry: AuditEntry) -> str:
        return entry.address or "–"

    @display(description=_("device"))
    def device(self, entry: AuditEntry) -> str:
        if entry.session_id is None:
            return "–"
        known = Session.objects.filter(pk=entry.session_id).values_list("device", flat=True).first()
        return known or str(entry.session_id)

    @display(description=_("number"))
    def number(self, entry: AuditEntry) -> int:
        return int(entry.pk)

    @display(description=_("sealed by"))
    def sealed(self, entry: AuditEntry) -> str:
        seal = AuditSeal.objects.filter(last_entry__gte=entry.pk, entries__gt=0).order_by("pk").first()
        return "–" if seal is None else f"{seal.pk} · {seal.sealed_at:%Y-%m-%d %H:%M} UTC"


def _models(site: Any) -> dict[str, Any]:
    """Kind of object → the model whose page shows it, for all that have a page here."""
    return {str(model._meta.model_name): model for model in site._registry}


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _day(text: str) -> datetime | None:
    """The beginning of a day of this century in UTC."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return day if fields.FIRST <= day.date() <= fields.LAST else None


def _instants(days: dict[str, Any]) -> tuple[datetime, datetime]:
    since, until = (datetime.fromisoformat(days[name]).replace(tzinfo=UTC) for name in ("since", "until"))
    return since, until
