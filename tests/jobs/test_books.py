from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from backend.bookings import alterations, inquiries, settlement
from backend.bookings import services as bookings
from backend.bookings.alterations import Change
from backend.bookings.invariants import CHECKS
from backend.bookings.models import Booking, Inquiry
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.rates.models import PromoCode
from tests.bookings.making import STAY, book, confirmed, pay
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

REAL = NOW - timedelta(hours=1)


def _violated(now=NOW, seen=NOW) -> list[str]:
    return [finding.check.name for finding in books.check_books(Clock(now, seen)) if finding.count]


def _world() -> dict[str, object]:
    """A booking in every state."""
    canceled = confirmed(make_listing())
    bookings.cancel(actor=canceled.guest, booking_id=canceled.pk, now=NOW)
    kept = confirmed(make_listing(cancellation_policy="strict"))
    bookings.cancel(actor=kept.guest, booking_id=kept.pk, now=kept.check_in_at + timedelta(days=1))
    sent_away = confirmed(make_listing())
    bookings.cancel(actor=sent_away.host, booking_id=sent_away.pk, now=NOW)
    settlement.reconcile(now=kept.check_out_at)
    asked = book(make_listing(instant_book=False))
    pay(asked)
    declined = book(make_listing(instant_book=False))
    bookings.decline(actor=declined.host, booking_id=declined.pk, now=NOW)
    early = NOW - timedelta(days=1)
    expired = book(make_listing(), now=early)
    bookings.expire(now=NOW)
    altered, changing = confirmed(make_listing()), confirmed(make_listing())
    for stay in (altered, changing):
        longer = Change(check_out=date(2027, 5, 9))
        alterations.ask(actor=stay.guest, booking_id=stay.pk, change=longer, now=NOW)
    pay(altered)
    altered.refresh_from_db()
    alterations.ask(
        actor=altered.guest, booking_id=altered.pk, change=Change(check_out=date(2027, 5, 6)), now=NOW
    )
    settlement.reconcile(now=NOW)
    return {
        "held": book(make_listing()),
        "asked": asked,
        "confirmed": confirmed(make_listing(cleaning_fee_minor=3_000)),
        "canceled": canceled,
        "kept": kept,
        "sent_away": sent_away,
        "declined": declined,
        "expired": expired,
        "altered": altered,
        "changing": changing,
        "asking": _ask(),
        "offered": _offered(),
        "cheaper": _cheaper(),
    }


def _ask() -> Inquiry:
    return inquiries.ask(
        guest=make_user(), listing_id=make_listing().pk, stay=STAY, guests=1, message="Is it quiet?", now=NOW
    )


def _offered() -> Booking:
    inquiry = _ask()
    offer = inquiries.Offer(Decimal(300))
    inquiries.special_offer(actor=inquiry.host, inquiry_id=inquiry.pk, offer=offer, now=NOW)
    return book(inquiry.listing, inquiry.guest, inquiry_id=inquiry.pk)


def _cheaper() -> Booking:
    listing = make_listing()
    PromoCode.objects.create(listing=listing, code="LESS", percent=10, created_at=NOW, updated_at=NOW)
    return book(listing, promo_code="less")


