"""Saved searches: what people look for, kept, and what is published since then told to them.

A listing is new for a search when it was first published after the search last looked. What was looked at is
remembered by the publications themselves and not by a clock: ``seen_at`` is the latest first publication that there
was. Since transactions commit later than they say, the last ``AGAIN`` before it is looked at once more, and a row for
each listing that was found there keeps anybody from being told of it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import OperationalError, connection, transaction
from django.db.models import Max
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import Profile, User
from backend.core import platform
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, Invalid, NotFound
from backend.listings import reading
from backend.listings.models import Listing
from backend.notifications import services as notifications
from backend.search import clocks
from backend.search.find import find
from backend.search.models import SavedSearch, SavedSearchMatch
from backend.search.query import SearchQuery

NAME_LONGEST = 80

MOST = 50
"""How many searches one user may keep."""

AGAIN = timedelta(hours=1)
"""How far back publications are looked at once more: no transaction takes longer to commit."""

TOLD = 1_000
"""Of the new places of one look so many, the newest, are counted."""

NAMED = 3
"""So many of them are named in the notice."""

AT_ONCE = 5_000
"""Searches that one sweep looks after; the others wait for the next one."""

_EVER = datetime(1970, 1, 1, tzinfo=UTC)

_NOT_KEPT = ("page", "page_size", "position", "published_after")


class TooManySavedSearches(Conflict):
    """The user keeps as many searches as they may."""

    code = "too_many_saved_searches"
    title = _("You keep as many searches as you may. Delete one first.")


log = structlog.get_logger(__name__)

Unchanged = Callable[[SavedSearch], None]
"""Asked with the locked row before anything is written; it raises ``Stale`` for one that was changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What should change of a saved search; None: it stays."""

    name: str | None = None
    query: SearchQuery | None = None
    notify: bool | None = None


def of(user: User, search_id: int) -> SavedSearch:
    """The search of ``user``. Raises: NotFound, also for somebody else's."""
    found = SavedSearch.objects.filter(user=user, pk=search_id).first()
    if found is None:
        raise NotFound
    return found


def packed(query: SearchQuery) -> dict[str, Any]:
    """What ``query`` asks for, as JSON: its page is left out, and what asks nothing."""
    usual = asdict(SearchQuery())
    return {
        name: _plain(value)
        for name, value in asdict(query).items()
        if name not in _NOT_KEPT and value != usual[name]
    }


def unpacked(values: dict[str, Any]) -> SearchQuery:
    """The query that ``packed`` was given."""
    known = {field.name for field in fields(SearchQuery)}
    return SearchQuery(**{name: _typed(name, value) for name, value in values.items() if name in known})


@retrying
def save(*, user: User, name: str, query: SearchQuery, now: datetime, notify: bool = True) -> SavedSearch:
    """Keep a search. What is published already is not told of.

    Raises: Invalid (name, or a search that makes no sense), CheckInPast, UnknownCurrency, TooManySavedSearches.
    """
    platform.require("saved_searches")
    called = _named(name)
    with transaction.atomic():
        # Two at once count one after the other.
        lock(User.objects.all(), pk=user.pk)
        if SavedSearch.objects.filter(user=user).count() >= MOST:
            raise TooManySavedSearches
        search = SavedSearch(user=user, name=called, notify=notify, created_at=now, updated_at=now)
        _ask(search, query, now)
        search.save()
        _begin(search, now)
    return search


@retrying
def change(
    *, user: User, search_id: int, changes: Changes, now: datetime, unchanged: Unchanged | None = None
) -> SavedSearch:
    """Change a saved search. Another question begins anew: what is published already is not told of.

    Raises: NotFound, Stale, Invalid (name, or a search that makes no sense), CheckInPast, UnknownCurrency.
    """
    with transaction.atomic():
        search = _held(user, search_id, unchanged)
        if changes.name is not None:
            search.name = _named(changes.name)
        asked = changes.query is not None and packed(changes.query) != search.query
        begins = asked or (changes.notify is True and not search.notify)
        if changes.query is not None and asked:
            _ask(search, changes.query, now)
        if changes.notify is not None:
            search.notify = changes.notify
        search.updated_at = now
        search.save()
        if begins and search.closed_at is None:
            _begin(search, now)
    return search


@retrying
def remove(*, user: User, search_id: int, unchanged: Unchanged | None = None) -> None:
    """Forget a saved search. Raises: NotFound, Stale."""
    with transaction.atomic():
        _held(user, search_id, unchanged).delete()


def sweep(*, now: datetime) -> dict[str, int]:
    """Close the searches whose dates are over, and look for what is new for the others; at most ``AT_ONCE`` of them.

    A search whose question can no longer be asked (a currency that has gone) is closed, too. One that the database
    does not answer in time is asked again by the next sweep, and keeps no other waiting.
    """
    closed = SavedSearch.objects.filter(
        closed_at=None, last_check_in__lt=(now - clocks.EARLIEST).date()
    ).update(closed_at=now)
    done = {"looked": 0, "told": 0, "closed": closed, "failed": 0, "left": 0}
    if not platform.is_on("saved_searches"):
        return done
    latest = _latest()
    due = SavedSearch.objects.filter(notify=True, closed_at=None, seen_at__lt=latest).filter(
        user__is_active=True, user__suspended_at=None
    )
    ids = list(due.order_by("seen_at", "id").values_list("pk", flat=True)[: AT_ONCE + 1])
    for search_id in ids[:AT_ONCE]:
        for name in _try(search_id, now):
            done[name] += 1
    done["left"] = int(len(ids) > AT_ONCE)
    return done


