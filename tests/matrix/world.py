"""One marketplace with everybody in it: who they are to each other, what they hold, and tokens that are worth nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from api.access import BOOKINGS, CALENDAR, GUEST, HOST, HOSTS, USER
from backend.accounts.models import ApiKey, IdentityCheck, Session, User
from backend.availability.models import CalendarFeed, CalendarSubscriber, FeedConflict, FeedEvent
from backend.bookings import alterations, inquiries
from backend.bookings.alterations import Change
from backend.bookings.models import Booking, Inquiry
from backend.core import limits
from backend.core.stay import Stay
from backend.identity import services as identity
from backend.identity import suspension, tokens
from backend.listings import cohosts, photos, texts
from backend.listings import services as listings
from backend.listings.cohosts import GRANTS
from backend.listings.models import Listing
from backend.messaging import blocking
from backend.messaging.models import Message
from backend.moderation import services as moderation
from backend.notifications.models import Notification
from backend.payments import disputes
from backend.payments.models import Document, Payment, Payout, PayoutAccount, PayoutSplit
from backend.payments.providers.base import DisputeState
from backend.rates.models import Fee, PriceRule, PromoCode, Tax
from backend.search import saved
from backend.search.query import SearchQuery
from backend.webhooks.models import WebhookDelivery, WebhookEndpoint
from backend.wishlists import services as wishlists
from tests.bookings.making import book, confirmed
from tests.factories import NOW, PASSWORD, make_listing, make_user
from tests.listings.pictures import drawn, encoded
from tests.payments.hosts import account, earn

MISSING = 987_654_321
NOWHERE = "00000000-0000-4000-8000-000000000000"
FEED = "http://127.0.0.1:9/calendar.ics"
"""Nobody listens there: a calendar that cannot be read is imported all the same."""

STAFF = ("support", "moderator", "finance", "admin")


@dataclass
class World:
    """``ids``: what stands in paths and bodies. ``standings``: actor → who they are to it all. ``tokens``: how they sign in."""

    ids: dict[str, Any] = field(default_factory=dict)
    people: dict[str, User] = field(default_factory=dict)
    standings: dict[str, set[str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    """Those whose token is worth nothing, whoever they were."""


def stay(days: int, nights: int = 3) -> Stay:
    """``nights`` from so many days after NOW."""
    first = (NOW + timedelta(days=days)).date()
    return Stay(first, first + timedelta(days=nights))


def build() -> World:
    """Everybody and everything, as of NOW, through the operations where they leave more than a row."""
    world = World()
    _people(world)
    listing = _listing(world, "Flat over the river")
    empty = _listing(world, "House that nobody booked")
    waiting = _listing(world, "Cabin that asks its host", instant_book=False)
    hidden = _listing(world, "Flat that is paused")
    guest = world.people["guest"]
    booked = confirmed(listing, guest, stay=stay(20))
    world.ids |= {"listing": listing.pk, "empty": empty.pk, "waiting": waiting.pk, "hidden": hidden.pk}
    world.ids |= _furnished(listing, booked)
    world.ids |= {
        f"elsewhere_{name}": row for name, row in _furnished(empty, confirmed(empty, stay=stay(200))).items()
    }
    world.ids |= {f"hidden_{name}": row for name, row in _furnished(hidden, confirmed(hidden)).items()}
    _bookings(world, listing, waiting, guest, booked)
    _own(world)
    _money(world, booked)
    _reviews(world)
    bare = make_listing(world.people["host"], title="House to be withdrawn")
    _keep(world, bare)
    world.ids["bare"] = bare.pk
    listings.update(actor=hidden.host, listing=hidden, changes={"availability": False}, now=NOW)
    _leave(world)
    return world


def _person(world: World, name: str, *roles: str, standings: set[str] | None = None, **fields: Any) -> User:
    user = make_user(*roles, password=PASSWORD, username=name, email=f"{name}@example.com", **fields)
    world.people[name] = user
    world.standings[name] = {USER, *(standings or set())}
    world.tokens[name] = sign_in(user).access
    return user


def sign_in(user: User) -> identity.SignedIn:
    """Tokens of a new session of ``user``."""
    device = identity.Device(address="127.0.0.1", user_agent="matrix")
    return identity.sign_in(login=user.username, password=PASSWORD, device=device, now=timezone.now())


def _people(world: World) -> None:
    world.standings["anonymous"], world.tokens["anonymous"] = set(), ""
    _person(world, "guest", "guest", standings={GUEST})
    _person(world, "other_guest", "guest")
    _person(world, "host", "host", standings={HOST, HOSTS})
    _person(world, "other_host", "host", standings={HOSTS})
    for grant in GRANTS:
        _person(world, f"keeps_{grant}", "guest", standings={f"cohost:{grant}"})
    _person(world, "keeps_two", "guest", standings={CALENDAR, BOOKINGS})
    _person(world, "kept_once", "guest")
    for role in STAFF:
        _person(world, role, role, is_staff=True, standings={f"role:{role}"})
    _person(world, "superuser", "admin", is_staff=True, is_superuser=True, standings={"role:admin"})
    # They would have every right, were it not for what happens to them in ``_leave``.
    for name in ("suspended", "erased", "inactive", "signed_out"):
        _person(world, name, "guest")


KEEPERS = {
    **{f"keeps_{grant}": (grant,) for grant in GRANTS},
    "keeps_two": ("calendar", "bookings"),
    "kept_once": GRANTS,
    **dict.fromkeys(("suspended", "erased", "inactive"), GRANTS),
}


def _listing(world: World, title: str, **fields: Any) -> Listing:
    listing = make_listing(world.people["host"], title=title, **fields)
    _keep(world, listing)
    texts.put(actor=listing.host, listing=listing, language="fr", changes={"title": title}, now=NOW)
    return listing


def _keep(world: World, listing: Listing) -> None:
    limits.forget(f"cohosts:{listing.host_id}")
    for name, grants in KEEPERS.items():
        row = cohosts.add(
            actor=listing.host, listing=listing, user_id=world.people[name].pk, grants=grants, now=NOW
        )
        if name == "kept_once":
            cohosts.end(actor=listing.host, listing=listing, cohost_id=row.pk, now=NOW)
    listing.refresh_from_db()


def _furnished(listing: Listing, booking: Booking) -> dict[str, Any]:
    """A row of everything that may stand below a listing, by the name it has in paths."""
    stamps: dict[str, Any] = {"created_at": NOW, "updated_at": NOW}
    rule = PriceRule.objects.create(
        listing=listing, kind="length_of_stay", min_nights=7, percent=10, **stamps
    )
    fee = Fee.objects.create(listing=listing, kind="pet", amount_minor=1500, per="pet", **stamps)
    tax = Tax.objects.create(listing=listing, name="City tax", percent=7, **stamps)
    code = PromoCode.objects.create(listing=listing, code=f"SPRING{listing.pk}", percent=15, **stamps)
    feed = CalendarFeed.objects.create(
        listing=listing, name="Airbnb", url=FEED, kind="airbnb", next_poll_at=NOW, created_at=NOW
    )
    event = FeedEvent.objects.create(
        feed=feed,
        uid="uid-1",
        starts_on=booking.check_in,
        ends_on=booking.check_out,
        summary="Reserved",
        kind="stay",
        created_at=NOW,
    )
    conflict = FeedConflict.objects.create(event=event, block=booking.block, found_at=NOW)
    reader = CalendarSubscriber.objects.create(listing=listing, name="Reader", salt="salt", created_at=NOW)
    cohost = listing.cohosts.get(user__username="keeps_calendar")
    return {
        "rule": rule.pk,
        "fee": fee.pk,
        "tax": tax.pk,
        "code": code.pk,
        "feed": feed.pk,
        "conflict": conflict.pk,
        "subscriber": reader.pk,
        "photo": photo_of(listing),
        "cohost": cohost.pk,
    }


def photo_of(listing: Listing) -> int:
    """A new picture of ``listing``."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    file = SimpleUploadedFile("a.jpg", encoded(drawn((64, 48))))
    return photos.add(actor=listing.host, listing=listing, file=file, now=NOW).pk


