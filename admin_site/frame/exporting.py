"""Lists as tables for a spreadsheet: what a list shows as it is narrowed down, or the rows that are ticked in it.

A page says which columns it has; the rest is here::

    actions_list = ("export",)
    export = export_action(
        related=("folio__booking", "folio__guest"),
        columns=[
            ("reference", "reference"),
            ("booking", "folio.booking.reference"),
            ("guest", lambda payment: full_name(payment.folio.guest)),
            ("amount", major("amount_minor")),
            ("currency", "currency"),
            ("created_at", "created_at"),
        ],
    )

Names of columns are fixed words and not translated, since programs read them. Amounts are plain numbers in major units
beside a currency, instants ISO 8601 in UTC, and no cell is a formula. What is masked on a page is masked here, when the
column takes it from ``masking``. The dialog asks why; the audit log keeps who took which list along (``rows.export``).
"""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import copy_context
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.core import signing
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant

from admin_site.frame.actions import ReasonForm, go, refuse
from backend.audit import tables
from backend.core.errors import DomainError
from backend.core.formats import cell
from backend.core.money import Money

Value = Callable[[Any], Any] | str
"""What a cell holds: a function of the row, or a path of its attributes; empty where something on the way is missing."""

LINK_AGE_S = 60
"""How long the link to a table that was asked for can be followed."""

AT_ONCE = 500
"""How many rows are read at a time."""

TICKED_ROWS = "#result_list, title"
"""Where a dialog over a list finds the boxes that are ticked. The page's title is always there: htmx wants one to be."""

_SALT = "rows export"
_OF_PAGES = ("p", "o", "e", "all")
"""What a list's address says of its look; the rest narrows it down."""


def major(minor: str, currency: str = "currency") -> Callable[[Any], Decimal | None]:
    """A column of the amount in ``minor`` (a path) of ``currency`` (a path), in major units; empty for none."""

    def value(row: Any) -> Decimal | None:
        amount, code = _at(row, minor), _at(row, currency)
        return None if amount is None or not code else Money(amount, code).major()

    return value


def export_action(
    *, columns: Sequence[tuple[str, Value]], related: Sequence[str] = (), limit: int | None = None
) -> Any:
    """An action over a list that answers its rows as a CSV file with ``columns`` (name, value), at most ``limit`` rows.

    Without a limit it is ``tables.MOST``. ``related`` is read together with the rows, as ``select_related`` takes it. The page's ``has_export_permission``
    says who may; a longer list is refused with the sentence to narrow it down.
    """
    header = [name for name, _value in columns]
    values = [_reader(value) for _name, value in columns]
    dialog = {
        "title": _("Export"),
        "description": _("A table for a spreadsheet. That you took it along stands in the audit log."),
        "form_class": ReasonForm,
        "form_submit_text": _("Export"),
        "button": "primary",
    }

    def export(page: Any, request: HttpRequest) -> HttpResponseBase:
        if not page.has_export_permission(request):
            raise PermissionDenied
        most = limit or tables.MOST
        if "key" in request.GET:
            narrowed, chosen = _promised(page, request)
            found = _found(page, request, narrowed, chosen).values_list("pk", flat=True)
            rows = _rows(page, request, list(found[:most]), related)
            return csv_response(_filename(page), header, ([value(row) for value in values] for row in rows))
        narrowed, chosen = _narrowing(page, request)
        count = _found(page, request, narrowed, chosen).order_by().values("pk")[: most + 1].count()
        form = ExportForm(data=request.POST or None, request=request)
        form.count, form.limit, form.is_chosen = count, most, bool(chosen)
        if not form.is_valid():
            context = {"dialog": dialog, "form": form, "form_submit_text": dialog["form_submit_text"]}
            return render(request, "unfold/helpers/dialog.html", context)
        try:
            tables.note(
                actor=request.user,
                kind=page.model._meta.label_lower,
                narrowed=_kept(narrowed, chosen),
                rows=count,
                most=most,
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
            )
        except DomainError as error:
            return refuse(request, dialog, form, error)
        key = signing.dumps(
            {"list": page.model._meta.label_lower, "user": request.user.pk, "q": narrowed, "chosen": chosen},
            salt=_SALT,
        )
        answer = go(request, f"{request.path}?{urlencode({'key': key})}")
        answer.headers["HX-Trigger"] = "exported"
        return answer

    attributes: dict[str, Any] = {
        "short_description": _("Export"),
        "url_path": "export",
        "allowed_permissions": ["export"],
        "icon": "download",
        "dialog": dialog,
        "variant": ActionVariant.DEFAULT,
        "attrs": {"hx-include": TICKED_ROWS},
        "original_function_name": "export",
    }
    for name, value in attributes.items():
        setattr(export, name, value)
    return export


