"""What people do with their wishlists. Each is its owner's alone; a link that they make shows it to whoever has it."""

from __future__ import annotations

import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.core import platform
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, Invalid, NotFound
from backend.listings.models import Listing
from backend.listings.states import ListingStatus
from backend.wishlists.models import NAME_LONGEST, Wishlist, WishlistPlace

MOST_LISTS = 100
"""How many lists one user may have."""

MOST_PLACES = 500
"""How many places one list may hold."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class TooManyWishlists(Conflict):
    """The user has as many lists as they may."""

    code = "too_many_wishlists"
    title = _("You have as many lists as you may. Delete one first.")


class WishlistFull(Conflict):
    """The list holds as many places as it may."""

    code = "wishlist_full"
    title = _("This list holds as many places as it may.")


Unchanged = Callable[[Wishlist], None]
"""Asked with the locked list before anything is written; it raises ``Stale`` for one that was changed meanwhile."""


def of(user: User, wishlist_id: int) -> Wishlist:
    """The list of ``user``. Raises: NotFound, also for somebody else's."""
    found = Wishlist.objects.filter(user=user, pk=wishlist_id).first()
    if found is None:
        raise NotFound
    return found


@retrying
def create(*, user: User, now: datetime, name: str | None = None) -> Wishlist:
    """Make an empty list; without a name it is called as lists usually are, in the language of the request.

    Raises: Invalid (a name that is empty or too long), TooManyWishlists.
    """
    platform.require("wishlists")
    called = _named(gettext("Favorites") if name is None else name)
    with transaction.atomic():
        # Two at once count one after the other.
        lock(User.objects.all(), pk=user.pk)
        if Wishlist.objects.filter(user=user).count() >= MOST_LISTS:
            raise TooManyWishlists
        return Wishlist.objects.create(user=user, name=called, created_at=now, updated_at=now)


@retrying
def rename(
    *, user: User, wishlist_id: int, name: str | None, now: datetime, unchanged: Unchanged | None = None
) -> Wishlist:
    """Call a list something else; None leaves it as it is. Raises: NotFound, Invalid (name), Stale."""
    called = None if name is None else _named(name)
    with transaction.atomic():
        wishlist = _held(user, wishlist_id, unchanged)
        if called is not None and wishlist.name != called:
            wishlist.name, wishlist.updated_at = called, now
            wishlist.save(update_fields=["name", "updated_at"])
    return wishlist


@retrying
def remove(*, user: User, wishlist_id: int, unchanged: Unchanged | None = None) -> None:
    """Delete a list; a link to it is dead at once. Raises: NotFound, Stale."""
    with transaction.atomic():
        _held(user, wishlist_id, unchanged).delete()


@retrying
def add(*, user: User, wishlist_id: int, listing_id: int, now: datetime) -> tuple[Wishlist, bool]:
    """Put a place on a list; False: it was there already, whether it is offered at the moment or not.

    Raises: NotFound (the list, or a listing that is not offered), WishlistFull.
    """
    platform.require("wishlists")
    with transaction.atomic():
        wishlist = _held(user, wishlist_id)
        if WishlistPlace.objects.filter(wishlist=wishlist, listing=listing_id).exists():
            return wishlist, False
        listing = Listing.objects.published().filter(pk=listing_id).first()
        if listing is None:
            raise NotFound
        withdrawn = WishlistPlace.objects.filter(
            wishlist=wishlist, listing__status=ListingStatus.ARCHIVED
        ).order_by()
        if (
            WishlistPlace.objects.filter(wishlist=wishlist).count() >= MOST_PLACES
            and not withdrawn.delete()[0]
        ):
            raise WishlistFull
        WishlistPlace.objects.create(wishlist=wishlist, listing=listing, created_at=now)
        _touch(wishlist, now)
    return wishlist, True


@retrying
def take_out(*, user: User, wishlist_id: int, listing_id: int, now: datetime) -> None:
    """Take a place off a list. Raises: NotFound (the list, or the place is not on it)."""
    with transaction.atomic():
        wishlist = _held(user, wishlist_id)
        if not WishlistPlace.objects.filter(wishlist=wishlist, listing=listing_id).delete()[0]:
            raise NotFound
        _touch(wishlist, now)


@retrying
def share(*, user: User, wishlist_id: int, now: datetime) -> Wishlist:
    """Make the link by which anybody may read a list; a list that has one keeps it. Raises: NotFound."""
    with transaction.atomic():
        wishlist = _held(user, wishlist_id)
        if not wishlist.share_token:
            wishlist.share_token, wishlist.updated_at = secrets.token_urlsafe(32), now
            wishlist.save(update_fields=["share_token", "updated_at"])
            audit.record(actor=user, action="wishlist.shared", subject=wishlist, now=now)
    return wishlist


@retrying
def unshare(*, user: User, wishlist_id: int, now: datetime) -> None:
    """Revoke the link of a list for good; without one nothing happens. Raises: NotFound."""
    with transaction.atomic():
        wishlist = _held(user, wishlist_id)
        if wishlist.share_token:
            wishlist.share_token, wishlist.updated_at = "", now
            wishlist.save(update_fields=["share_token", "updated_at"])
            audit.record(actor=user, action="wishlist.unshared", subject=wishlist, now=now)


def share_url(wishlist: Wishlist) -> str | None:
    """Where anybody may read the list; None while it is its owner's alone."""
    if not wishlist.share_token:
        return None
    return f"{settings.PUBLIC_URL}/api/shared-wishlists/{wishlist.share_token}/"


def by_token(token: str) -> Wishlist:
    """The list that a link leads to, with its ``user``.

    Raises: NotFound for a link that never was, was revoked, or whose owner is gone or suspended.
    """
    if not _TOKEN.fullmatch(token):
        raise NotFound
    owned = Wishlist.objects.filter(user__is_active=True, user__suspended_at=None, user__erased_at=None)
    found = owned.select_related("user").filter(share_token=token).first()
    # The index is a part of a hash: what it has found is compared with what was sealed.
    if found is None or not hmac.compare_digest(found.share_token, token):
        raise NotFound
    return found


def _held(user: User, wishlist_id: int, unchanged: Unchanged | None = None) -> Wishlist:
    wishlist = lock(Wishlist.objects.filter(user=user), pk=wishlist_id)
    if unchanged is not None:
        unchanged(wishlist)
    return wishlist


def _touch(wishlist: Wishlist, now: datetime) -> None:
    wishlist.updated_at = now
    wishlist.save(update_fields=["updated_at"])


def _named(name: str) -> str:
    called = unicodedata.normalize("NFC", name.strip())
    if not called:
        raise Invalid.field("name", "blank", _("This must not be empty."))
    if len(called) > NAME_LONGEST:
        raise Invalid.field("name", "too_long", _("The name is too long."))
    return called
