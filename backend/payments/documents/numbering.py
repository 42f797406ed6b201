"""Numbers of documents: one after the other, without a gap, per issuer, kind and year.

The year is that of the platform's clock, which is UTC: a document that is issued at 23:30 in New York on the last of
December has the number of the new year.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import connection

from backend.core.db import prepared
from backend.payments.models import DocumentKind

CODES = {
    DocumentKind.INVOICE: "INV",
    DocumentKind.RECEIPT: "REC",
    DocumentKind.CREDIT_NOTE: "CRN",
    DocumentKind.STATEMENT: "STM",
}
"""How a kind is called in a number. It never changes."""


def year_of(now: datetime) -> int:
    """The year in whose range a document of ``now`` is numbered."""
    return now.astimezone(UTC).year


def take(issuer: str, kind: DocumentKind, year: int) -> int:
    """The next number of a range, as ``take_each`` takes it."""
    return take_each(issuer, [kind], year)[0]


def take_each(issuer: str, kinds: Sequence[DocumentKind], year: int) -> list[int]:
    """The next number of each of several ranges, no two of one kind, in their order.

    The ranges are locked until the transaction ends; rolled back, the numbers are free again. Take them late in a
    transaction: all who issue the same kind wait for each other.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a number that is taken outside of a transaction is lost when its document fails")
    with prepared() as cursor:
        cursor.execute(_TAKE, [issuer, year, [str(kind) for kind in kinds]])
        taken: dict[str, int] = dict(cursor.fetchall())
    return [taken[kind] for kind in kinds]


_TAKE = """
    INSERT INTO document_series (issuer, kind, year, last_number)
    SELECT %s, kind, %s, 1 FROM unnest(%s::text[]) WITH ORDINALITY AS asked (kind, place) ORDER BY place
    ON CONFLICT ON CONSTRAINT document_series_once
    DO UPDATE SET last_number = document_series.last_number + 1
    RETURNING kind, last_number
"""


def text(issuer: str, kind: DocumentKind, year: int, number: int) -> str:
    """A number as people write it: ``KRB-INV-2026-000001``."""
    return f"{issuer}-{CODES[kind]}-{year}-{number:06d}"