def _plant(sql: str, table: str) -> None:
    """Damage the books past every guard, as a mistake in a console would."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(sql)
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_check_books_is_clean_for_every_state() -> None:
    world = _world()
    assert _violated() == []

    stay = world["confirmed"]
    bookings.complete(now=stay.check_out_at)  # type: ignore[attr-defined]

    assert _violated() == []


PLANTS = {
    "codes_in_prices_are_used": ("UPDATE bookings SET promo_code_id = NULL", "bookings"),
    "stays_have_their_nights": (
        "UPDATE blocks SET nights = daterange('2027-08-01', '2027-08-03') WHERE reason = 'booking'",
        "blocks",
    ),
    "ended_stays_take_no_nights": (
        "UPDATE blocks SET active = true, released_at = NULL, nights = daterange('2028-01-01', '2028-01-03')"
        " WHERE id = (SELECT block_id FROM bookings WHERE status = 'declined')",
        "blocks",
    ),
    "taken_nights_have_a_stay": (
        "INSERT INTO blocks (listing_id, nights, reason, active, note, created_at)"
        " SELECT id, daterange('2028-01-01', '2028-01-03'), 'booking', true, '', now() FROM properties LIMIT 1",
        "blocks",
    ),
    "stays_are_in_their_conversation": (
        "UPDATE conversations SET contact_open_at = NULL",
        "conversations",
    ),
    "folio_is_the_price": (
        "UPDATE bookings SET total_minor = total_minor + 1 WHERE status = 'pending'",
        "bookings",
    ),
    "confirmed_stays_are_paid": (
        "UPDATE bookings SET folio_id = folio_id, total_minor = 1 WHERE status = 'confirmed'",
        "bookings",
    ),
    "money_goes_back_when_owed": (
        "UPDATE bookings SET refund_minor = refund_minor + 1 WHERE status = 'canceled'",
        "bookings",
    ),
    "canceled_stays_are_divided": (
        "UPDATE bookings SET host_keeps_minor = host_keeps_minor - 1, taxes_kept_minor = 0 WHERE host_keeps_minor > 0",
        "bookings",
    ),
    "penalties_are_booked": (
        "UPDATE host_penalties SET amount_minor = amount_minor + 1",
        "host_penalties",
    ),
    "completed_stays_are_earned": (
        "UPDATE bookings SET status = 'completed' WHERE status = 'confirmed'",
        "bookings",
    ),
    "timeline_has_no_gaps": (
        "UPDATE booking_transitions SET seq = 9 WHERE event = 'canceled'",
        "booking_transitions",
    ),
    "changes_count_when_paid": (
        "UPDATE alterations SET payment_id = NULL WHERE settled_at IS NOT NULL AND difference_minor > 0",
        "alterations",
    ),
    "open_changes_are_of_coming_stays": (
        "UPDATE bookings SET status = 'completed' WHERE id IN (SELECT booking_id FROM alterations"
        " WHERE settled_at IS NULL)",
        "bookings",
    ),
    "open_changes_run_out": (
        "UPDATE alterations SET expires_at = '2027-03-01T08:54:59Z' WHERE settled_at IS NULL",
        "alterations",
    ),
    "inquiries_run_out": (
        "UPDATE inquiries SET expires_at = '2027-03-01T08:54:59Z' WHERE status = 'open'",
        "inquiries",
    ),
    "offers_are_booked_by_whom_they_were_made": (
        "UPDATE inquiries SET guest_id = host_id WHERE status = 'booked'",
        "inquiries",
    ),
    "pending_stays_run_out": (
        "UPDATE bookings SET expires_at = '2027-03-01T08:54:59Z' WHERE pending_reason = 'host'",
        "bookings",
    ),
    "past_stays_are_completed": (
        "UPDATE bookings SET check_out_at = '2027-03-01T07:59:59Z' WHERE status = 'confirmed'",
        "bookings",
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_check_books_finds_planted_damage(name: str) -> None:
    _world()

    _plant(*PLANTS[name])

    assert name in _violated()


def test_check_books_finds_a_guard_that_is_off() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE bookings DISABLE TRIGGER bookings_status_edge")
        try:
            assert _violated() == ["bookings_are_guarded"]
        finally:
            cursor.execute("ALTER TABLE bookings ENABLE TRIGGER bookings_status_edge")


def test_every_invariant_of_bookings_has_a_test_that_violates_it() -> None:
    assert {check.name for check in CHECKS} == {*PLANTS, "bookings_are_guarded"}


def test_check_books_judges_age_only_of_what_a_sweep_could_have_met() -> None:
    book(make_listing())
    far = NOW + timedelta(days=30)

    assert _violated(far, seen=NOW - timedelta(seconds=1)) == []
    assert _violated(far, seen=NOW) == ["pending_stays_run_out"]


def test_check_books_command_prints_json_and_exits_with_one_on_a_violation() -> None:
    now = timezone.now()
    booking = confirmed(make_listing(), now=now)
    printed = StringIO()
    call_command("check_books", json=True, stdout=printed)
    clean = json.loads(printed.getvalue())
    _plant("UPDATE bookings SET total_minor = 1", "bookings")

    printed = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("check_books", json=True, stdout=printed)

    assert ended.value.code == 1
    assert (clean["violations"], len(clean["checks"])) == (0, len(books.CHECKS))
    found = {check["name"]: check["violations"] for check in json.loads(printed.getvalue())["checks"]}
    assert [row["booking"] for row in found["folio_is_the_price"]] == [booking.pk]


def test_bookings_refuse_a_status_that_does_not_follow() -> None:
    from django.db import IntegrityError, transaction

    booking = book(make_listing())

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE bookings SET status = 'completed', pending_reason = '', expires_at = NULL WHERE id = %s",
            [booking.pk],
        )

    booking.refresh_from_db()
    assert booking.status == "pending"


def test_timeline_is_written_once() -> None:
    from django.db import IntegrityError, transaction

    book(make_listing())

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE booking_transitions SET event = 'other'")
