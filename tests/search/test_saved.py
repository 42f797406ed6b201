"""Saved searches: whoever keeps one hears of each new place that fits once."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import User
from backend.core import fx
from backend.core.errors import Invalid, NotFound
from backend.core.fx import UnknownCurrency
from backend.core.models import Currency, ExchangeRate
from backend.listings import services as listings
from backend.listings.models import Listing
from backend.notifications.models import Notification
from backend.search import saved
from backend.search.models import SavedSearch, SavedSearchMatch
from backend.search.query import SearchQuery
from backend.search.saved import Changes
from tests.factories import NOW, make_listing, make_user
from tests.racing import PATIENCE_S, race

pytestmark = pytest.mark.usefixtures("db")

LISBON = SearchQuery(location="Lisbon")


def _later(hours: float) -> Any:
    return NOW + timedelta(hours=hours)


def _publish(hours: float, **fields: Any) -> Any:
    """A listing that was first published so many hours after NOW."""
    return make_listing(published_at=_later(hours), **fields)


def _told(user: User) -> list[tuple[int, str]]:
    rows = Notification.objects.filter(user=user, kind="search.matched").order_by("pk")
    return [(row.params["count"], row.params["listings"]) for row in rows]


def _sweep(hours: float) -> dict[str, int]:
    return saved.sweep(now=_later(hours))


def test_a_search_tells_of_what_is_published_and_fits_once() -> None:
    user = make_user()
    make_listing(title="There before")
    search = saved.save(
        user=user, name="By the river", query=SearchQuery(location="Lisbon", guests=4), now=NOW
    )
    fits = _publish(1, title="Fits")
    _publish(1, title="Too small", max_guests=2)
    _publish(1, title="Elsewhere", city="Porto", location="Porto, Portugal")

    first, second = _sweep(2), _sweep(3)

    assert first == {"looked": 1, "told": 1, "closed": 0, "failed": 0, "left": 0}
    assert second == {"looked": 0, "told": 0, "closed": 0, "failed": 0, "left": 0}
    assert _told(user) == [(1, "Fits")]
    notice = Notification.objects.get(kind="search.matched")
    assert notice.params["search"] == "By the river"
    assert notice.data == {"saved_search_id": search.pk, "property_ids": [fits.pk]}


def test_one_notice_names_three_and_counts_all() -> None:
    user = make_user()
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)
    for number in range(5):
        _publish(1, title=f"Place {number}")

    _sweep(2)

    assert _told(user) == [(5, "Place 4, Place 3, Place 2")]


def test_a_place_that_is_paused_and_offered_again_is_nothing_new() -> None:
    user, listing = make_user(), make_listing()
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)

    listings.pause(actor=listing.host, listing=listing, now=_later(1))
    listings.publish(actor=listing.host, listing=listing, now=_later(2))
    _publish(2, city="Porto", location="Porto, Portugal")
    _sweep(3)

    assert _told(user) == []


def test_a_draft_that_is_published_later_is_new() -> None:
    user = make_user()
    draft = make_listing(status="draft", published_at=None, title="Was a draft")
    make_listing()
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)

    listings.publish(actor=draft.host, listing=draft, now=_later(1))
    _sweep(2)

    assert _told(user) == [(1, "Was a draft")]


def test_what_commits_later_than_it_says_is_told_too_and_nothing_twice() -> None:
    """A transaction that began before a look and commits after it writes an instant before the look."""
    user = make_user()
    make_listing()
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)
    _publish(2, title="Seen at once")
    _sweep(2)
    _publish(1.5, title="Committed late")
    _publish(2.5, title="Newest")

    _sweep(3)
    _publish(2.6, title="Elsewhere", city="Porto", location="Porto, Portugal")
    _sweep(4)

    assert _told(user) == [(1, "Seen at once"), (2, "Newest, Committed late")]


def test_what_was_published_right_before_the_search_was_saved_is_not_new() -> None:
    user = make_user()
    _publish(-0.1, title="On the page that was saved")
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)
    _publish(0.5, title="New")

    _sweep(1)

    assert _told(user) == [(1, "New")]


def test_ones_own_places_are_nothing_new() -> None:
    host = make_user()
    saved.save(user=host, name="Lisbon", query=LISBON, now=NOW)
    _publish(1, host=host)

    _sweep(2)

    assert _told(host) == []


def test_clocks_that_run_ahead_lose_nothing() -> None:
    user = make_user()
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)
    _publish(1, title="First")
    saved.sweep(now=_later(24 * 365))
    _publish(2, title="Second")

    saved.sweep(now=_later(24 * 366))

    assert _told(user) == [(1, "First"), (1, "Second")]


def test_matches_are_kept_only_while_they_are_needed() -> None:
    user = make_user()
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)
    for hours in range(1, 6):
        _publish(hours)
        _sweep(hours)

    assert list(SavedSearchMatch.objects.values_list("published_at", flat=True)) == [_later(5)]
    assert len(_told(user)) == 5


def test_dated_searches_are_closed_when_their_dates_are_over() -> None:
    user = make_user()
    dated = SearchQuery(
        location="Lisbon", check_in=date(2027, 3, 10), check_out=date(2027, 3, 12), flexible_days=2
    )
    search = saved.save(user=user, name="Lisbon", query=dated, now=NOW)
    _publish(1)
    booked_out = _publish(1, title="Long stays only", min_nights=7)

    before = _sweep(2)
    last_day = saved.sweep(now=NOW.replace(day=12))
    over = saved.sweep(now=NOW.replace(day=14))
    _publish(24 * 15)
    after = saved.sweep(now=NOW.replace(day=17))

    assert (before["told"], last_day["closed"], over["closed"]) == (1, 0, 1)
    assert booked_out.title not in _told(user)[0][1]
    assert after == {"looked": 0, "told": 0, "closed": 0, "failed": 0, "left": 0}
    search.refresh_from_db()
    assert search.closed_at == NOW.replace(day=14)
    assert len(_told(user)) == 1


def test_a_search_that_can_no_longer_be_asked_is_closed_and_keeps_none_waiting() -> None:
    user = make_user()
    with transaction.atomic():
        Currency.objects.create(code="XTS", name="Test", minor_units=2)
        ExchangeRate.objects.create(currency_id="XTS", per_euro=2, rate_on=NOW.date(), source="test")
    fx.forget()
    asked = SearchQuery(location="Lisbon", price_max=Decimal(500), currency="XTS")
    search = saved.save(user=user, name="Odd money", query=asked, now=NOW)
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)
    ExchangeRate.objects.filter(currency_id="XTS").delete()
    fx.forget()
    _publish(1, title="New")

    done = _sweep(2)

    assert done == {"looked": 1, "told": 1, "closed": 1, "failed": 0, "left": 0}
    assert _told(user) == [(1, "New")]
    search.refresh_from_db()
    assert search.closed_at == _later(2)


def test_a_search_that_is_not_answered_in_time_is_asked_again_and_keeps_none_waiting() -> None:
    kept_waiting, other = make_user(), make_user()
    saved.save(user=kept_waiting, name="Faro", query=SearchQuery(q="lighthouse"), now=NOW)
    saved.save(user=other, name="Lisbon", query=LISBON, now=NOW)
    held = _publish(1, title="House of the lighthouse", city="Faro", location="Faro, Portugal")
    _publish(1, title="New")
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Listing.objects.select_for_update().get(pk=held.pk)
            is_held.set()
            may_go.wait(PATIENCE_S)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert is_held.wait(PATIENCE_S)
        first = _sweep(2)
    finally:
        may_go.set()
        holder.join(PATIENCE_S)
    second = _sweep(3)

    assert (first["looked"], first["told"], first["failed"]) == (1, 1, 1)
    assert (second["looked"], second["told"], second["failed"]) == (1, 1, 0)
    assert (_told(other), _told(kept_waiting)) == ([(1, "New")], [(1, "House of the lighthouse")])


@pytest.mark.parametrize("gone", [{"is_active": False}, {"suspended_at": NOW}])
def test_who_is_gone_is_told_nothing(gone: dict[str, object]) -> None:
    user = make_user()
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)
    User.objects.filter(pk=user.pk).update(**gone)
    _publish(1)

    assert _sweep(2)["looked"] == 0
    assert _told(user) == []


def test_notices_may_be_switched_off_and_on_again() -> None:
    user = make_user()
    search = saved.save(user=user, name="Lisbon", query=LISBON, now=NOW, notify=False)
    _publish(1, title="While it was off")
    _sweep(2)
    saved.change(user=user, search_id=search.pk, changes=Changes(notify=True), now=_later(3))
    _publish(4, title="Since then")
    _sweep(5)

    assert _told(user) == [(1, "Since then")]


def test_another_question_begins_anew() -> None:
    user = make_user()
    dated = SearchQuery(location="Porto", check_in=date(2027, 3, 10), check_out=date(2027, 3, 12))
    search = saved.save(user=user, name="Porto", query=dated, now=NOW)
    saved.sweep(now=NOW.replace(day=14))
    _publish(1, title="There before")

    changed = saved.change(
        user=user, search_id=search.pk, changes=Changes(query=LISBON), now=NOW.replace(day=15)
    )
    _publish(24 * 15, title="New")
    saved.sweep(now=NOW.replace(day=17))

    assert (changed.closed_at, changed.last_check_in) == (None, None)
    assert saved.unpacked(changed.query) == LISBON
    assert _told(user) == [(1, "New")]


def test_two_sweeps_at_once_tell_once() -> None:
    user = make_user()
    saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)
    _publish(1, title="New")

    race(*[lambda: _sweep(2)] * 4)

    assert _told(user) == [(1, "New")]


def test_a_sweep_does_so_much_and_says_that_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "AT_ONCE", 2)
    users = [make_user() for _ in range(3)]
    for user in users:
        saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)
    _publish(1)

    done = [_sweep(2), _sweep(2)]

    assert [(each["looked"], each["left"]) for each in done] == [(2, 1), (1, 0)]
    assert [len(_told(user)) for user in users] == [1, 1, 1]


def test_a_sweep_with_nothing_new_costs_three_queries_however_many_searches_there_are() -> None:
    make_listing()
    for _ in range(3):
        saved.save(user=make_user(), name="Lisbon", query=LISBON, now=NOW)

    with CaptureQueriesContext(connection) as queries:
        _sweep(1)

    assert len(queries) == 3, [query["sql"] for query in queries]


@pytest.mark.parametrize(
    "query",
    [
        SearchQuery(),
        SearchQuery(
            q="river",
            location="Lisbon",
            point=(38.7, -9.1),
            radius_km=5.5,
            bbox=(-9.3, 38.6, -9.0, 38.8),
            price_min=Decimal("50.5"),
            price_max=Decimal(150),
            currency="USD",
            guests=2,
            bedrooms=0,
            beds=1,
            bathrooms=Decimal("1.5"),
            amenities=5,
            property_type="loft",
            room_type="entire_place",
            instant_book=False,
            cancellation_policy="firm",
            rating_min=Decimal("4.5"),
            superhost=True,
            check_in=date(2027, 5, 3),
            check_out=date(2027, 5, 7),
            flexible_days=3,
            ordering="distance",
        ),
    ],
)
def test_a_query_comes_back_as_it_was_kept(query: SearchQuery) -> None:
    search = saved.save(user=make_user(), name="All of it", query=query, now=NOW)
    search.refresh_from_db()

    assert saved.unpacked(search.query) == query


@pytest.mark.parametrize(
    ("name", "query", "error"),
    [
        ("", LISBON, Invalid),
        ("x" * 81, LISBON, Invalid),
        ("Past", SearchQuery(check_in=date(2027, 1, 1), check_out=date(2027, 1, 3)), Invalid),
        ("Half", SearchQuery(check_in=date(2027, 5, 1)), Invalid),
        ("Money", SearchQuery(price_max=Decimal(5), currency="XXX"), UnknownCurrency),
    ],
)
def test_save_refuses(name: str, query: SearchQuery, error: type[Exception]) -> None:
    with pytest.raises(error):
        saved.save(user=make_user(), name=name, query=query, now=NOW)

    assert not SavedSearch.objects.exists()


def test_save_has_a_limit_also_for_those_who_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "MOST", 3)
    user = make_user()

    made = race(*[lambda: saved.save(user=user, name="Lisbon", query=LISBON, now=NOW)] * 6)

    assert sum(isinstance(each, saved.TooManySavedSearches) for each in made) == 3
    assert SavedSearch.objects.count() == 3


def test_foreign_searches_are_as_if_they_were_not_there() -> None:
    search = saved.save(user=make_user(), name="Lisbon", query=LISBON, now=NOW)
    other = make_user()

    for attempt in (
        lambda: saved.of(other, search.pk),
        lambda: saved.change(user=other, search_id=search.pk, changes=Changes(name="Mine"), now=NOW),
        lambda: saved.remove(user=other, search_id=search.pk),
    ):
        with pytest.raises(NotFound):
            attempt()

    assert SavedSearch.objects.get().name == "Lisbon"
