"""How rare amenities are, by the planner's own statistics: what few listings have is looked up instead of tried.

The shares come from the last ANALYZE and are kept for a while. They decide only how a search goes about it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from django.db import connection

FRESH_FOR_S = 300.0

RARE_SHARE, RARE_LISTINGS = 0.02, 20_000
"""Of all listings, and how many: what is more frequent is found sooner by trying the rows in turn."""

_SHARES = """
    SELECT c.reltuples, s.most_common_elems::text::int[], s.most_common_elem_freqs
    FROM pg_class c LEFT JOIN pg_stats s ON s.tablename = 'search_row_amenities'
    WHERE c.oid = 'search_row'::regclass
"""


@dataclass(frozen=True, slots=True)
class _Shares:
    read_at: float = float("-inf")
    listings: float = 0.0
    of: dict[int, float] = field(default_factory=dict)
    least: float = 1.0


_known = _Shares()


def bits(mask: int) -> list[int]:
    """The bits that are set in a mask, lowest first."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def is_rare(mask: int) -> bool:
    """Whether so few listings have all amenities of ``mask`` that they are best looked up. No while nothing is known."""
    shares, share = _read(), 1.0
    for bit in bits(mask):
        share *= shares.of.get(bit, shares.least)
    return bool(shares.of) and share <= RARE_SHARE and share * shares.listings <= RARE_LISTINGS


def _read() -> _Shares:
    global _known
    if time.monotonic() - _known.read_at > FRESH_FOR_S:
        with connection.cursor() as cursor:
            cursor.execute(_SHARES)
            listings, elements, frequencies = cursor.fetchone()
        # After the shares of the elements come the least and the greatest of them.
        of = dict(zip(elements or (), frequencies or (), strict=False))
        _known = _Shares(time.monotonic(), max(0.0, listings), of, min(of.values(), default=1.0))
    return _known
