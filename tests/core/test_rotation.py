"""A change of keys: everything comes under the new one while people go on writing, and the old one can be thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.test import override_settings

from backend.accounts.models import Profile, User
from backend.availability.models import CalendarFeed
from backend.core import crypto, rotation
from backend.identity import mfa
from backend.jobs import books
from backend.listings.models import Listing
from backend.payments.models import PayoutAccount
from tests.core.test_crypto import former
from tests.factories import NOW, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

OLD, NEW = "an encryption key of last year, 32+", "an encryption key of this year, 32+"
PHONES = [f"+2547123456{number:02}" for number in range(12)]
URL = "https://calendar.example/ical/1.ics?s=feed-secret"


def rotated(*options: str) -> str:
    out = StringIO()
    call_command("rotate_keys", *options, stdout=out)
    return out.getvalue()


def kept() -> list[User]:
    """People with all that is sealed about them, under whatever key is the first."""
    people = [make_user() for _ in PHONES]
    for person, phone in zip(people, PHONES, strict=True):
        Profile.objects.filter(pk=person.pk).update(phone=phone)
    listing = make_listing(host=people[0], line1="1 Hidden Lane", line2="Door 4", postal_code="HX1 4QQ")
    CalendarFeed.objects.create(listing=listing, name="Far", url=URL, next_poll_at=NOW, created_at=NOW)
    PayoutAccount.objects.create(
        user=people[0], provider="paypal", destination="host@example.com", created_at=NOW, updated_at=NOW
    )
    Authenticator.objects.create(
        user=people[0],
        type="totp",
        data={"secret": mfa.Adapter().encrypt("JBSWY3DPEHPK3PXP"), "last_step": 7},
    )
    return people


def everything_opens() -> None:
    assert sorted(Profile.objects.exclude(phone="").values_list("phone", flat=True)) == PHONES
    assert Profile.objects.filter(phone__in=PHONES).count() == len(PHONES)
    listing = Listing.objects.get()
    assert (listing.line1, listing.line2, listing.postal_code) == ("1 Hidden Lane", "Door 4", "HX1 4QQ")
    assert CalendarFeed.objects.get().url == URL
    assert PayoutAccount.objects.get().destination == "host@example.com"
    data = Authenticator.objects.get().data
    assert (mfa.Adapter().decrypt(data["secret"]), data["last_step"]) == ("JBSWY3DPEHPK3PXP", 7)


@contextmanager
def keys(*keys: str) -> Iterator[None]:
    with override_settings(ENCRYPTION_KEYS=list(keys)):
        yield


def test_rotate_brings_all_under_the_new_key_and_the_old_one_can_go() -> None:
    with keys(OLD):
        kept()
        old = crypto.present().name
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE payout_accounts SET destination = %s",
                [former("host@example.com", "development-secret-of-old")],
            )
    with keys(NEW, OLD), override_settings(SECRET_KEY_FALLBACKS=["development-secret-of-old"]):
        with pytest.raises(CommandError, match="18 texts lie under another key"):
            rotated("--dry-run")
        counted = rotation.rotate(dry_run=True)
        assert counted["profiles.phone"].keys == {old: 12}
        assert counted["payout_accounts.destination"].keys == {"v1": 1}

        said = rotated()

        new = crypto.present().name
        assert "profiles.phone: 12 resealed; " + f"{new}: 12" in said
        assert "mfa_authenticator.data: 1 resealed; " + f"{new}: 1" in said
        assert "Nothing lies under another key." in said
        assert [outcome.resealed for outcome in rotation.rotate().values()] == [0] * len(counted)
    with keys(NEW):
        everything_opens()


def test_first_encryption_key_takes_over_from_the_secret_key() -> None:
    kept()
    with keys(NEW):
        everything_opens()
        rotated()
    with keys(NEW), override_settings(SECRET_KEY="a secret key that seals nothing", SECRET_KEY_FALLBACKS=[]):
        everything_opens()


def test_rotate_loses_no_edit_of_those_who_write_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    with keys(OLD):
        people = kept()

    def write(person: User) -> None:
        for number in range(10):
            Profile.objects.filter(pk=person.pk).update(phone=f"+3519{person.pk:04}{number:04}")

    with keys(NEW, OLD):
        results = race(rotation.rotate, *(lambda person=person: write(person) for person in people[:5]))
        assert [each for each in results if isinstance(each, Exception)] == []
        rotated()
    with keys(NEW):
        phones = dict(Profile.objects.values_list("user_id", "phone"))
        written = {person.pk: f"+3519{person.pk:04}0009" for person in people[:5]}
        untouched = {person.pk: phone for person, phone in list(zip(people, PHONES, strict=True))[5:]}
        assert phones == {**written, **untouched}
        assert [Profile.objects.get(phone=phone).pk for phone in phones.values()] == list(phones)


def test_rotate_that_was_broken_off_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    with keys(OLD):
        people = kept()
    with keys(NEW, OLD):
        with transaction.atomic():
            Profile.objects.select_for_update().get(pk=people[6].pk)
            [broken] = race(rotation.rotate)
        assert isinstance(broken, OperationalError)
        counted = rotation.rotate(dry_run=True)["profiles.phone"]
        assert (counted.left, counted.keys[crypto.present().name]) == (6, 6)

        assert "profiles.phone: 6 resealed" in rotated()
    with keys(NEW):
        everything_opens()


def test_text_under_a_lost_key_is_left_told_and_found_by_the_books() -> None:
    with keys("a key that will be lost"):
        Profile.objects.filter(pk=make_user().pk).update(phone=PHONES[0])
        lost = crypto.present().name
        with connection.cursor() as cursor:
            cursor.execute("SELECT phone FROM profiles")
            before = cursor.fetchone()
    [check] = rotation.CHECKS
    with keys(NEW):
        outcome = rotation.rotate()["profiles.phone"]
        assert (outcome.resealed, outcome.unopened, outcome.left) == (0, 1, 1)
        with pytest.raises(CommandError, match="1 texts lie under another key"):
            rotated()
        finding: Any = books.run(check, books.Clock(NOW, NOW - timedelta(days=1)))
        assert finding.violations == [{"table": "profiles", "column": "phone", "key": lost, "texts": 1}]
    with connection.cursor() as cursor:
        cursor.execute("SELECT phone FROM profiles")
        assert cursor.fetchone() == before
    with keys(NEW, "a key that will be lost"):
        assert books.run(check, books.Clock(NOW, NOW)).count == 0
