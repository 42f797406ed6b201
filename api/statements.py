"""A host's month in figures."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router
from pydantic import Field

from api.conditional import etag, etag_response
from api.invoices import Month
from api.problems import responses
from api.types import Id, MoneyOut, Out, Params
from backend.core.money import Money
from backend.payments import payout_accounts, statements
from backend.payments.statements import Row, Statement

router = Router(tags=["Payouts"])

CSV: Any = {
    "responses": {
        200: {"content": {"text/csv": {"schema": {"type": "string"}, "example": ",".join(statements.COLUMNS)}}}
    }
}  # fmt: skip
"""What an operation that answers with a table says of it in the OpenAPI document."""


class StatementPayoutOut(Out):
    """A payout of the month. One that came back, or was taken back, stands once more with negative amounts."""

    id: Id
    booking_id: int | None
    reference: Annotated[str, Field(examples=["T-7K3M9Q2X"])]
    booking_reference: Annotated[str, Field(examples=["KB7Q2M9X"])]
    kind: Annotated[Literal["payout", "returned", "taken_back"], Field(examples=["payout"])]
    at: datetime
    gross_amount: MoneyOut
    service_fees: MoneyOut
    netted_amount: MoneyOut
    amount: MoneyOut
    currency: str


class StatementTotals(Out):
    """``gross - service_fees - netted = net``. ``gross`` is before the platform's fee, ``netted`` went for debts."""

    gross: MoneyOut
    service_fees: MoneyOut
    netted: MoneyOut
    net: MoneyOut


class CurrencyStatementOut(Out):
    """What was paid in one currency in one month."""

    month: Annotated[str, Field(examples=["2027-03"])]
    currency: str
    payouts: list[StatementPayoutOut]
    totals: StatementTotals


class StatementOut(CurrencyStatementOut):
    """The month in the asked currency, else in the one with the most payouts; ``results`` has every currency's."""

    count: int
    count_is_exact: bool
    next: str | None
    previous: str | None
    results: list[CurrencyStatementOut]


class StatementQuery(Params):
    """Which month, and in which currency."""

    month: Month | None = None
    currency: Annotated[str | None, Field(pattern="^[A-Z]{3}$", description="Only this currency.")] = None


@router.get("/host/statements/", response=responses(StatementOut), summary="See what one was paid in a month")
def see_statement(request: HttpRequest, params: Query[StatementQuery]) -> HttpResponse:
    """Each payout with its fee and what was taken for debts, and the sums. A month without payouts is empty."""
    month, found = _found(request, params)
    currency = params.currency or payout_accounts.usual_currency(request.auth)  # type: ignore[attr-defined]
    results = [_payload(statement) for statement in found]
    answer = {
        **(results[0] if results else _payload(Statement(month, currency, ()))),
        "count": len(results),
        "count_is_exact": True,
        "next": None,
        "previous": None,
        "results": results,
    }
    return etag_response(request, etag(answer), answer)


@router.get(
    "/host/statements.csv",
    response=responses(str),
    summary="A month's payouts as a table",
    openapi_extra=CSV,
)
def export_statement(request: HttpRequest, params: Query[StatementQuery]) -> HttpResponse:
    """Comma separated, with a head line, for spreadsheets. Amounts are in major units of the row's currency."""
    month, found = _found(request, params)
    response = HttpResponse(statements.as_csv(found), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="statement-{month:%Y-%m}.csv"'
    response["Cache-Control"] = "private, no-store"
    return response


def _found(request: HttpRequest, params: StatementQuery) -> tuple[date, list[Statement]]:
    month = date.fromisoformat(f"{params.month or timezone.now().strftime('%Y-%m')}-01")
    found = statements.of(request.auth, month)  # type: ignore[attr-defined]
    return month, [each for each in found if params.currency in (None, each.currency)]


def _payload(statement: Statement) -> dict[str, Any]:
    def number(minor: int) -> int | float:
        return Money(minor, statement.currency).number()

    totals = statement.totals
    return {
        "month": f"{statement.month:%Y-%m}",
        "currency": statement.currency,
        "payouts": [_row_payload(row, statement.currency) for row in statement.rows],
        "totals": {
            "gross": number(totals.gross_minor),
            "service_fees": number(totals.service_fees_minor),
            "netted": number(totals.netted_minor),
            "net": number(totals.net_minor),
        },
    }


def _row_payload(row: Row, currency: str) -> dict[str, Any]:
    return {
        "id": row.payout_id,
        "booking_id": row.booking_id,
        "reference": row.reference,
        "booking_reference": row.booking_reference,
        "kind": row.kind,
        "at": row.at,
        "gross_amount": Money(row.gross_minor, currency).number(),
        "service_fees": Money(row.service_fees_minor, currency).number(),
        "netted_amount": Money(row.netted_minor, currency).number(),
        "amount": Money(row.amount_minor, currency).number(),
        "currency": currency,
    }