def _bookings(world: World, listing: Listing, waiting: Listing, guest: User, booked: Booking) -> None:
    request = book(waiting, guest, stay=stay(20))
    unpaid = book(listing, guest, stay=stay(30))
    asked = confirmed_request(waiting, guest, stay(40))
    alterations.ask(actor=guest, booking_id=asked.pk, change=Change(guests=2), now=NOW)
    proposed = confirmed(listing, guest, stay=stay(50))
    alterations.propose(
        actor=proposed.host, booking_id=proposed.pk, change=Change(guests=2, reason="Room for two"), now=NOW
    )
    inquiry = inquiries.ask(
        guest=guest, listing_id=waiting.pk, stay=stay(60), guests=2, message="Is it quiet?", now=NOW
    )
    world.ids |= {
        "booking": booked.pk,
        "request": request.pk,
        "unpaid": unpaid.pk,
        "asked": asked.pk,
        "proposed": proposed.pk,
        "inquiry": inquiry.pk,
    }


def _reviews(world: World) -> None:
    """Stays that are over: one that both have reviewed, one that the guest has, one with a hidden review, one with none."""
    from backend.bookings import services as bookings
    from backend.reviews import services as reviews
    from tests.reviews.making import review

    loft, guest = _listing(world, "Loft that people have stayed in"), world.people["guest"]
    both, one, hidden, none = [confirmed(loft, guest, stay=stay(day, 1)) for day in (2, 4, 6, 8)]
    bookings.complete(now=none.check_out_at)
    now = none.check_out_at
    published, sealed, taken_off = [review(each, now=now) for each in (both, one, hidden)]
    for each in (both, hidden):
        review(each, each.host, now=now)
    moderator = world.people["moderator"]
    reviews.hide(actor=moderator, review_id=taken_off.pk, reason="It names somebody", now=now)
    world.ids |= {
        "review": published.pk,
        "sealed_review": sealed.pk,
        "hidden_review": taken_off.pk,
        "stayed": none.pk,
        "stayer": guest.pk,
    }