def _try(search_id: int, now: datetime) -> Sequence[str]:
    try:
        return _look(search_id, now)
    except OperationalError as error:
        log.warning("saved_search.not_asked", search=search_id, cause=type(error.__cause__).__name__)
        return ("failed",)


def _look(search_id: int, now: datetime) -> Sequence[str]:
    """Look for what is new for one search and tell of it; which of the sweep's counts it adds to."""
    with transaction.atomic(durable=True):
        held = SavedSearch.objects.select_related("user").select_for_update(
            no_key=True, skip_locked=True, of=("self",)
        )
        search = held.filter(pk=search_id, notify=True, closed_at=None).first()
        if search is None:
            return ()
        before, latest = search.seen_at, _latest()
        try:
            with transaction.atomic():
                new = _matches(search, before - AGAIN, now)
        except Invalid:
            SavedSearch.objects.filter(pk=search_id).update(closed_at=now)
            return ("closed",)
        if new:
            _tell(search, new, now)
        SavedSearchMatch.objects.filter(search=search, published_at__lte=latest - AGAIN).delete()
        SavedSearch.objects.filter(pk=search_id).update(seen_at=latest, looked_at=now)
    return ("looked", "told") if new else ("looked",)


def _begin(search: SavedSearch, now: datetime) -> None:
    """Look at what there is without telling of it: from here on everything is new. Raises: Invalid."""
    search.seen_at = _latest()
    _matches(search, search.seen_at - AGAIN, now)
    search.save(update_fields=["seen_at"])


_REMEMBER = """
    INSERT INTO saved_search_matches (search_id, listing_id, published_at)
    SELECT %(search)s, p.id, p.published_at FROM properties p
    WHERE p.id = ANY(%(found)s) AND p.host_id <> %(user)s AND p.published_at IS NOT NULL
    ON CONFLICT ON CONSTRAINT saved_search_matches_once DO NOTHING
    RETURNING listing_id
"""


def _matches(search: SavedSearch, since: datetime, now: datetime) -> list[int]:
    """The listings published after ``since`` that the search finds for the first time, the newest first.

    One's own places are nothing new. Raises: Invalid.
    """
    asked = replace(
        unpacked(search.query),
        ordering="newest",
        published_after=since,
        page=1,
        page_size=TOLD,
    )
    found = [hit.listing_id for hit in find(asked, now).hits]
    if not found:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_REMEMBER, {"search": search.pk, "found": found, "user": search.user_id})
        new = {listing_id for (listing_id,) in cursor.fetchall()}
    return [listing_id for listing_id in found if listing_id in new]


def _tell(search: SavedSearch, new: list[int], now: datetime) -> None:
    # Nobody else is told: the titles are in the language that the searcher has now.
    language = Profile.objects.filter(pk=search.user_id).values_list("language", flat=True).first() or ""
    shown = reading.by_ids(new[:NAMED], language)
    notifications.notify(
        user=search.user,
        kind="search.matched",
        # A listing is new for a search once.
        object_key=f"saved_search:{search.pk}:{new[0]}",
        now=now,
        params={
            "search": search.name,
            "count": len(new),
            "listings": ", ".join(str(shown[pk].title) for pk in new[:NAMED] if pk in shown),
        },
        data={"saved_search_id": search.pk, "property_ids": new[:NAMED]},
        url=f"/saved-searches/{search.pk}",
    )


def _latest() -> datetime:
    """The latest first publication of a listing."""
    found: datetime | None = Listing.objects.aggregate(latest=Max("published_at"))["latest"]
    return found or _EVER


def _ask(search: SavedSearch, query: SearchQuery, now: datetime) -> None:
    """Take ``query`` for the question of ``search``. Raises: Invalid for one that cannot be asked at ``now``."""
    query.require_sense()
    search.query = packed(query)
    search.last_check_in = _last_check_in(query)
    search.closed_at = None
    search.seen_at = _latest()
    # What cannot be asked is refused here, and not by the first sweep.
    find(replace(unpacked(search.query), page_size=1), now)


def _last_check_in(query: SearchQuery) -> date | None:
    return None if query.check_in is None else query.check_in + timedelta(days=query.flexible_days or 0)


def _held(user: User, search_id: int, unchanged: Unchanged | None) -> SavedSearch:
    search = lock(SavedSearch.objects.filter(user=user), pk=search_id)
    if unchanged is not None:
        unchanged(search)
    return search


def _named(name: str) -> str:
    called = name.strip()
    if not called:
        raise Invalid.field("name", "blank", _("This must not be empty."))
    if len(called) > NAME_LONGEST:
        raise Invalid.field("name", "too_long", _("The name is too long."))
    return called


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _typed(name: str, value: Any) -> Any:
    if name in ("check_in", "check_out"):
        return date.fromisoformat(value)
    if name in ("price_min", "price_max", "bathrooms", "rating_min"):
        return Decimal(value)
    return tuple(value) if isinstance(value, list) else value
