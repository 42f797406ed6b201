"""What the money desk takes along: taxes, the platform's income, a host's statement. Looked at first, then exported.

The journal for the accountant is the ledger's own list, narrowed down to its days and exported there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from admin_site.frame import fields
from admin_site.frame.custom import CustomPage, register_page
from admin_site.frame.display import link, money
from admin_site.frame.exporting import csv_response
from admin_site.frame.masking import full_name
from backend.audit import tables
from backend.bookings import reports
from backend.core.errors import DomainError, Invalid
from backend.core.money import Money
from backend.payments import statements
from backend.payments.models import Document, DocumentKind

SHOWN = 200
"""How many rows are shown; the table that is taken along has all."""

TAXES, FEES, STATEMENT = "taxes", "fees", "statement"


@dataclass(frozen=True)
class Report:
    """A report as it is shown (``headers``, ``rows``) and as it is taken along (``columns``, ``values``)."""

    headers: Sequence[str]
    rows: list[list[Any]]
    columns: Sequence[str]
    values: list[list[Any]]
    papers: Sequence[Any] = ()


class _Month(forms.DateField):
    """``2027-03``, as the browser's own input for months gives it; the first day of it."""

    def __init__(self, **options: Any) -> None:
        widget = UnfoldAdminTextInputWidget(attrs={"type": "month", "placeholder": "2027-03"})
        super().__init__(input_formats=["%Y-%m"], widget=widget, **options)

    def prepare_value(self, value: Any) -> Any:
        return f"{value:%Y-%m}" if isinstance(value, date) else value


