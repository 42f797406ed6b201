"""What a host is told when somebody else changed what is theirs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from backend.listings.cohosts import stands_in
from backend.listings.models import Listing
from backend.notifications import services as notifications


def tell_host(*, actor: Any, listing: Listing, action: str, reason: str, now: datetime) -> None:
    """Tell the host of ``listing`` that the team changed it, and why; nothing when they or their co-hosts did.

    Called inside the transaction of the change. ``action`` is the one in the audit log: another one in the same moment
    is another notice.
    """
    if stands_in(actor, listing):
        return
    notifications.notify(
        user=listing.host,
        kind="listing.corrected",
        object_key=f"listing:{listing.pk}:{action}:{now.isoformat()}",
        now=now,
        params={"listing": listing.title, "reason": reason.strip()},
        data={"property_id": listing.pk},
        url=f"/properties/{listing.pk}",
    )
