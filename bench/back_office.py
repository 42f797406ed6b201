"""``python3 -m bench.back_office --listings N``: how long every page of the back office takes on a platform of that size.

The demo is multiplied until it has so many listings. Each list is asked for as it stands, by every choice of every filter,
by words of what it is searched by, and deep; then a page of a first and of a late row, and the pages that are no lists.
In one process and without a network: what is measured is our code and PostgreSQL.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

from django.test.utils import setup_test_environment, teardown_test_environment

from bench.world import world

BAR_MS = 300
TIMES = 3
CHOICES = 4
"""So many choices of a filter are tried."""

WORDS = ("guest_1", "guest_1@demo.invalid", "Quiet", "zzz", "+254712345678", "12345")


@dataclass
class Page:
    """An address, what it took, and its slowest statement."""

    path: str
    times: list[float] = field(default_factory=list)
    queries: int = 0
    status: int = 0
    slowest: tuple[float, str] = (0.0, "")

    @property
    def ms(self) -> float:
        return median(self.times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listings", type=int, default=10_000)
    parser.add_argument(
        "--lively", type=int, default=100_000, help="of so many of them bookings, money and messages are told"
    )
    parser.add_argument("--keep", type=Path, help="a folder that keeps the platform for the next time")
    parser.add_argument("--only", default="", help="addresses that have this in them")
    given = parser.parse_args()
    with world(given.keep):
        _make(given.listings, given.lively)
        # Contexts are kept under test only; what is measured is measured without.
        setup_test_environment()
        addresses = list(_addresses(given.only))
        teardown_test_environment()
        pages = [_measure(page) for page in addresses]
    sys.exit(_report(pages))


def _make(listings: int, lively: int) -> None:
    from django.core.management import call_command
    from django.utils import timezone

    from backend.accounts.models import User
    from backend.analytics import market
    from backend.listings.models import Listing
    from backend.payments import closing
    from bench.multiply import multiply

    if User.objects.exists():
        return
    call_command("demo", "--json", stdout=_Nowhere())
    here = Listing.objects.count()
    copies = max(1, round(listings / here) - 1)
    print(f"{copies + 1} times the demo …")
    multiply(copies, lively=max(1, round(lively / here)), say=lambda text: print(text, flush=True))
    print(f"  {Listing.objects.count():,} listings")
    start = time.perf_counter()
    # The first closing notes how far the second one may sum up.
    for _ in range(2):
        closing.close(now=timezone.now())
    built = market.rebuild(now=timezone.now())
    print(
        f"  {built} days of the market and the books summed up in {time.perf_counter() - start:.0f} s",
        flush=True,
    )


class _Nowhere:
    """Where the demo's passwords go."""

    def write(self, text: str) -> int:
        return len(text)


def _addresses(only: str) -> Iterator[Page]:
    from django.contrib import admin
    from django.urls import reverse

    from admin_site.frame.custom import PAGES

    paths = [reverse("admin:index")]
    for word in WORDS:
        paths.append(f"{reverse('admin:search')}?{urlencode({'s': word, 'extended': 1})}")
    paths += [page.url() for page in PAGES.values() if "<" not in page.route and "GET" in page.methods]
    for model, page in admin.site._registry.items():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        base = reverse(f"admin:{name}_changelist")
        paths.append(base)
        paths += [f"{base}?p={number}" for number in (2, 150)]
        if page.search_fields:
            paths += [f"{base}?{urlencode({'q': word})}" for word in WORDS]
        paths += [f"{base}?{query}" for query in _filters(base)]
        rows = model._default_manager
        for row in (rows.order_by("pk").first(), rows.order_by("-pk").first()):
            if row is not None:
                paths.append(reverse(f"admin:{name}_change", args=(row.pk,)))
    for path in dict.fromkeys(paths):
        if only in path:
            yield Page(path)


def _filters(base: str) -> Iterator[str]:
    """Queries that narrow the list down: the first choices of each filter, and days where it takes days."""
    context = _client().get(base).context
    if context is None or "cl" not in context:
        return
    changelist = context["cl"]
    for spec in changelist.filter_specs:
        if hasattr(spec, "lookup_choices") and hasattr(spec, "parameter_name"):
            for value, _words in list(spec.lookup_choices)[:CHOICES]:
                yield urlencode({spec.parameter_name: value})
        elif "RangeDate" in type(spec).__name__:
            yield urlencode(
                {f"{spec.parameter_name}_from": "2026-11-01", f"{spec.parameter_name}_to": "2026-11-30"}
            )
        elif "RangeNumeric" in type(spec).__name__:
            yield urlencode({f"{spec.parameter_name}_from": "100", f"{spec.parameter_name}_to": "200"})
        else:
            for choice in list(spec.choices(changelist))[1 : CHOICES + 1]:
                if query := str(choice.get("query_string", "")).lstrip("?"):
                    yield query


_signed_in: list[Any] = []


def _client() -> Any:
    from django.test import Client

    from backend.accounts.models import User

    if not _signed_in:
        boss = User.objects.filter(username="admin").get()
        client = Client(SERVER_NAME="127.0.0.1")
        client.force_login(boss, backend="backend.identity.backends.AccountBackend")
        _signed_in.append(client)
    return _signed_in[0]


def _measure(page: Page) -> Page:
    from django.db import connection

    client, statements = _client(), []

    def timed(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        start = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            statements.append(((time.perf_counter() - start) * 1000, sql))

    with connection.execute_wrapper(timed):
        for turn in range(TIMES + 1):
            statements.clear()
            start = time.perf_counter()
            answer = client.get(page.path)
            if turn:
                page.times.append((time.perf_counter() - start) * 1000)
    page.status, page.queries = answer.status_code, len(statements)
    page.slowest = max(statements, default=(0.0, ""))
    print(f"{page.ms:8.0f} ms {page.queries:3} queries {page.status} {page.path}", flush=True)
    return page


def _report(pages: list[Page]) -> int:
    slow = sorted((page for page in pages if page.ms > BAR_MS), key=lambda page: -page.ms)
    faulty = [page for page in pages if page.status not in (200, 302)]
    times = sorted(page.ms for page in pages)
    print(
        f"\n{len(pages)} addresses, median {median(times):.0f} ms, slowest {times[-1]:.0f} ms, {len(slow)} over {BAR_MS} ms"
    )
    for page in slow:
        sql = " ".join(page.slowest[1].split())
        print(f"{page.ms:8.0f} ms {page.path}\n            {page.slowest[0]:.0f} ms of it: {sql[:600]}")
    for page in faulty:
        print(f"     {page.status} {page.path}")
    return 1 if slow or faulty else 0


if __name__ == "__main__":
    main()
