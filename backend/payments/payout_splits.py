"""Sharing what a listing earns with others than its host: who gets how many percent, and the entries of it.

Percentages are of the host's share, after the platform's fee; together at most 100. They count for what is earned from
then on. What a stay takes back later is the host's to pay, but for a division that takes back what an earlier one gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE, HOST, SUPPORT, User
from backend.audit import services as audit
from backend.core import access
from backend.core.db import lock, retrying
from backend.core.errors import Invalid
from backend.core.money import allocate
from backend.listings.models import Listing
from backend.payments import ledger
from backend.payments.ledger import Entry
from backend.payments.models import Folio, LedgerEntry, LedgerTransaction, PayoutSplit

MOST = 10
"""How many may share what one listing earns, beside its host."""

WHOLE = Decimal(100)


@dataclass(frozen=True, slots=True)
class Part:
    """``percent`` (10 = 10 %) of the host's share for the user ``user_id``."""

    user_id: int
    percent: Decimal


@access.rule("payout_split.view")
def may_view(actor: Any, listing: Listing) -> bool:
    """Its host, and staff who deal with money."""
    return listing.host_id == actor.pk or bool(actor.has_role(SUPPORT, FINANCE, ADMIN))


@access.rule("payout_split.change")
def may_change(actor: Any, listing: Listing) -> bool:
    """Its host alone: it is their money."""
    return bool(listing.host_id == actor.pk)


@retrying
def put(*, actor: Any, listing_id: int, parts: Sequence[Part], now: datetime) -> list[PayoutSplit]:
    """Let ``parts`` be how the earnings of a listing are shared from now on; none: all is the host's.

    Raises: NotFound, NotAllowed, Invalid (nobody of that id who hosts, the host, twice the same, over 100 %).
    """
    with transaction.atomic(durable=True):
        listing = lock(Listing.objects.all(), pk=listing_id)
        access.require(actor, "payout_split.change", listing)
        _require_possible(listing, parts)
        before = {split.user_id: split for split in PayoutSplit.objects.filter(listing=listing)}
        PayoutSplit.objects.filter(listing=listing).exclude(
            user_id__in=[part.user_id for part in parts]
        ).delete()
        for part in parts:
            PayoutSplit.objects.update_or_create(
                listing=listing,
                user_id=part.user_id,
                defaults={"percent": part.percent},
                create_defaults={"percent": part.percent, "created_at": now},
            )
        audit.record(
            actor=actor,
            action="payout_split.change",
            subject=listing,
            now=now,
            before={str(user_id): str(split.percent) for user_id, split in sorted(before.items())},
            after={str(part.user_id): str(part.percent) for part in parts},
        )
    return of(listing_id)


def of(listing_id: int) -> list[PayoutSplit]:
    """Who shares the earnings of a listing, the first named first."""
    return list(PayoutSplit.objects.filter(listing_id=listing_id).select_related("user").order_by("id"))


def receiver(*, email: str) -> User:
    """Whoever has this email address, to share with. Raises: Invalid."""
    found = User.objects.at(email).filter(is_active=True).first()
    if found is None:
        raise _nobody()
    return found


def divide(
    *, folio: Folio, listing_id: int, division: LedgerTransaction, now: datetime
) -> LedgerTransaction | None:
    """Pass on what ``division`` gave the host of a stay to those who share it; None when nobody does.

    Where it took from the host what an earlier one gave, everybody gives back in proportion to what they have.
    """
    earned = -int(
        LedgerEntry.objects.filter(transaction=division, account=ledger.HOST_PAYABLE).aggregate(
            sum=Sum("amount_minor")
        )["sum"]
        or 0
    )
    if not earned:
        return None
    shares = _shares(folio, listing_id, earned) if earned > 0 else _given(folio, division)
    others = {
        user_id: weight for user_id, weight in shares.items() if user_id != folio.host_id and weight > 0
    }
    if not others:
        return None
    own = max(0, shares.get(folio.host_id, 0))
    parts = allocate(earned, [*others.values(), own])[:-1]
    return (
        ledger.post(
            cause=ledger.SPLIT,
            entries=[
                Entry(ledger.HOST_PAYABLE, sum(parts), folio.currency, holder_id=folio.host_id),
                *(
                    Entry(ledger.HOST_PAYABLE, -part, folio.currency, holder_id=user_id)
                    for user_id, part in zip(others, parts, strict=True)
                ),
            ],
            folio=folio,
            now=now,
        )
        if any(parts)
        else None
    )


def _shares(folio: Folio, listing_id: int, earned: int) -> dict[int, int]:
    """Holder → weight in hundredths of a percent, of what is earned now."""
    percents = {split.user_id: split.percent for split in of(listing_id)}
    return {
        **{user_id: int(percent * 100) for user_id, percent in percents.items()},
        folio.host_id: int((WHOLE - sum(percents.values())) * 100),
    }


def _given(folio: Folio, division: LedgerTransaction) -> dict[int, int]:
    """Holder → what earlier divisions of the stay gave them, in minor units."""
    rows = (
        LedgerEntry.objects.filter(
            folio=folio,
            account=ledger.HOST_PAYABLE,
            transaction__cause__in=(ledger.EARNED_PART, ledger.SPLIT),
        )
        .exclude(transaction=division)
        .values_list("holder_id")
        .annotate(sum=Sum("amount_minor"))
        .order_by("holder_id")
    )
    return {holder_id: -amount for holder_id, amount in rows if holder_id is not None}


def _require_possible(listing: Listing, parts: Sequence[Part]) -> None:
    named = [part.user_id for part in parts]
    if len(parts) > MOST:
        raise Invalid.field("parts", "too_many", _("At most %(most)s people may share.") % {"most": MOST})
    if len(set(named)) < len(named):
        raise Invalid.field("parts", "duplicate", _("Somebody is named twice."))
    if listing.host_id in named:
        raise Invalid.field("parts", "own_share", _("The host has what is left; name the others only."))
    if any(not 0 < part.percent <= WHOLE for part in parts) or sum(part.percent for part in parts) > WHOLE:
        raise Invalid.field("parts", "out_of_range", _("The percentages lie above 0 and sum to at most 100."))
    if User.objects.filter(pk__in=named, is_active=True, groups__name=HOST).count() < len(named):
        raise _nobody()


def _nobody() -> Invalid:
    return Invalid.field("parts", "unknown_user", _("There is no host with this id or email address."))
