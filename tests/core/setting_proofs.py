"""What shows that a setting changes something: for each, what is seen with its default, and what with another value.

An observation makes a world of its own, goes through the operation or the API, and answers what came of it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.core.cache import cache
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob

from backend.accounts.models import PhoneCode, Profile, Session, User
from backend.audit import services as audit
from backend.audit.models import AuditEntry
from backend.availability import feed_polling
from backend.availability import feeds as calendar_feeds
from backend.availability.models import CalendarFeed
from backend.bookings import inquiries, quotes
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.core import fx
from backend.core.errors import DomainError, Throttled
from backend.core.models import RateCounter
from backend.identity import budgets, checks, phones, registration, social_proofs
from backend.identity import services as identity
from backend.listings import cohosts
from backend.listings import services as listings
from backend.messaging import attaching, masking
from backend.messaging import services as messaging
from backend.moderation.models import Report
from backend.notifications import composing, guard
from backend.payments import payout_accounts, payouts, refund_requests
from backend.payments.models import ProviderEvent
from backend.privacy.retention import RULES
from backend.reviews import services as reviews
from backend.search import saved
from backend.search.query import SearchQuery
from backend.wishlists import services as wishlists
from tests.api.client import ApiClient
from tests.bookings.making import STAY, book, confirmed, pay
from tests.factories import NOW, PASSWORD, make_listing, make_user
from tests.messaging.making import talk
from tests.payments import hosts
from tests.payments.desk import make_folio
from tests.payments.desk import pay as pay_folio
from tests.payments.documents.making import invoiced
from tests.privacy.test_retention import delivery, inquiry, notice

DEVICE = identity.Device("203.0.113.5", "proofs")
MOST = 4
"""How often an act is tried that a limit may stop."""


@dataclass(frozen=True)
class Proof:
    """``observe`` answers ``before`` with the default, and ``after`` with ``value``; ``given`` holds for both."""

    value: Any
    observe: Callable[[], Any]
    before: Any
    after: Any
    given: dict[str, Any] = field(default_factory=dict)


def refusal(act: Callable[[], Any]) -> str:
    """The code with which ``act`` is refused, "" where it is not."""
    try:
        act()
    except DomainError as error:
        return error.code
    return ""


def feature(act: Callable[[], Any], otherwise: str = "") -> Proof:
    """A switch: off, ``act`` is refused as that; on, it goes as ever."""
    return Proof(False, lambda: refusal(act), otherwise, "feature_off")


def times(act: Callable[[], Any]) -> int:
    """How often ``act`` goes before a limit stops it, ``MOST`` where none does."""
    cache.clear()
    RateCounter.objects.all().delete()
    for count in range(MOST):
        try:
            act()
        except Throttled:
            return count
    return MOST


def limit(make: Callable[[], Callable[[], Any]], value: int = 2) -> Proof:
    """A limit: ``make`` readies an act; with the setting at ``value`` it goes so often and no oftener."""
    return Proof(value, lambda: times(make()), MOST, value)


def asked(method: str, path: str, body: Any, user: Callable[[], User] | None = None) -> Callable[[], Any]:
    """An act of the API; 429 counts as stopped, whatever else it answers as done."""

    def make() -> Callable[[], Any]:
        client = ApiClient(user() if user else None)

        def act() -> None:
            if client.request(method, path, body).status_code == 429:
                raise Throttled

        return act

    return make  # type: ignore[return-value]


def minutes(made: Any) -> int:
    return int((made.expires_at - NOW).total_seconds() // 60)


def quote() -> quotes.Quote:
    return quotes.make(listing=make_listing(), stay=STAY, guests=1, now=NOW)


def host_and_guest() -> tuple[int, int]:
    """What of a night at 100.00 the host gets, and the guest pays, four times: minor units."""
    made = quote()
    return made.price.host_payout_minor // 4, made.price.total_minor // 4


def accepted() -> Booking:
    booking = book(make_listing(instant_book=False))
    bookings.accept(actor=booking.host, booking_id=booking.pk, now=NOW)
    booking.refresh_from_db()
    return booking


def listed() -> None:
    listings.create(
        **{"actor": make_user("host"), "now": NOW, "title": "Flat", "description": "Quiet"},
        **{"price": Decimal(75), "location": "Lisbon, Portugal", "availability": True},
    )


def registered() -> None:
    name = f"new_{User.objects.count()}"
    registration.register(
        username=name, email=f"{name}@example.com", password=PASSWORD + name, device=DEVICE, now=NOW
    )


def proven(provider: str) -> Callable[[], None]:
    return lambda: social_proofs.prove(social_proofs.Proof(provider), device=DEVICE, now=NOW)  # type: ignore[return-value]


def inquired() -> None:
    inquiries.ask(
        guest=make_user(), listing_id=make_listing().pk, stay=STAY, guests=1, message="Quiet?", now=NOW
    )


def uploaded() -> None:
    conversation = talk()
    attaching.upload(
        actor=conversation.guest,
        conversation_id=conversation.pk,
        file=io.BytesIO(b""),
        name="a.pdf",
        now=NOW,
    )


def reviewed() -> None:
    booking = confirmed(make_listing())
    reviews.submit(actor=booking.guest, booking_id=booking.pk, given=reviews.Given(5, "Lovely"), now=NOW)


def feed_added() -> None:
    listing = make_listing()
    calendar_feeds.add(actor=listing.host, listing=listing, name="Far", url="nonsense", now=NOW)


def promo_tried() -> None:
    quotes.make(listing=make_listing(), stay=STAY, guests=1, now=NOW, promo_code="NOSUCH")


def payout_sent() -> int:
    host = make_user("host")
    hosts.account(host)
    hosts.earn(host)
    return len(payouts.prepare_due(now=hosts.LATER).ops)


def payout_after_change() -> bool:
    """Whether a host is paid a day and an hour after they named another account."""
    host = make_user("host")
    hosts.account(host, "one", now=NOW - timedelta(days=30))
    second = hosts.account(host, "two", now=NOW)
    payout_accounts.set_default(actor=host, account_id=second.pk, now=NOW)
    hosts.earn(host)
    done = payouts.prepare_due(now=NOW + timedelta(hours=25))
    return bool(done.ops)


def second_person() -> bool:
    folio = make_folio()
    pay_folio(folio)
    return refund_requests.needs_second(folio, 20_000)


def mail_of() -> str:
    made = composing.mail(
        to="ana@example.com", name="Ana", language="en", title="Hello", body="Hello", message_id="proof"
    )
    return str(made.body)


def invoice() -> Any:
    return invoiced(pay_folio(make_folio()))


def feed_of(age: timedelta) -> CalendarFeed:
    listing = make_listing()
    return CalendarFeed.objects.create(
        listing=listing,
        name="Far",
        url="https://127.0.0.1:9/far.ics",
        created_at=NOW - age,
        last_healthy_at=NOW - age,
        last_polled_at=NOW - age,
        next_poll_at=NOW,
    )


def feed_asked() -> Callable[[], Any]:
    feed = feed_of(timedelta(hours=1))
    client = ApiClient(feed.listing.host)
    path = f"/api/properties/{feed.listing_id}/calendar-feeds/{feed.pk}/poll/"

    def act() -> None:
        if client.request("POST", path).status_code == 429:
            raise Throttled

    return act


def asked_again() -> bool:
    """Whether a calendar that was heard of ten minutes ago is asked before a booking."""
    feed = feed_of(timedelta(minutes=10))
    feed_polling.refresh_before_booking(listing_id=feed.listing_id, now=NOW)
    feed.refresh_from_db()
    return feed.last_polled_at == NOW


def told_later() -> int:
    """In how many minutes an unread message is mailed."""
    talk()
    job = ProcrastinateJob.objects.filter(scheduled_at__isnull=False).order_by("-id").first()
    assert job is not None
    begun = ProcrastinateEvent.objects.filter(job_id=job.pk).order_by("at").values_list("at", flat=True)[0]
    wait = job.scheduled_at - begun
    return round(wait.total_seconds() / 60)


def code_tries() -> int:
    """How many wrong codes leave the right one worth something."""
    user = make_user()
    Profile.objects.filter(user=user).update(phone="+254712345678")
    found = phones.fresh_code(user.pk, now=NOW)
    assert found is not None
    wrong = "000000" if found[2] != "000000" else "111111"
    for _try in range(MOST):
        refusal(lambda: phones.verify(actor=user, code=wrong, now=NOW))
    row = PhoneCode.objects.get(user=user)
    return row.tries


def cohosted() -> Callable[[], Any]:
    listing = make_listing()
    return lambda: cohosts.add(
        actor=listing.host, listing=listing, user_id=make_user().pk, grants=["messages"], now=NOW
    )


def logged_in_as_new() -> bool:
    return budgets.is_new(make_user(created_at=NOW - timedelta(days=3)), now=NOW)


def retained(name: str, make: Callable[[], Any], days: int = 32) -> Callable[[], bool]:
    """Whether what is made at ``NOW`` goes in a run ``days`` later."""
    rule = {each.name: each for each in RULES}[name]

    def observe() -> bool:
        make()
        return bool(rule.run(NOW + timedelta(days=days)))

    return observe


def address_logged() -> None:
    AuditEntry.objects.filter(address__isnull=False).update(address=None, salt=None)
    with structlog.contextvars.bound_contextvars(address="203.0.113.7"):
        audit.record(actor=make_user(), action="proof", subject=make_user(), now=NOW)


def event_applied() -> None:
    count = ProviderEvent.objects.count()
    ProviderEvent.objects.create(
        provider="sandbox",
        event_id=f"evt_{count}",
        type="payment",
        object_ref="o",
        payload={"name": "Ana"},
        received_at=NOW,
        applied_at=NOW,
    )


def report_decided() -> None:
    Report.objects.create(
        listing=make_listing(),
        reporter=make_user(),
        reason="other",
        details="Loud",
        status="dismissed",
        created_at=NOW,
        decided_at=NOW,
    )


def stay_over() -> None:
    booking = confirmed(make_listing())
    Booking.objects.filter(pk=booking.pk).update(arrival_note="late train", status="completed")


def session_ended() -> None:
    Session.objects.create(
        user=make_user(),
        created_at=NOW,
        last_used_at=NOW,
        expires_at=NOW + timedelta(days=30),
        revoked_at=NOW,
        refresh_secret=b"x",
    )


PROOFS: dict[str, Proof] = {
    "feature_registration": feature(registered),
    **{
        f"feature_{each}": feature(proven(each), "identity_refused")
        for each in ("google", "facebook", "apple")
    },
    "feature_listings": feature(listed),
    "feature_bookings": feature(lambda: book(make_listing())),
    "feature_instant_booking": Proof(
        False, lambda: book(make_listing()).pending_reason, before="payment", after="host"
    ),
    "feature_inquiries": feature(inquired),
    "feature_payments": feature(lambda: pay(book(make_listing()))),
    "feature_payouts": Proof(False, payout_sent, before=1, after=0),
    "feature_promo_codes": feature(promo_tried, "invalid_promo_code"),
    "feature_messages": feature(
        lambda: messaging.start(guest=make_user(), listing_id=make_listing().pk, body="Is it quiet?", now=NOW)
    ),
    "feature_attachments": feature(uploaded, "invalid"),
    "feature_reviews": feature(reviewed, "not_completed"),
    "feature_wishlists": feature(lambda: wishlists.create(user=make_user(), now=NOW)),
    "feature_saved_searches": feature(
        lambda: saved.save(user=make_user(), name="Lisbon", query=SearchQuery(location="Lisbon"), now=NOW)
    ),
    "feature_calendar_imports": feature(feed_added, "invalid_url"),
    "feature_identity_checks": feature(
        lambda: checks.hand_in(actor=make_user(), document="none", picture=io.BytesIO(), now=NOW), "invalid"
    ),
    "feature_sms": Proof(
        False,
        lambda: bool(guard.stops(user_id=make_user().pk, phone="+254712345678", now=NOW)),
        before=False,
        after=True,
    ),
    "currencies_offered": Proof(
        "KES", lambda: sorted(fx.offered()) == sorted(fx.rates()), before=True, after=False
    ),
    "issuer_name": Proof("Kwetu", lambda: "Kwetu" in mail_of(), before=False, after=True),
    "issuer_address": Proof("Mtaa wa Uhuru 1", lambda: "Mtaa wa Uhuru 1" in mail_of(), False, True),
    "issuer_code": Proof("KW", lambda: invoice().reference.partition("-")[0], "KRB", "KW"),
    "issuer_tax_id": Proof("P05", lambda: invoice().data["issuer"]["tax_id"], "", "P05"),
    "law_language": Proof("fr", lambda: invoice().law_language, "", "fr"),
    "request_hours": Proof(12, lambda: minutes(book(make_listing(instant_book=False))), 24 * 60, 12 * 60),
    "hold_minutes": Proof(30, lambda: minutes(book(make_listing())), 15, 30),
    "accepted_payment_hours": Proof(12, lambda: minutes(accepted()), 24 * 60, 12 * 60),
    "quote_minutes": Proof(60, lambda: minutes(quote()), 15, 60),
    "service_fee_model": Proof("split", host_and_guest, (8_450, 10_000), (9_700, 11_410)),
    "host_fee_percent": Proof("12", host_and_guest, (8_450, 10_000), (8_800, 10_000)),
    "split_host_fee_percent": Proof(
        "5", host_and_guest, (9_700, 11_410), (9_500, 11_410), {"service_fee_model": "split"}
    ),
    "split_guest_fee_percent": Proof(
        "10", host_and_guest, (9_700, 11_410), (9_700, 11_000), {"service_fee_model": "split"}
    ),
    "refund_four_eyes_above": Proof(100, second_person, False, True),
    "payout_account_change_hours": Proof(48, payout_after_change, True, False),
    "feed_refresh_minutes": Proof(30, asked_again, True, False),
    "feed_stale_hours": Proof(
        48, lambda: bool(feed_of(timedelta(hours=10)) and feed_polling.mark_stale(now=NOW)), True, False
    ),
    "limit_feed_polls_user": limit(feed_asked),
    "mask_contact_data": Proof(False, lambda: masking.masked("ana@example.com")[0], "•••", "ana@example.com"),
    "message_mail_minutes": Proof(10, told_later, 3, 10),
    "limit_code_tries": Proof(2, code_tries, MOST, 2),
    "limit_proofs_address": limit(asked("POST", "/api/email/verify/", {"key": "nonsense"})),
    "limit_refresh_address": limit(asked("POST", "/api/token/refresh/", {"refresh": "nonsense"})),
    "limit_cohosts_host": limit(cohosted),
    "limit_tickets_address": limit(asked("POST", "/api/realtime/ticket/", None, make_user)),
    "new_account_days": Proof(2, logged_in_as_new, True, False),
    "retention_sessions_days": Proof(7, retained("sessions", session_ended), False, True),
    "retention_addresses_days": Proof(7, retained("addresses", address_logged), False, True),
    "retention_notifications_days": Proof(30, retained("notifications", lambda: notice(NOW)), False, True),
    "retention_deliveries_days": Proof(7, retained("deliveries", lambda: delivery(NOW)), False, True),
    "retention_provider_events_days": Proof(7, retained("provider_events", event_applied), False, True),
    "retention_inquiries_days": Proof(30, retained("inquiries", lambda: inquiry(NOW)), False, True),
    "retention_messages_days": Proof(30, retained("messages", talk), False, True),
    "retention_reports_days": Proof(30, retained("reports", report_decided), False, True),
    "retention_guest_lists_days": Proof(30, retained("guest_lists", stay_over, 120), False, True),
}
