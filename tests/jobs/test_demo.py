"""The demo's world: made once for all tests here, in a run that went on where another one had broken off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from itertools import pairwise

import PIL.Image
import pytest
from django.core.management import call_command
from django.db.models import Count
from django.test import override_settings
from django.utils import timezone

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.bookings.models import Alteration, Booking, HostPenalty, Inquiry
from backend.identity import services as identity
from backend.jobs import books
from backend.jobs.demo import making, scenes
from backend.jobs.demo.cities import CITIES
from backend.jobs.demo.people import roster
from backend.jobs.demo.visits import VISITS
from backend.listings.models import Listing, Photo
from backend.notifications.models import Notification
from backend.payments.models import MoneyOp, Payment
from backend.rates.models import Fee, PriceRule, PromoCode, Tax
from tests.api.client import ApiClient
from tests.conftest import _empty_tables

DEVICE = identity.Device(address="127.0.0.1", user_agent="tests")


@dataclass(frozen=True)
class World:
    """What the two runs printed and left."""

    after_the_first: dict[str, int]
    printed: str
    made_from: datetime
    made_until: datetime


def _counts() -> dict[str, int]:
    models = (User, Listing, Photo, Booking, Notification, AuditEntry, MoneyOp)
    return {model.__name__: model._default_manager.count() for model in models}


def _demo(**options: object) -> str:
    printed = StringIO()
    call_command("demo", stdout=printed, **options)
    return printed.getvalue()


@pytest.fixture(scope="module")
def world(
    django_db_setup: None,
    django_db_blocker: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "full").write_text("no folder: nothing can be stored below it")
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        with override_settings(MEDIA_ROOT=folder / "full"), pytest.raises(OSError, match="full"):
            _demo()
        first = _counts()
        with override_settings(MEDIA_ROOT=folder / "media"):
            begun = timezone.now()
            printed = _demo()
            yield World(first, printed, begun, timezone.now())
        _empty_tables()


def test_demo_that_broke_off_is_gone_on_with(world: World) -> None:
    first = world.after_the_first
    assert (first["User"], first["Listing"], first["Photo"], first["Booking"]) == (24, 60, 0, 0)

    assert _counts()["User"] == 24
    assert Listing.objects.count() == 60
    assert AuditEntry.objects.filter(action=making.DONE).count() == 1
    made_at = making.made_at()
    assert made_at is not None
    assert world.made_from <= made_at <= world.made_until


def test_demo_prints_who_may_sign_in_and_says_so_only_once(world: World) -> None:
    rows = [line.split() for line in world.printed.splitlines() if line.startswith("  ") and "-" in line]
    accounts = {row[1]: (row[0], row[2]) for row in rows if len(row) == 3 and row[1] in roster()}
    assert {name: role for name, (role, _password) in accounts.items()} == {
        "guest_1": "guest",
        "host_1": "host",
        "support": "support",
        "moderator": "moderator",
        "finance": "finance",
        "admin": "admin",
    }
    assert "guest_2 to guest_8 have the password of guest_1." in world.printed
    assert "host_2 to host_12 have the password of host_1." in world.printed

    signed_in = {
        name: identity.sign_in(login=name, password=password, device=DEVICE, now=timezone.now()).user
        for name, (_role, password) in {
            **accounts,
            "guest_8": accounts["guest_1"],
            "host_12": accounts["host_1"],
        }.items()
    }
    assert {name: (user.roles, user.is_staff) for name, user in signed_in.items()} == {
        "guest_1": ({"guest"}, False),
        "guest_8": ({"guest"}, False),
        "host_1": ({"host"}, False),
        "host_12": ({"host"}, False),
        **{name: ({"guest", name}, True) for name in ("support", "moderator", "finance", "admin")},
    }

    before = _counts()
    assert _demo().startswith("The demo is there already, made on ")
    assert json.loads(_demo(json=True))["accounts"] == []
    assert _counts() == before
    assert all(password not in _demo() for _role, password in accounts.values())


def test_demo_has_sixty_places_in_six_cities_and_four_currencies(world: World) -> None:
    found = Counter(Listing.objects.values_list("city", "country", "currency", "timezone"))
    assert found == {
        ("Lisbon", "PT", "EUR", "Europe/Lisbon"): 10,
        ("Antwerp", "BE", "EUR", "Europe/Brussels"): 10,
        ("Albany", "US", "USD", "America/New_York"): 10,
        ("Nairobi", "KE", "KES", "Africa/Nairobi"): 10,
        ("Mombasa", "KE", "KES", "Africa/Nairobi"): 10,
        ("Kyoto", "JP", "JPY", "Asia/Tokyo"): 10,
    }
    assert Counter(Listing.objects.values_list("status", flat=True)) == {
        "published": 55,
        "paused": 1,
        "flagged": 1,
        "rejected": 1,
        "pending_review": 1,
        "draft": 1,
    }
    assert Listing.objects.values("title").distinct().count() == 60
    for varied, least in (
        ("cancellation_policy", 6),
        ("room_type", 3),
        ("instant_book", 2),
        ("max_guests", 4),
    ):
        assert Listing.objects.values(varied).distinct().count() >= least
    answer = ApiClient().get("/api/properties/", {"location": "Kyoto"}).json()
    assert answer["count"] == 10
    assert all(row["photos"][0]["is_cover"] for row in answer["results"])


def test_demo_draws_different_pictures_for_every_place(world: World) -> None:
    pictures = Listing.objects.annotate(n=Count("photos")).values_list("n", flat=True)
    assert Counter(pictures) == {3: 42, 4: 18}
    assert Photo.objects.filter(is_cover=True, caption="House").count() == 60
    seen = set()
    for photo in Photo.objects.order_by("id"):
        with photo.file.open() as file, PIL.Image.open(file) as picture:
            assert picture.size == (photo.width, photo.height) == (840, 560)
            seen.add(picture.tobytes())
    assert len(seen) == 198


def test_demo_has_bookings_in_every_state_that_went_through_their_steps(world: World) -> None:
    assert Booking.objects.count() == len(VISITS) == 54
    assert Counter(Booking.objects.values_list("status", "pending_reason", "canceled_by")) == {
        ("completed", "", ""): 12,
        ("confirmed", "", ""): 20,
        ("pending", "host", ""): 6,
        ("pending", "payment", ""): 4,
        ("declined", "", ""): 3,
        ("expired", "", ""): 3,
        ("canceled", "", "guest"): 3,
        ("canceled", "", "host"): 2,
        ("canceled", "", "platform"): 1,
    }
    mine = Booking.objects.filter(guest__username="guest_1")
    assert set(mine.values_list("status", flat=True)) == {
        *("completed", "confirmed", "pending", "declined", "expired", "canceled"),
    }
    assert Counter(Payment.objects.values_list("kind", "status")) == {
        ("payment", "completed"): 33,
        ("payment", "pending"): 3,
        ("payment", "failed"): 4,
        ("payment", "refunded"): 3,
        ("payment", "partially_refunded"): 3,
        ("refund", "completed"): 6,
    }
    assert HostPenalty.objects.count() == 2
    assert MoneyOp.objects.exclude(state__in=["succeeded", "failed"]).count() == 0
    for booking in Booking.objects.prefetch_related("transitions"):
        steps = [step.at for step in sorted(booking.transitions.all(), key=lambda step: step.seq)]
        assert booking.created_at == steps[0]
        assert all(one <= other for one, other in pairwise(steps))
        assert steps[-1] <= world.made_until
    staying = Booking.objects.filter(status="confirmed", check_in_at__lt=world.made_from)
    assert staying.count() == 3


def test_demo_has_rates_of_every_kind_questions_and_changes(world: World) -> None:
    kinds = set(PriceRule.objects.values_list("kind", flat=True))
    assert kinds == {"season", "early_bird", "last_minute", "new_listing", "length_of_stay"}
    assert set(Fee.objects.values_list("kind", flat=True)) == {"pet", "linen"}
    assert Tax.objects.count() == 12
    assert PromoCode.objects.count() == 6
    assert Counter(Alteration.objects.values_list("status", flat=True)) == {"accepted": 1, "proposed": 1}
    assert Alteration.objects.get(status="accepted").settled_at is not None
    assert Counter(Inquiry.objects.values_list("status", flat=True)) == {"open": 1, "pre_approved": 1}


def test_demo_has_clean_books_and_told_people(world: World) -> None:
    assert [finding.check.name for finding in books.check_books() if finding.count] == []
    told = Counter(Notification.objects.filter(user__username="host_1").values_list("kind", flat=True))
    assert told["booking.requested"] == 6
    assert Notification.objects.exclude(read_at=None).count() > 0
    assert Notification.objects.filter(read_at=None, user__username="host_1").count() > 0


@pytest.mark.parametrize("city", CITIES, ids=lambda city: city.name)
@pytest.mark.parametrize("scene", scenes.SCENES)
def test_picture_is_the_same_for_the_same_seed_and_another_for_another(scene: str, city) -> None:
    one = scenes.picture(scene, city.look(0), seed="a").getvalue()
    assert scenes.picture(scene, city.look(0), seed="a").getvalue() == one
    assert scenes.picture(scene, city.look(0), seed="b").getvalue() != one