class ReportForm(forms.Form):
    """Which report, of which months; a statement is of one host."""

    report = fields.choice(
        gettext_lazy("Report"),
        [
            (TAXES, gettext_lazy("Taxes by country and month")),
            (FEES, gettext_lazy("The platform's income by month")),
            (STATEMENT, gettext_lazy("A host's statement")),
        ],
    )
    first = _Month(label=gettext_lazy("First month"))
    last = _Month(label=gettext_lazy("Last month"))
    host = fields.person(
        gettext_lazy("Host"),
        help_text=gettext_lazy("Username or email, for a statement; it is of the first month."),
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("report") == STATEMENT and not given.get("host") and "host" not in self.errors:
            self.add_error("host", _("Whose statement?"))
        return given


class TakeForm(forms.Form):
    """Why it is taken along."""

    reason = fields.words(gettext_lazy("Reason"), 500)


def view(request: HttpRequest) -> HttpResponseBase:
    """By GET what the report says, by POST the report as a table; the same months in the address for both."""
    asked = request.GET.dict()
    month = f"{timezone.now():%Y-%m}"
    form = ReportForm({"report": TAXES, "first": month, "last": month, **asked})
    take = TakeForm(request.POST if request.method == "POST" else None)
    report = None
    if form.is_valid():
        given = form.cleaned_data
        try:
            report = MAKERS[given["report"]](given)
            if request.method == "POST" and take.is_valid():
                return _taken(request, given, report, take.cleaned_data["reason"])
        except Invalid as error:
            for problem in error.errors:
                target = take if problem.field in take.fields else form
                target.add_error(
                    problem.field if problem.field in target.fields else None, str(problem.message)
                )
        except DomainError as error:
            form.add_error(None, str(error.detail))
    return PAGE.render(
        request,
        "admin_site/money_reports.html",
        {
            "form": form,
            "take": take,
            "report": report,
            "rows": report.rows[:SHOWN] if report else [],
            "left_out": max(0, len(report.rows) - SHOWN) if report else 0,
            "journal_url": reverse("admin:payments_ledgerentry_changelist"),
            "address": f"{request.path}?{urlencode(asked)}",
        },
    )


PAGE = register_page(
    CustomPage(
        "money_reports",
        gettext_lazy("Reports for the books"),
        "request_quote",
        view,
        rule="money.see",
        route="money-reports/",
        methods=("GET", "POST"),
    )
)


def _taken(request: HttpRequest, given: dict[str, Any], report: Report, reason: str) -> HttpResponseBase:
    kind = given["report"]
    about = {"report": [kind], "first": [f"{given['first']:%Y-%m}"], "last": [f"{given['last']:%Y-%m}"]}
    if kind == STATEMENT:
        about["host"] = [str(given["host"].pk)]
    tables.note(
        actor=request.user,
        kind=f"report.{kind}",
        narrowed=about,
        rows=len(report.values),
        most=reports.MOST_STAYS,
        reason=reason,
        now=timezone.now(),
    )
    return csv_response(
        f"{kind}-{given['first']:%Y-%m}-{given['last']:%Y-%m}.csv", report.columns, report.values
    )


def _taxes(given: dict[str, Any]) -> Report:
    found = reports.taxes(*reports.span(given["first"], given["last"]))
    return Report(
        [_("Month"), _("Country"), _("Tax"), _("Stays"), _("Collected"), _("Given back"), _("Net")],
        [
            [
                row.month,
                row.country or "–",
                row.tax or _("Tax"),
                row.stays,
                *(money(minor, row.currency) for minor in (row.collected, row.given_back, row.net)),
            ]
            for row in found
        ],
        ("month", "country", "tax", "stays", "currency", "collected", "given_back", "net"),
        [
            [
                *(row.month, row.country, row.tax or "Tax", row.stays, row.currency),
                *(Money(minor, row.currency).major() for minor in (row.collected, row.given_back, row.net)),
            ]
            for row in found
        ],
    )


def _fees(given: dict[str, Any]) -> Report:
    found = reports.fees(*reports.span(given["first"], given["last"]))
    return Report(
        [
            *(_("Month"), _("Fees"), _("Hosts' penalties"), _("Given back"), _("Lost in disputes"), _("Net")),
        ],
        [[row.month, *(money(minor, row.currency) for minor in _of(row))] for row in found],
        ("month", "currency", "fees", "penalties", "given_back", "lost_in_disputes", "net"),
        [
            [row.month, row.currency, *(Money(minor, row.currency).major() for minor in _of(row))]
            for row in found
        ],
    )


def _of(row: reports.FeeRow) -> tuple[int, ...]:
    return row.fees, row.penalties, row.given_back, row.disputes, row.net


def _statement(given: dict[str, Any]) -> Report:
    """A host's month as the host sees it, and the papers that were issued for it."""
    host, month = given["host"], given["first"]
    found = statements.of(host, month)
    rows, values = [], []
    for statement in found:
        for row in statement.rows:
            minors = (row.gross_minor, row.service_fees_minor, row.netted_minor, row.amount_minor)
            what = (row.at.date().isoformat(), row.kind, row.reference, row.booking_reference)
            rows.append([*what, *(money(minor, statement.currency) for minor in minors)])
            values.append(
                [*what, statement.currency, *(Money(minor, statement.currency).major() for minor in minors)]
            )
        total = statement.totals
        sums = (total.gross_minor, total.service_fees_minor, total.netted_minor, total.net_minor)
        rows.append([_("Total"), "", "", "", *(money(minor, statement.currency) for minor in sums)])
    papers = Document.objects.filter(recipient=host, kind=DocumentKind.STATEMENT, month=month).order_by("id")
    return Report(
        [
            *(_("Date"), _("Kind"), _("Payout"), _("Booking")),
            *(_("Gross"), _("Service fees"), _("Taken for debts"), _("Net")),
        ],
        rows,
        ("date", "kind", "payout", "booking", "currency", "gross", "service_fees", "netted", "net"),
        values,
        papers=[link(host, full_name(host)), *(link(paper) for paper in papers)],
    )


MAKERS: dict[str, Callable[[dict[str, Any]], Report]] = {TAXES: _taxes, FEES: _fees, STATEMENT: _statement}