def confirmed_request(listing: Listing, guest: User, nights: Stay) -> Booking:
    """A stay that its host said yes to and that is paid."""
    from backend.bookings import services as bookings
    from tests.bookings.making import pay

    booking = book(listing, guest, stay=nights)
    bookings.accept(actor=listing.host, booking_id=booking.pk, now=NOW)
    pay(booking)
    booking.refresh_from_db()
    return booking


def _own(world: World) -> None:
    host, guest = world.people["host"], world.people["guest"]
    second = sign_in(guest)
    code = PromoCode.objects.create(host=host, code="ALL", percent=15, created_at=NOW, updated_at=NOW)
    world.ids |= {
        "user": host.pk,
        "session": str(tokens.read(second.access, now=timezone.now()).session_id),
        "notification": Notification.objects.filter(user=guest).order_by("id")[0].pk,
        "identity": SocialAccount.objects.create(user=guest, provider="google", uid="110").pk,
        "check": IdentityCheck.objects.create(user=guest, document="passport", created_at=NOW).pk,
        "host_code": code.pk,
        "account": account(host).pk,
        "second_account": account(host, currency="USD").pk,
    }
    asked = Inquiry.objects.get(pk=world.ids["inquiry"])
    blocked = make_user(username="blocked_one")
    blocking.block(actor=guest, user_id=blocked.pk, now=NOW)
    world.ids |= {
        "conversation": asked.conversation_id,
        "attachment": 1,
        "blocked": blocked.pk,
        "blockable": make_user(username="not_blocked").pk,
    }
    wishlist = wishlists.create(user=guest, name="Summer by the sea", now=NOW)
    wished = world.ids["waiting"]
    wishlists.add(user=guest, wishlist_id=wishlist.pk, listing_id=wished, now=NOW)
    search = saved.save(user=guest, name="Lisbon", query=SearchQuery(location="Lisbon"), now=NOW)
    world.ids |= {"wishlist": wishlist.pk, "wished": wished, "search": search.pk}
    _for_programs(world)
    said = Message.objects.filter(conversation=asked.conversation_id, sender=guest)[0]
    moderation.report_user(
        reporter=guest, user_id=world.people["other_host"].pk, reason="other", details="Rude.", now=NOW
    )
    world.ids["message"] = said.pk


