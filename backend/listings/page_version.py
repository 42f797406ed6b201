"""The version of a listing's public page, for who keeps what was made of it.

PostgreSQL writes each change of a row as a new row: who wrote it and where it lies (``xmin``, ``ctid``) are another pair each
time, whoever changed it and how. So the pairs of all rows that the page is made of are its version: nothing is written for
it, and nobody waits. The instant at which the server started stands with them, since one that takes over from another, or
comes out of a backup, may give the numbers again that the other one gave last.
"""

from __future__ import annotations

from backend.core.db import prepared
from backend.listings.states import ListingStatus

_READ = f"""
    SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), l.xmin, l.ctid, u.xmin, u.ctid, p.xmin, p.ctid,
        (SELECT string_agg(concat(f.xmin, f.ctid), ',' ORDER BY f.id) FROM photos f WHERE f.listing_id = l.id), '/',
        (SELECT string_agg(concat(t.xmin, t.ctid), ',' ORDER BY t.id) FROM property_texts t WHERE t.listing_id = l.id))
    FROM properties l JOIN users u ON u.id = l.host_id JOIN profiles p ON p.user_id = l.host_id
    WHERE l.id = %s AND l.status = '{ListingStatus.PUBLISHED.value}'
"""  # noqa: S608 - a word of our own


def of(listing_id: int) -> str | None:
    """The version of the page at this moment, in one statement; None where no listing is published."""
    with prepared() as cursor:
        cursor.execute(_READ, [listing_id])
        row = cursor.fetchone()
    return row[0] if row else None
