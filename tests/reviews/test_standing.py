"""Host standing: each bar at its edge, each edge of the window, and what follows from it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count, islice

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from backend.accounts.models import HostStanding, Profile, User
from backend.audit.models import AuditEntry
from backend.bookings import answers, inquiries
from backend.bookings import services as bookings
from backend.bookings.models import Booking, Inquiry
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.local.postgres import UNBOUND_ROLE
from backend.messaging import services as messaging
from backend.notifications.models import Notification
from backend.reviews import services as reviews
from backend.reviews import standing
from backend.reviews.standing import Record
from backend.search.find import every
from backend.search.query import SearchQuery
from tests.bookings.making import STAY, book, confirmed
from tests.damage import plant
from tests.factories import NOW, make_listing, make_user
from tests.reviews.making import published

pytestmark = pytest.mark.usefixtures("db")

QUARTER = datetime(2027, 4, 1, tzinfo=UTC)
FIRST = QUARTER - timedelta(days=365)
SECOND = timedelta(seconds=1)

_numbers = count(1_000_000)


def stays(
    listing: Listing,
    number: int = 1,
    *,
    nights: int = 2,
    ended: datetime = QUARTER - SECOND,
    canceled_by: str = "",
) -> None:
    """Confirmed stays of ``listing`` that ended then, by the check-out or by a cancellation; no folio, no block."""
    began = ended - timedelta(days=nights)
    rows = [
        Booking(
            reference=f"T{key}",
            listing=listing,
            guest_id=0,
            host_id=listing.host_id,
            block_id=key,
            folio_id=key,
            check_in=began.date(),
            check_out=ended.date(),
            check_in_at=began,
            check_out_at=ended,
            guests=1,
            status="canceled" if canceled_by else "completed",
            canceled_by=canceled_by,
            confirmed_at=began - timedelta(days=30),
            ended_at=ended,
            currency="EUR",
            total_minor=100,
            host_payout_minor=90,
            created_at=began - timedelta(days=30),
            updated_at=ended,
        )
        for key in islice(_numbers, number)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {UNBOUND_ROLE}; SET LOCAL session_replication_role = replica")
        Booking.objects.bulk_create(rows)


def questions(listing: Listing, number: int = 1, *, at: datetime, answered_after: timedelta | None) -> None:
    """Inquiries about ``listing``, answered so long after ``at`` or not at all."""
    answered = None if answered_after is None else at + answered_after
    Inquiry.objects.bulk_create(
        Inquiry(
            listing=listing,
            guest=listing.host,
            host=listing.host,
            status="expired" if answered is None else "declined",
            check_in=date(2027, 8, 1),
            check_out=date(2027, 8, 3),
            guests=1,
            message="",
            currency="EUR",
            expires_at=at + timedelta(hours=48),
            created_at=at,
            answered_at=answered,
            updated_at=answered or at + timedelta(hours=48),
        )
        for _ in range(number)
    )


def rated(**fields: object) -> Listing:
    return make_listing(**{"rating": Decimal("4.8"), "review_count": 7, **fields})  # type: ignore[arg-type]


def record(host: User) -> Record:
    return standing.records([host.pk], since=FIRST, until=QUARTER)[host.pk]


def superhost(host: User) -> bool:
    return Profile.objects.get(pk=host.pk).is_superhost


@pytest.mark.parametrize(
    ("number", "nights", "enough"),
    [(9, 11, False), (10, 1, True), (3, 33, False), (2, 60, False), (3, 34, True), (0, 0, False)],
)
def test_bar_of_stays(number: int, nights: int, enough: bool) -> None:
    listing = rated()

    stays(listing, number, nights=nights)

    found = record(listing.host)
    assert (found.stays, found.nights) == (number, number * nights)
    assert standing.bars(found).stays is enough


def test_bar_of_three_long_stays_at_its_edge() -> None:
    listing, other = rated(), rated()
    for nights, of in ((33, listing), (33, listing), (33, listing), (33, other), (33, other), (34, other)):
        stays(of, nights=nights)

    assert record(listing.host).nights == 99
    assert not standing.bars(record(listing.host)).stays
    assert record(other.host).nights == 100
    assert standing.bars(record(other.host)).stays


@pytest.mark.parametrize(
    ("answered", "asked", "shown", "enough"),
    [
        (8999, 10_000, "89.99", False),
        (90, 100, "90.00", True),
        (89_999, 100_000, "89.99", False),
        (0, 0, None, True),
        (0, 1, "0.00", False),
    ],
)
def test_bar_of_answers(answered: int, asked: int, shown: str | None, enough: bool) -> None:
    found = Record(stays=10, asked=asked, answered=answered, rating=Decimal(5))

    assert found.response_rate == (None if shown is None else Decimal(shown))
    assert standing.bars(found).response_rate is enough


@pytest.mark.parametrize(
    ("canceled", "kept", "shown", "enough"),
    [(1, 99, "1.00", False), (1, 100, "0.99", True), (0, 0, "0.00", True), (1, 0, "100.00", False)],
)
def test_bar_of_cancellations(canceled: int, kept: int, shown: str, enough: bool) -> None:
    found = Record(stays=kept, canceled=canceled)

    assert found.cancellation_rate == Decimal(shown)
    assert standing.bars(found).cancellation_rate is enough


@pytest.mark.parametrize(
    ("ratings", "shown", "enough"),
    [
        ([("4.79", 5)], "4.79", False),
        ([("4.80", 5)], "4.80", True),
        ([("4.79", 1), ("4.80", 99)], "4.79", False),
        ([("5.00", 4), ("4.00", 1)], "4.80", True),
        ([("4.00", 0), ("4.90", 3)], "4.90", True),
        ([], None, False),
    ],
)
def test_bar_of_ratings(ratings: list[tuple[str, int]], shown: str | None, enough: bool) -> None:
    host = make_user()
    for rating, of in ratings:
        make_listing(host, rating=Decimal(rating), review_count=of, status="paused")

    found = record(host)

    assert found.rating == (None if shown is None else Decimal(shown))
    assert standing.bars(found).rating is enough


@pytest.mark.parametrize(
    ("ended", "counts"),
    [(FIRST, 1), (FIRST - SECOND, 0), (QUARTER - SECOND, 1), (QUARTER, 0)],
)
def test_window_of_stays_and_cancellations(ended: datetime, counts: int) -> None:
    listing = rated()
    stays(listing, ended=ended)
    stays(listing, ended=ended, canceled_by="host")

    found = record(listing.host)

    assert (found.stays, found.canceled) == (counts, counts)


@pytest.mark.parametrize(
    ("at", "counts"), [(FIRST, 1), (FIRST - SECOND, 0), (QUARTER - timedelta(hours=24), 1)]
)
def test_window_of_questions(at: datetime, counts: int) -> None:
    listing = rated()
    questions(listing, at=at, answered_after=None)

    assert (record(listing.host).asked, record(listing.host).answered) == (counts, 0)


def test_question_younger_than_a_day_counts_only_when_answered() -> None:
    listing = rated()
    questions(listing, at=QUARTER - timedelta(hours=23), answered_after=None)
    questions(listing, at=QUARTER - timedelta(hours=23), answered_after=timedelta(hours=23, seconds=1))
    assert record(listing.host).asked == 0

    questions(listing, at=QUARTER - timedelta(hours=23), answered_after=timedelta(hours=2))

    assert (record(listing.host).asked, record(listing.host).answered) == (1, 1)


@pytest.mark.parametrize(
    ("after", "answered"), [(timedelta(hours=24), 1), (timedelta(hours=24, seconds=1), 0)]
)
def test_answer_counts_within_a_day(after: timedelta, answered: int) -> None:
    listing = rated()

    questions(listing, at=FIRST, answered_after=after)

    assert (record(listing.host).asked, record(listing.host).answered) == (1, answered)


def test_time_to_answer_is_the_median_in_full_hours() -> None:
    listing = rated()
    for minutes in (10, 61, 3000):
        questions(listing, at=FIRST, answered_after=timedelta(minutes=minutes))

    assert record(listing.host).response_hours == 2


def test_cancellation_that_was_waived_does_not_count() -> None:
    listing = rated()
    for waived_at in (None, QUARTER - SECOND, QUARTER):
        stays(listing, canceled_by="host")
        plant(
            """
            INSERT INTO host_penalties (booking_id, host_id, percent, base_minor, amount_minor, currency, created_at,
                waived_at, waiver_reason)
            SELECT id, host_id, 10, 100, 100, 'EUR', ended_at, %s, %s FROM bookings ORDER BY id DESC LIMIT 1
            """,
            waived_at,
            "" if waived_at is None else "the roof leaks",
        )

    assert record(listing.host).canceled == 2


def test_cancellation_by_the_guest_does_not_count() -> None:
    listing = rated()

    stays(listing, canceled_by="guest")

    assert (record(listing.host).stays, record(listing.host).canceled) == (0, 0)


def test_requests_are_questions_and_answers_of_hosts_count() -> None:
    listing = rated(instant_book=False)
    late, waiting = make_user(), rated(host=listing.host, instant_book=False)
    accepted = book(listing, now=FIRST)
    answers.accept(actor=listing.host, booking_id=accepted.pk, now=FIRST + timedelta(hours=3))
    declined = book(rated(host=listing.host, instant_book=False), now=FIRST)
    bookings.decline(actor=listing.host, booking_id=declined.pk, now=FIRST + timedelta(hours=5))
    forgotten = book(waiting, late, now=FIRST)
    bookings.expire(now=forgotten.expires_at or NOW)
    taken_back = book(waiting, now=FIRST + timedelta(days=3))
    bookings.cancel(actor=taken_back.guest, booking_id=taken_back.pk, now=FIRST + timedelta(days=3, hours=1))

    found = record(listing.host)

    assert (found.asked, found.answered, found.response_hours) == (3, 2, 4)


def test_first_messages_are_questions_and_any_word_of_the_hosts_side_answers() -> None:
    listing = rated()
    for number, after in enumerate((2, 30, None)):
        guest, at = make_user(), FIRST + timedelta(days=number)
        conversation, _made = messaging.open_conversation(guest=guest, listing_id=listing.pk, now=at)
        messaging.send(sender=guest, conversation_id=conversation.pk, body="Is it quiet?", now=at)
        if after is not None:
            messaging.send(
                sender=listing.host,
                conversation_id=conversation.pk,
                body="It is.",
                now=at + timedelta(hours=after),
            )

    found = record(listing.host)

    assert (found.asked, found.answered, found.response_hours) == (3, 1, 16)
    assert standing.assess(now=QUARTER) == {"assessed": 1, "left": 0}
    assert standing.refresh_responses(now=QUARTER) == {"changed": 1}
    assert Profile.objects.get(pk=listing.host_id).response_rate == 33


@pytest.mark.parametrize(
    ("at", "rating"),
    [(FIRST - SECOND, "4.80"), (FIRST, "2.00"), (QUARTER - SECOND, "2.00"), (QUARTER, "4.80")],
)
def test_rating_is_that_of_the_reviews_published_in_the_window(at: datetime, rating: str) -> None:
    listing = rated()
    made = published(listing, 2)
    plant("UPDATE reviews SET published_at = %s WHERE id = %s", at, made.pk)
    plant("UPDATE properties SET own_stars = 0, own_review_count = 0")

    assert record(listing.host).rating == Decimal(rating)


def test_rating_of_the_window_leaves_hidden_reviews_and_those_of_guests_out() -> None:
    listing, judge = rated(), make_user("moderator", is_staff=True)
    stay, other = published(listing, 1), published(listing, 4, stay=Stay(date(2027, 6, 1), date(2027, 6, 3)))
    later = other.published_at + SECOND

    def lately() -> Decimal | None:
        return standing.records([listing.host_id], since=NOW, until=later)[listing.host_id].rating

    assert lately() == Decimal("2.50")
    reviews.hide(actor=judge, review_id=stay.pk, reason="It names a neighbour", now=later)
    assert lately() == Decimal("4.00")
    assert standing.records([stay.author_id], since=NOW, until=later)[stay.author_id].rating is None


def test_inquiry_that_the_guest_took_back_does_not_count_and_the_first_answer_does() -> None:
    listing = rated()
    for guest in (make_user(), make_user()):
        inquiries.ask(guest=guest, listing_id=listing.pk, stay=STAY, guests=1, message="Quiet?", now=NOW)
    gone, kept = Inquiry.objects.order_by("pk")
    inquiries.withdraw(actor=gone.guest, inquiry_id=gone.pk, now=NOW + timedelta(hours=1))
    inquiries.pre_approve(actor=listing.host, inquiry_id=kept.pk, now=NOW + timedelta(hours=2))
    inquiries.decline(actor=listing.host, inquiry_id=kept.pk, now=NOW + timedelta(hours=25), answer="No")

    found = record(listing.host)

    assert (found.asked, found.answered, found.response_hours) == (1, 1, 2)


@pytest.mark.parametrize(
    ("at", "quarter"),
    [
        (QUARTER - SECOND, date(2027, 1, 1)),
        (QUARTER, date(2027, 4, 1)),
        (datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC), date(2027, 10, 1)),
        (datetime.fromisoformat("2027-04-01T01:00:00+02:00"), date(2027, 1, 1)),
        (datetime.fromisoformat("2027-03-31T20:00:00-05:00"), date(2027, 4, 1)),
    ],
)
def test_quarters_begin_at_midnight_utc(at: datetime, quarter: date) -> None:
    assert standing.quarter_of(at) == quarter


@given(st.dates(date(2020, 1, 1), date(2060, 1, 1)))
def test_next_quarter_follows_without_a_gap(day: date) -> None:
    quarter = standing.quarter_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
    following = standing.next_quarter(quarter)

    assert quarter <= day < following
    last = following - timedelta(days=1)
    assert standing.quarter_of(datetime(last.year, last.month, last.day, tzinfo=UTC)) == quarter


def test_assess_makes_a_superhost_tells_them_and_the_search() -> None:
    listing = rated()
    stays(listing, 10)

    assert standing.assess(now=QUARTER) == {"assessed": 1, "left": 0}

    row = HostStanding.objects.get()
    assert (row.host, row.quarter, row.stays, row.nights) == (listing.host, date(2027, 4, 1), 10, 20)
    assert (row.response_rate, row.cancellation_rate, row.rating) == (None, Decimal("0.00"), Decimal("4.80"))
    assert (row.is_superhost, row.computed_at, superhost(listing.host)) == (True, QUARTER, True)
    assert every(SearchQuery(superhost=True), QUARTER) == [listing.pk]
    assert list(Notification.objects.values_list("user", "kind")) == [
        (listing.host_id, "host.superhost_gained")
    ]
    entry = AuditEntry.objects.get(action="host.superhost")
    assert (entry.actor, entry.object_id, entry.after) == (
        None,
        str(listing.host_id),
        {"is_superhost": True, "quarter": "2027-04-01"},
    )


def test_assess_happens_once_a_quarter() -> None:
    listing = rated()
    stays(listing, 10)
    standing.assess(now=QUARTER)
    before = HostStanding.objects.values().get()
    stays(listing, 3, canceled_by="host")

    assert standing.assess(now=QUARTER + timedelta(days=80)) == {"assessed": 0, "left": 0}

    assert HostStanding.objects.values().get() == before
    assert superhost(listing.host)


def test_assess_takes_the_title_away_and_says_so() -> None:
    listing = rated()
    stays(listing, 10)
    standing.assess(now=QUARTER)

    standing.assess(now=datetime(2028, 7, 1, tzinfo=UTC))

    assert [(row.quarter, row.is_superhost) for row in HostStanding.objects.all()] == [
        (date(2028, 7, 1), False),
        (date(2027, 4, 1), True),
    ]
    assert not superhost(listing.host)
    assert every(SearchQuery(superhost=True), QUARTER) == []
    assert list(Notification.objects.order_by("pk").values_list("kind", flat=True)) == [
        "host.superhost_gained",
        "host.superhost_lost",
    ]


def test_an_imported_superhost_stays_one_until_something_happened() -> None:
    idle, busy = rated(), rated()
    Profile.objects.update(is_superhost=True)
    stays(busy, 2)

    assert standing.assess(now=QUARTER) == {"assessed": 1, "left": 0}

    assert superhost(idle.host)
    assert not superhost(busy.host)
    assert HostStanding.objects.get().host == busy.host


def test_suspended_hosts_are_not_assessed() -> None:
    listing = rated()
    stays(listing, 10)
    User.objects.filter(pk=listing.host_id).update(suspended_at=NOW)

    assert standing.assess(now=QUARTER) == {"assessed": 0, "left": 0}

    assert not HostStanding.objects.exists()


@given(
    ended=st.lists(st.integers(-400, 40), max_size=8),
    later=st.lists(st.integers(0, 100), max_size=4),
)
def test_a_window_comes_to_the_same_whatever_happens_later(ended: list[int], later: list[int]) -> None:
    listing = rated()
    for days in ended:
        stays(listing, ended=QUARTER + timedelta(days=days))
        questions(listing, at=QUARTER + timedelta(days=days), answered_after=timedelta(hours=abs(days)))
    first = record(listing.host)

    for days in later:
        stays(listing, ended=QUARTER + timedelta(days=days), canceled_by="host" if days % 2 else "")
        questions(listing, at=QUARTER + timedelta(days=days), answered_after=None)
    late = Inquiry.objects.filter(answered_at=None, created_at__lt=QUARTER)
    late.update(answered_at=QUARTER + timedelta(hours=1))

    assert record(listing.host) == first


def test_refresh_responses_keeps_profiles_up_and_leaves_the_unasked() -> None:
    asked, idle = rated(), rated()
    Profile.objects.update(response_rate=50, response_time_hours=9)
    for answered_after in (timedelta(hours=1), timedelta(hours=4), None):
        questions(asked, at=FIRST, answered_after=answered_after)

    assert standing.refresh_responses(now=QUARTER) == {"changed": 1}
    assert standing.refresh_responses(now=QUARTER) == {"changed": 0}

    figures = Profile.objects.filter(pk__in=[asked.host_id, idle.host_id]).order_by("pk")
    assert list(figures.values_list("response_rate", "response_time_hours")) == [(66, 3), (50, 9)]


def test_outlook_shows_what_the_next_quarter_would_see() -> None:
    listing = rated()
    stays(listing, 10)
    standing.assess(now=QUARTER)
    now = QUARTER + timedelta(days=30)

    found = standing.outlook(User.objects.get(pk=listing.host_id), now=now)

    assert (found.is_superhost, found.next_on) == (True, date(2027, 7, 1))
    assert [row.quarter for row in found.assessed] == [date(2027, 4, 1)]
    assert (found.record.stays, found.bars.all) == (10, True)
    assert (found.since, found.until) == (now - timedelta(days=365), now)


def test_a_real_stay_and_a_real_cancellation_count() -> None:
    kept, sent_away = confirmed(rated()), confirmed(rated())
    bookings.cancel(actor=sent_away.host, booking_id=sent_away.pk, now=NOW, reason="")
    until = kept.check_out_at + SECOND

    found = standing.records([kept.host_id, sent_away.host_id], since=until - standing.WINDOW, until=until)

    assert (found[kept.host_id].stays, found[kept.host_id].nights) == (
        1,
        Stay(kept.check_in, kept.check_out).nights,
    )
    assert (found[sent_away.host_id].stays, found[sent_away.host_id].canceled) == (0, 1)
    assert Booking.objects.filter(status="confirmed").count() == 1
