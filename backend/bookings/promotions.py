"""Promotion codes: which one a guest means, whether it may be used, and how often it was.

A use is a booking that stands: pending and not run out, confirmed or completed. One that falls through gives its use
back by itself, as nothing else counts; a payment that comes too late and still gets its nights keeps the price that was
agreed, also where that is one use more. Whoever books with a code holds the code's row meanwhile, so that two bookings
never share the last use.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, F, Q, QuerySet
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from backend.bookings.discounts import PROMO, Discount
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.core import fx, platform
from backend.core.db import lock
from backend.core.errors import Invalid, NotFound
from backend.core.money import Money
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.rates.models import PromoCode

NEW_UNTIL = 3
"""A listing is new until so many of its bookings were ever confirmed."""


class InvalidPromoCode(Invalid):
    """There is no such code for this listing, or it cannot be used now."""

    code = "invalid_promo_code"
    title = _("This promotion code does not exist.")


class PromoCodeExpired(Invalid):
    """The code's time is over."""

    code = "promo_code_expired"
    title = _("This promotion code has expired.")


class PromoCodeUsedUp(Invalid):
    """The code was used as often as it may be, by everybody or by this guest."""

    code = "promo_code_used_up"
    title = _("This promotion code has been used up.")


class PromoCodeMinNights(Invalid):
    """The stay is too short for the code."""

    code = "promo_code_min_nights"
    title = _("The stay is too short for this promotion code.")


REFUSALS = (InvalidPromoCode, PromoCodeExpired, PromoCodeUsedUp, PromoCodeMinNights)
"""Every way in which a code is refused."""


def find(code: str, *, listing: Listing, stay: Stay, now: datetime, guest: Any = None) -> PromoCode:
    """The code that ``guest`` (None: nobody known) may use for ``stay`` at ``now`` (UTC), without regard to case.

    The listing's own goes before its host's, that before the platform's; the first that can be used wins.
    Raises: FeatureOff, InvalidPromoCode, PromoCodeExpired, PromoCodeUsedUp, PromoCodeMinNights (of the first one there is).
    """
    platform.require("promo_codes")
    candidates = PromoCode.objects.filter(
        Q(listing_id=listing.pk) | Q(host_id=listing.host_id) | Q(listing=None, host=None), code__iexact=code
    ).order_by(F("listing_id").asc(nulls_last=True), F("host_id").asc(nulls_last=True))
    refusal: Invalid = _refusal(InvalidPromoCode)
    for index, promo in enumerate(candidates):
        found = _refused(promo, stay, now) or _used_up(promo, guest, now)
        if found is None:
            return promo
        refusal = found if index == 0 else refusal
    raise refusal


def take(code: str, *, listing: Listing, stay: Stay, guest: Any, now: datetime) -> PromoCode:
    """As ``find``, for a booking that is being made: the code's row is held until the transaction ends."""
    promo = find(code, listing=listing, stay=stay, now=now, guest=guest)
    held = _held(promo.pk)
    if held is None:
        raise _refusal(InvalidPromoCode)
    if found := _refused(held, stay, now) or _used_up(held, guest, now):
        raise found
    return held


def take_quoted(discount: Discount | None, *, guest: Any, now: datetime) -> PromoCode | None:
    """The code that a quote was made with, held until the transaction ends; None without one, or if it is gone.

    A quote keeps its price though the code has ended since; how often it may be used is asked again.
    Raises: PromoCodeUsedUp.
    """
    if discount is None or discount.kind != PROMO or discount.rule_id is None:
        return None
    held = _held(discount.rule_id)
    if held is not None and (found := _used_up(held, guest, now)):
        raise found
    return held


def discount_of(promo: PromoCode, listing: Listing) -> Discount:
    """What the code takes off, an amount exchanged into the listing's currency. Raises: InvalidPromoCode without a rate."""
    amount = None
    if promo.amount_minor is not None:
        try:
            amount = fx.exchange(Money(promo.amount_minor, promo.currency), listing.currency).minor
        except fx.UnknownCurrency as error:
            raise _refusal(InvalidPromoCode) from error
    return Discount(
        PROMO, percent=promo.percent, amount_minor=amount, rule_id=promo.pk, code=promo.code.upper()
    )


def with_uses(codes: QuerySet[PromoCode], now: datetime) -> QuerySet[Any]:
    """``codes``, each with the number of bookings that stand at ``now`` (UTC) as ``uses``. No query of its own."""
    living = Q(bookings__status=BookingStatus.PENDING, bookings__expires_at__gt=now)
    kept = Q(bookings__status__in=(BookingStatus.CONFIRMED, BookingStatus.COMPLETED))
    return codes.annotate(uses=Count("bookings", filter=living | kept))


def uses(promo: PromoCode, now: datetime) -> int:
    """How many bookings that stand at ``now`` (UTC) were made with the code."""
    return _standing(promo, now).count()


def new_among(listing_ids: Collection[int]) -> set[int]:
    """Those of the listings that still count as new. One query, none for none."""
    if not listing_ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_NEW, [list(listing_ids), NEW_UNTIL, NEW_UNTIL])
        return {row[0] for row in cursor.fetchall()}


_NEW = """
    SELECT asked.listing_id FROM unnest(%s::bigint[]) AS asked (listing_id)
    WHERE (
        SELECT count(*) FROM (
            SELECT FROM bookings b
            WHERE b.listing_id = asked.listing_id AND b.confirmed_at IS NOT NULL LIMIT %s
        ) AS confirmed
    ) < %s
"""


def _held(promo_id: int) -> PromoCode | None:
    try:
        return lock(PromoCode.objects.all(), pk=promo_id)
    except NotFound:
        return None


def _refused(promo: PromoCode, stay: Stay, now: datetime) -> Invalid | None:
    if not promo.active or (promo.starts_at is not None and now < promo.starts_at):
        return _refusal(InvalidPromoCode)
    if promo.ends_at is not None and now >= promo.ends_at:
        return _refusal(PromoCodeExpired)
    if promo.min_nights is not None and stay.nights < promo.min_nights:
        asked = ngettext_lazy(
            "This promotion code is for stays of at least %(count)d night.",
            "This promotion code is for stays of at least %(count)d nights.",
            "count",
        )
        return PromoCodeMinNights.field(
            "promo_code", PromoCodeMinNights.code, asked % {"count": promo.min_nights}
        )
    return None


def _used_up(promo: PromoCode, guest: Any, now: datetime) -> Invalid | None:
    standing = _standing(promo, now)
    if promo.max_uses is not None and standing.count() >= promo.max_uses:
        return _refusal(PromoCodeUsedUp)
    if guest is None or guest.pk is None or promo.max_uses_per_guest is None:
        return None
    own = standing.filter(guest_id=guest.pk).count()
    return _refusal(PromoCodeUsedUp) if own >= promo.max_uses_per_guest else None


def _standing(promo: PromoCode, now: datetime) -> Any:
    return Booking.objects.filter(
        Q(status=BookingStatus.PENDING, expires_at__gt=now)
        | Q(status__in=(BookingStatus.CONFIRMED, BookingStatus.COMPLETED)),
        promo_code_id=promo.pk,
    )


def _refusal(kind: type[Invalid]) -> Invalid:
    return kind.field("promo_code", kind.code, kind.title)
