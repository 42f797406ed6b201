"""What became of a request: every answer carries its number (X-Request-ID), which people can name.

Whoever may see the system sees traces too; the others see that something failed and where.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db import OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_site.frame.custom import CustomPage, register_page
from admin_site.frame.display import instant, label, number
from backend.core import access, platform
from backend.telemetry import reading
from backend.telemetry.models import AccessLine
from backend.telemetry.reading import Sought

SHORT = 13
"""Characters of a request's number in a list; its link holds all of it."""

HOURS = (1, 24, 168, 720)
LARGEST_ID = 2**63 - 1


def view(request: HttpRequest) -> HttpResponseBase:
    """A form, and the lines and errors that are looked for."""
    now = timezone.now()
    sought = _sought(request)
    sees_traces = access.can(request.user, "system.see")
    lines: list[AccessLine] = []
    trouble = ""
    if sought:
        try:
            lines = reading.lines_of(sought, now)
        except OperationalError:
            trouble = _("That takes too long: name a request or a user, or a shorter time.")
    errors = reading.errors_of(sought, now) if sees_traces or sought.request_id else []
    return PAGE.render(
        request,
        "admin_site/system_requests.html",
        {
            "sought": sought,
            "asked": bool(sought),
            "trouble": trouble,
            "hours": [(each, _length(each), each == sought.hours) for each in HOURS],
            "kept_hours": number(platform.get("access_log_hours")),
            "headers": [
                *(_("At (UTC)"), _("Request"), _("Route"), _("Status"), _("Took"), _("Database")),
                *(_("User"), _("Network")),
            ],
            "lines": [_row(line) for line in lines],
            "is_cut": len(lines) == reading.LINES,
            "most": number(reading.LINES),
            "errors": [_error(each, sees_traces=sees_traces) for each in errors],
            "audit_url": _audit(request, sought),
        },
    )


def _sought(request: HttpRequest) -> Sought:
    given = request.GET
    hours = _number(given.get("hours", ""))
    return Sought(
        request_id=given.get("id", "").strip()[:64],
        user_id=_number(given.get("user", "")),
        route=given.get("route", "").strip()[:200],
        status=_number(given.get("status", ""), most=599),
        hours=hours if hours in HOURS else 24,
    )


def _number(text: str, *, most: int = LARGEST_ID) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most else None


def _length(hours: int) -> str:
    return {
        1: _("an hour"),
        24: _("a day"),
        168: _("a week"),
        720: _("30 days"),
    }[hours]


def _row(line: AccessLine) -> list[Any]:
    here = reverse("admin:page_requests")
    colour = "danger" if line.status >= 500 else "warning" if line.status >= 400 else "success"
    user: Any = "–"
    if line.user_id is not None:
        user = format_html(
            '<a class="text-link" href="{}">{}</a>',
            reverse("admin:accounts_user_change", args=(line.user_id,)),
            line.user_id,
        )
    return [
        instant(line.at, seconds=True),
        format_html(
            '<a class="text-link" href="{}?{}" title="{}"><code>{}</code></a>',
            here,
            urlencode({"id": line.request_id}),
            line.request_id,
            Truncator(line.request_id).chars(SHORT),
        ),
        format_html("<code>{} {}</code>", line.method, line.route or _("(no such address)")),
        label(line.status, colour),
        _("%s ms") % number(round(line.ms)),
        _("{statements} statements, {ms} ms").format(
            statements=number(line.statements), ms=number(round(line.sql_ms))
        ),
        user,
        line.network or "–",
    ]


def _error(each: Any, *, sees_traces: bool) -> dict[str, Any]:
    return {
        "at": instant(each.at, seconds=True),
        "what": f"{each.exception} {each.event}".strip(),
        "where": each.logger,
        "request_id": each.request_id,
        "trace": each.trace if sees_traces else "",
    }


def _audit(request: HttpRequest, sought: Sought) -> str:
    """The acts of the very request, for those who may see the audit log."""
    if not sought.request_id or not request.user.has_perm("audit.view_auditentry"):
        return ""
    return f"{reverse('admin:audit_auditentry_changelist')}?{urlencode({'request_id': sought.request_id})}"


PAGE = register_page(
    CustomPage(
        "requests",
        gettext_lazy("Requests and errors"),
        "manage_search",
        view,
        rule="system.requests",
    )
)