def _money(world: World, booked: Booking) -> None:
    host = world.people["host"]
    payment = Payment.objects.get(folio=booked.folio)
    earned = earn(host, guest=world.people["guest"])
    disputed = earned.payments.get()
    state = DisputeState(
        reference="dp_1",
        parent_ref="",
        amount_minor=1000,
        currency="EUR",
        status="needs_response",
        reason="fraudulent",
        funds_withdrawn=True,
        opened_at=NOW,
        evidence_due_at=NOW + timedelta(days=7),
        fee_minor=0,
    )
    with transaction.atomic():
        dispute = disputes.learn(payment=disputed, state=state, seen=0, stay_is_over=True, now=NOW).dispute
    world.ids |= {
        "payment": payment.pk,
        "payout": Payout.objects.get(receiver=host).pk,
        "dispute": dispute.pk,
        "document": Document.objects.filter(recipient=world.people["guest"]).order_by("id")[0].pk,
    }
    assert PayoutAccount.objects.filter(user=host).count() == 2
    assert not PayoutSplit.objects.exists()


def _leave(world: World) -> None:
    """What makes tokens worthless: their owners went, or they were never good."""
    people, now = world.people, timezone.now()
    suspension.suspend(actor=people["admin"], user=people["suspended"], reason="Fraud", now=now)
    # What ends the sessions is not what must hold here: the state of the account alone must.
    Session.objects.filter(user=people["suspended"]).update(revoked_at=None, revoked_reason="")
    User.objects.filter(pk=people["erased"].pk).update(erased_at=now, is_active=False)
    User.objects.filter(pk=people["inactive"].pk).update(is_active=False)
    identity.sign_out(session_id=_session_of(world, "signed_out"), now=now)
    host = people["host"]
    session = tokens.read(world.tokens["host"], now=now).session_id
    world.tokens |= {
        "expired": tokens.issue(session_id=session, user_id=host.pk, now=now - timedelta(minutes=11)),
        "refresh_as_access": sign_in(host).refresh,
        "others_session": tokens.issue(session_id=session, user_id=people["guest"].pk, now=now),
        "garbage": "no.token.atall",
    }
    world.dead = {
        *("suspended", "erased", "inactive", "signed_out"),
        *("expired", "refresh_as_access", "others_session", "garbage"),
    }
    for name in world.dead:
        world.standings[name] = set()
    assert set(Group.objects.values_list("name", flat=True)) >= set(STAFF)


def _session_of(world: World, name: str) -> Any:
    return tokens.read(world.tokens[name], now=timezone.now()).session_id


OWNERS = dict.fromkeys(
    ("session", "notification", "document", "identity", "check", "wishlist", "wished", "search", "blocked"),
    GUEST,
)
"""Whose an own thing is, where it is not the host's."""


def _for_programs(world: World) -> None:
    """A key and a webhook of the host's; nobody listens at its address, which is never resolved here."""
    host = world.people["host"]
    key = ApiKey.objects.create(
        user=host,
        name="Desk",
        prefix="krb_matrix",
        digest=bytes(32),
        scopes=["listings:read"],
        created_at=NOW,
    )
    webhook = WebhookEndpoint.objects.create(
        user=host, url="https://example.com/", secret="whsec_AAAA", created_at=NOW, updated_at=NOW
    )
    delivery = WebhookDelivery.objects.create(
        endpoint=webhook,
        event_id="evt_matrix",
        type="webhook.test",
        object_key="webhook:matrix",
        data={},
        created_at=NOW,
        next_at=NOW,
    )
    world.ids |= {"key": key.pk, "webhook": webhook.pk, "webhook_delivery": delivery.pk}
