"""Daraja's list of what guests paid (*Pull Transactions*): the last word on a prompt that nobody tells about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from backend.payments.models import MpesaRequest
from backend.payments.providers import units
from backend.payments.providers.base import ProviderUnavailable
from backend.payments.providers.mpesa_line import NAIROBI, Line

PAGE = 100
"""How many lines Daraja gives at once."""


def payments(since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    """The payments of guests in Daraja's list of transactions. Raises: ProviderUnavailable."""
    offset = 0
    while True:
        body = {
            "ShortCode": settings.MPESA_SHORT_CODE,
            "StartDate": since.astimezone(NAIROBI).strftime("%Y-%m-%d %H:%M:%S"),
            "EndDate": until.astimezone(NAIROBI).strftime("%Y-%m-%d %H:%M:%S"),
            "OffSetValue": str(offset),
        }
        with Line() as line:
            said = line.ask("/pulltransactions/v1/query", body)
        if said.how != "taken":
            raise ProviderUnavailable(f"Daraja does not list transactions: {said.code}")
        rows = [row for page in said.body.get("Response") or [] for row in page]
        yield from rows
        if len(rows) < PAGE:
            return
        offset += len(rows)


def receipt_of(request: MpesaRequest) -> str:
    """The receipt of a payment in the list of transactions; empty when it is not there. Raises: ProviderUnavailable."""
    for row in payments(request.asked_at - timedelta(minutes=1), request.asked_at + timedelta(hours=1)):
        amount_minor = units.from_text(units.MPESA, row["amount"], request.currency)
        if (row["billreference"], amount_minor) == (request.account_reference, request.amount_minor):
            return str(row["transactionId"])
    return ""
