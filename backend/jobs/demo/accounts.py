"""Where the demo's hosts are paid: most have an account, one has none yet, one's bank refuses, one shares with another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from backend.accounts.models import User
from backend.jobs.demo.people import HOSTS
from backend.listings.models import Listing
from backend.payments import payout_accounts, payout_splits
from backend.payments.models import PayoutAccount, PayoutSplit
from backend.payments.payout_splits import Part

WITHOUT = "host_3"
"""The host whose payouts wait for an account."""

REFUSED = "host_5"
"""The host whose bank refuses."""

IN_DOLLARS = "host_2"
"""The host who is paid in US dollars, whatever the guests pay in."""

SHARED = Decimal(20)
"""How many percent of a listing's earnings its host shares with the next one."""


def open_accounts(people: Mapping[str, User], *, now: datetime) -> None:
    """Name an account for every host of the demo who has none but should have one."""
    for number in range(1, HOSTS + 1):
        username = f"host_{number}"
        host = people[username]
        if username == WITHOUT or PayoutAccount.objects.filter(user=host).exists():
            continue
        payout_accounts.add(
            actor=host,
            provider="sandbox",
            currency="USD" if username == IN_DOLLARS else "",
            destination="decline" if username == REFUSED else "",
            now=now,
        )


def share(listing: Listing, receiver: User, *, now: datetime) -> None:
    """Let ``receiver`` have a part of what a listing earns, once."""
    if listing.host_id != receiver.pk and not PayoutSplit.objects.filter(listing=listing).exists():
        payout_splits.put(
            actor=listing.host, listing_id=listing.pk, parts=[Part(receiver.pk, SHARED)], now=now
        )