def csv_response(
    filename: str, header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """A CSV file (RFC 4180, UTF-8) that is sent while it is made, each row as ``rows`` yields it, values as ``text``.

    The rows are made for whoever asks and in their language, although the page is over by then.
    """
    lines = _lines(header, rows)
    context = copy_context()

    def stream() -> Iterator[str]:
        while (line := context.run(next, lines, None)) is not None:
            yield line

    response = StreamingHttpResponse(stream(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["Cache-Control"] = "private, no-store"
    return response


def text(value: Any) -> str:
    """A value as a cell holds it: numbers plain, instants in UTC, dates ISO 8601, texts never a formula."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            return cell(str(value))


class ExportForm(ReasonForm):
    """Says how many rows these are, then asks why."""

    form_before_template = "admin_site/export_preview.html"
    count = limit = 0
    is_chosen = False

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        return {
            "count": self.count,
            "limit": self.limit,
            "is_chosen": self.is_chosen,
            "too_many": self.count > self.limit,
        }


class _Echo:
    """What ``csv`` writes to: it gives back what it is given."""

    def write(self, line: str) -> str:
        return line


def _lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([text(value) for value in row])


def _reader(value: Value) -> Callable[[Any], Any]:
    return value if callable(value) else lambda row: _at(row, value)


def _at(row: Any, path: str) -> Any:
    """The attribute at ``path``, None where a link on the way leads nowhere."""
    for name in path.split("."):
        if row is None:
            return None
        try:
            row = getattr(row, name)
        except ObjectDoesNotExist:
            return None
    return row


def _narrowing(page: Any, request: HttpRequest) -> tuple[dict[str, list[str]], list[str]]:
    """How the list is narrowed down that the dialog was opened over, and the keys of the rows ticked in it."""
    meta = page.model._meta
    chosen = request.GET.getlist(ACTION_CHECKBOX_NAME)
    here = urlsplit(request.headers.get("HX-Current-URL", ""))
    if here.path == reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"):
        asked = parse_qs(here.query, keep_blank_values=True)
    else:
        asked = {name: list(values) for name, values in request.GET.lists()}
    left_out = (*_OF_PAGES, ACTION_CHECKBOX_NAME)
    return {name: values for name, values in asked.items() if name not in left_out}, chosen


def _kept(narrowed: dict[str, list[str]], chosen: list[str]) -> dict[str, list[str]]:
    """What the audit log keeps of it."""
    kept = {name: values for name, values in narrowed.items() if name != "q"}
    if "q" in narrowed:
        kept["q"] = ["…"]
    if chosen:
        kept["chosen"] = chosen
    return kept


def _promised(page: Any, request: HttpRequest) -> tuple[dict[str, list[str]], list[str]]:
    """What the link in ``request`` was made for. Raises: Http404 (no such link), PermissionDenied (somebody else's)."""
    try:
        asked = signing.loads(request.GET["key"], salt=_SALT, max_age=LINK_AGE_S)
    except signing.BadSignature:
        raise Http404 from None
    if asked["list"] != page.model._meta.label_lower:
        raise Http404
    if asked["user"] != request.user.pk:
        raise PermissionDenied
    return asked["q"], asked["chosen"]


def _found(
    page: Any, request: HttpRequest, narrowed: dict[str, list[str]], chosen: list[str]
) -> QuerySet[Any]:
    """The rows of the list in its order. Raises: Http404 where its address says what no list understands."""
    asked: Any = copy.copy(request)
    query = QueryDict(mutable=True)
    for name, values in narrowed.items():
        query.setlist(name, list(values))
    asked.GET = query
    try:
        rows: QuerySet[Any] = page.get_changelist_instance(asked).queryset
        return rows.filter(pk__in=chosen) if chosen else rows
    except (IncorrectLookupParameters, ValidationError, ValueError):
        raise Http404 from None


def _rows(page: Any, request: HttpRequest, keys: Sequence[Any], related: Sequence[str]) -> Iterator[Any]:
    """The rows of ``keys`` in their order, some at a time; those that are gone by now are left out."""
    rows = page.get_queryset(request)
    if related:
        rows = rows.select_related(*related)
    for start in range(0, len(keys), AT_ONCE):
        batch = keys[start : start + AT_ONCE]
        found = rows.in_bulk(batch)
        yield from (found[key] for key in batch if key in found)


def _filename(page: Any) -> str:
    return f"{page.model._meta.model_name}s-{timezone.now():%Y-%m-%d}.csv"
