"""Keep the search rows right: rebuild them, prove them equal to the truth, move their window and their rates on.

Search never depends on any of this having run in time: stays outside of a row's window are answered exactly, and a
rate that is a day old orders prices as they were yesterday. Work is done in batches that commit, each of them small
enough that a booking of one of its listings hardly waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from backend.core import fx
from backend.listings.models import Listing
from backend.search import nights
from backend.search.invariants import CHECKS
from backend.search.models import SearchRate, SearchWindow

BATCH = 1_000
"""Rows changed in one transaction."""

Progress = Callable[[int], object]


def rebuild(progress: Progress = lambda done: None) -> int:
    """Make every search row anew from the tables it repeats; returns how many listings there are.

    Safe while the platform runs: rows are locked batch by batch, and what changes meanwhile follows by itself.
    """
    with connection.cursor() as cursor:
        for table in ("search_row", "search_text"):
            cursor.execute(
                f"DELETE FROM {table} s WHERE NOT EXISTS (SELECT FROM properties p WHERE p.id = s.listing_id)"  # noqa: S608
            )
    done = 0
    for ids in _batches("SELECT id FROM properties WHERE id > %s ORDER BY id LIMIT %s"):
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            for refresh in ("listings", "nights", "text"):
                cursor.execute(f"SELECT search_refresh_{refresh}(%s)", [ids])
        done += len(ids)
        progress(len(ids))
    return done


def cluster() -> None:
    """Put the heap in the order of (cell, score), so that the listings of a town lie together.

    Locks the table for its length (about a second per 100,000 listings): nothing is found and no booking commits.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("CLUSTER search_row USING search_row_cell")
        cursor.execute("ANALYZE search_row")


def differences() -> list[tuple[str, dict[str, Any]]]:
    """Where the rows are not what they must be: the check's name and the offending row. Reads everything."""
    found: list[tuple[str, dict[str, Any]]] = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        for check in CHECKS:
            cursor.execute(check.sql)
            names = [column.name for column in cursor.description or ()]
            found.extend((check.name, dict(zip(names, row, strict=True))) for row in cursor.fetchall())
    return found


def keep_up(now: datetime) -> dict[str, int]:
    """The sweep: what the clock and new exchange rates ask for. Returns how many rows each changed."""
    return {"rolled": roll_window(now), "repriced": reprice()}


def roll_window(now: datetime) -> int:
    """Let the night words begin with yesterday's word at ``now`` (UTC); returns how many rows moved on.

    Nothing to do on 59 days of 60. A row that has not moved yet answers for its old window; both are right.
    """
    target = nights.first_word(now)
    window = SearchWindow.objects.get()
    if window.reached >= target:
        return 0
    SearchWindow.objects.update(first_word=target)
    moved = 0
    for ids in _batches(
        "SELECT listing_id FROM search_row WHERE listing_id > %s AND first_word < %s ORDER BY listing_id LIMIT %s",
        target,
    ):
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(
                "SELECT listing_id FROM search_row WHERE listing_id = ANY (%s) ORDER BY listing_id FOR UPDATE",
                [ids],
            )
            cursor.execute("UPDATE search_row SET first_word = %s WHERE listing_id = ANY (%s)", [target, ids])
            cursor.execute("SELECT search_refresh_nights(%s)", [ids])
        moved += len(ids)
    SearchWindow.objects.update(reached=target)
    return moved


def reprice() -> int:
    """Compare prices at the newest exchange rates; returns how many listings were looked at.

    A run that was interrupted is taken up again: a rate counts as settled when all its rows follow it.
    """
    fx.forget()
    newest = fx.rates()
    for rate in SearchRate.objects.all():
        if rate.currency in newest and float(newest[rate.currency]) != rate.per_euro:
            SearchRate.objects.filter(pk=rate.pk).update(per_euro=newest[rate.currency], settled=False)
    moving = list(SearchRate.objects.filter(settled=False).values_list("currency", flat=True))
    if not moving:
        return 0
    done = 0
    for ids in _batches(
        "SELECT id FROM properties WHERE id > %s AND currency = ANY (%s) ORDER BY id LIMIT %s", moving
    ):
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SELECT search_refresh_listings(%s)", [ids])
        done += len(ids)
    SearchRate.objects.filter(currency__in=moving).update(settled=True)
    return done


def listings() -> int:
    """How many listings there are to rebuild."""
    return Listing.objects.count()


def _batches(sql: str, *params: Any) -> Iterator[list[int]]:
    """Ids in rising order, ``BATCH`` at a time. ``sql`` takes the last id, ``params`` and the limit."""
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql, [last, *params, BATCH])
            ids = [pk for (pk,) in cursor.fetchall()]
        if not ids:
            return
        yield ids
        last = ids[-1]
