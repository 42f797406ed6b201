"""An account that is erased: gone at once for everybody, and then from every place where it was kept."""

from __future__ import annotations

import email
import email.policy
import json
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import time_machine
from django.conf import settings as django_settings
from django.db import connection

from backend.accounts.models import User
from backend.availability.models import CalendarFeed
from backend.bookings import announcing
from backend.bookings.models import Booking
from backend.jobs.books import check_books
from backend.listings.models import Listing, Photo
from backend.notifications.models import LiveEvent, Notification
from backend.privacy import cleaning
from backend.privacy.models import Erasure
from tests.api.client import ApiClient
from tests.factories import NOW, PASSWORD
from tests.privacy.journey import Journey
from tests.privacy.world import Person

AFTER = NOW + timedelta(days=21)


def erase(person: Person) -> None:
    answer = person.api.delete("/api/profile/", {"password": PASSWORD})
    assert (answer.status_code, answer.content) == (204, b""), answer.content


def again(person: Person) -> None:
    """Sign in anew, as the journey is long over."""
    person.api = ApiClient(person.user)


def columns() -> list[tuple[str, str]]:
    """Every column of every table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t"
            " USING (table_schema, table_name) WHERE t.table_type = 'BASE TABLE' AND c.table_schema = 'public'"
        )
        return cursor.fetchall()


def found_in_tables(values: dict[str, str]) -> set[tuple[str, str, str]]:
    """Where one of ``values`` stands in the database: (table, column, name of the value)."""
    found = set()
    with connection.cursor() as cursor:
        for table, column in columns():
            for name, value in values.items():
                cursor.execute(
                    f'SELECT EXISTS (SELECT FROM "{table}" WHERE strpos("{column}"::text, %s) > 0)',  # noqa: S608
                    [value],
                )
                if cursor.fetchone() == (True,):
                    found.add((table, column, name))
    return found


def found_in_cache(values: dict[str, str]) -> set[tuple[str, str]]:
    """Where one of ``values`` stands in Valkey: (key, name of the value)."""
    client = redis.Redis.from_url(django_settings.REDIS_URL)
    return {
        (key.decode(), name)
        for key in client.scan_iter()
        for name, value in values.items()
        if value.encode() in key + (client.dump(key) or b"")
    }


def found_in_files(folder: Path, values: dict[str, str]) -> set[tuple[str, str]]:
    """Where one of ``values`` stands in a file or its name: (the file's folder, name of the value)."""
    return {
        (str(path.relative_to(folder).parent), name)
        for path in folder.rglob("*")
        if path.is_file()
        for name, value in values.items()
        if value in str(path) + readable(path)
    }


def readable(path: Path) -> str:
    """A file as text; a mail with its parts decoded."""
    if path.suffix != ".eml":
        return path.read_bytes().decode("utf-8", "replace")
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    parts = [str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text"]
    return "\n".join([*(f"{name}: {value}" for name, value in mail.items()), *parts])


def broken() -> dict[str, list[dict[str, object]]]:
    return {each.check.name: each.violations for each in check_books() if each.count}


def test_nothing_of_two_erased_people_is_left_but_what_the_registry_keeps(
    journey: Journey, state: Path
) -> None:
    people = (journey.guest, journey.host)
    before = {person.user.pk: found_in_tables(person.planted) for person in people}
    files = sorted(path for path in (state / "media").rglob("*") if path.is_file())
    with time_machine.travel(AFTER, tick=False):
        for person in people:
            again(person)
            erase(person)
        assert cleaning.resume(now=AFTER) == {"finished": 2, "left": 0}

    assert len(before[journey.guest.user.pk]) > 8
    assert len(files) >= 3
    left = found_in_tables(journey.guest.planted | {f"host {k}": v for k, v in journey.host.planted.items()})
    # Issued documents are immutable by law; the log of what was done is chained, and held no name.
    assert left == {
        ("documents", "data", "first_name"),
        ("documents", "data", "last_name"),
        ("documents", "data", "host first_name"),
        ("documents", "data", "host location"),
    }
    everything = journey.guest.planted | {f"host {k}": v for k, v in journey.host.planted.items()}
    assert found_in_cache(everything) == set()
    assert [path for path in (state / "media").rglob("*") if path.is_file()] == []
    letters = {"email", "first_name", "last_name", "host email", "host first_name", "host last_name"}
    assert {name for folder, name in found_in_files(state, everything) if folder == "mail"} <= letters
    assert broken() == {}


def test_everybody_else_meets_a_nameless_person_at_once(journey: Journey) -> None:
    guest, host = journey.guest, journey.host
    pk, listing = host.user.pk, journey.listing
    other = ApiClient()
    assert other.get(f"/api/users/{pk}/").status_code == 200
    assert other.get(f"/api/properties/{listing.pk}/").status_code == 200

    with time_machine.travel(AFTER, tick=False):
        again(host)
        again(guest)
        token = host.api.token
        erase(host)

        assert ApiClient(token=token).get("/api/profile/").status_code == 401
        for login in ("username", "email"):
            answer = other.post("/api/login/", {login: host.planted[login], "password": PASSWORD})
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
        assert other.get(f"/api/users/{pk}/").status_code == 404
        assert other.get(f"/api/properties/{listing.pk}/").status_code == 404
        assert other.get("/api/properties/").json()["count"] == 0
        seen = guest.api.get(f"/api/bookings/{journey.booking.pk}/").json()
        assert seen["host"] == {"id": pk, "first_name": f"Erased user {pk}"}
        assert seen["property"] == "Flat over the river"
        assert "zebra" not in json.dumps(seen["host"])
        again_taken = other.post(
            "/api/register/",
            {
                "username": host.planted["username"].upper(),
                "email": host.planted["email"],
                "password": PASSWORD,
            },
        )
        assert again_taken.status_code == 201
    assert CalendarFeed.objects.count() == 0
    assert Listing.objects.get().status == "archived"


def test_the_last_letter_goes_to_the_former_address_once(journey: Journey, state: Path) -> None:
    guest = journey.guest
    with time_machine.travel(AFTER, tick=False):
        again(guest)
        erase(guest)
        assert cleaning.clean(Erasure.objects.get().pk, now=AFTER) is True
        assert cleaning.clean(Erasure.objects.get().pk, now=AFTER) is False

    letters = [readable(path) for path in (state / "mail").glob("*.eml")]
    to_guest = [text for text in letters if f"To: {guest.planted['email']}" in text]
    assert len(to_guest) == 1
    assert "Subject: Your account was erased" in to_guest[0]
    erasure = Erasure.objects.get()
    assert (erasure.traces, erasure.failure, erasure.finished_at) == ({}, "", AFTER)


def test_what_others_were_told_names_nobody(journey: Journey) -> None:
    guest, host = journey.guest, journey.host
    told = Notification.objects.filter(user=host.user, params__guest=guest.planted["first_name"])
    count = told.count()
    assert count > 2

    with time_machine.travel(AFTER, tick=False):
        again(guest)
        erase(guest)
        cleaning.resume(now=AFTER)

    assert told.count() == 0
    renamed = Notification.objects.filter(user=host.user, params__guest=f"Erased user {guest.user.pk}")
    assert renamed.count() == count
    with time_machine.travel(AFTER, tick=False):
        again(host)
        shown = host.api.get("/api/notifications/").json()
        assert "zebra" not in json.dumps(shown).replace("zebrafeed", "")
        booking = host.api.get(f"/api/bookings/{journey.booking.pk}/").json()
    assert booking["guest"] == {"id": guest.user.pk, "first_name": f"Erased user {guest.user.pk}"}
    fresh = Booking.objects.get()
    assert (fresh.message, fresh.arrival_note, fresh.guest_list) == ("", "", [])


def test_a_step_that_fails_is_taken_up_where_it_was(
    journey: Journey, state: Path, settings: pytest.FixtureRequest
) -> None:
    host = journey.host
    with time_machine.travel(AFTER, tick=False):
        again(host)
        erase(host)
        mail_dir = state / "mail"
        mail_dir.rename(state / "elsewhere")
        mail_dir.write_text("no folder any more")

        assert cleaning.resume(now=AFTER) == {"finished": 0, "left": 1}
        stopped = Erasure.objects.get()
        assert stopped.steps == [name for name, _step in cleaning.STEPS][:-1]
        assert stopped.failure.startswith("letter: ")
        assert stopped.traces["email"] == host.planted["email"]

        mail_dir.unlink()
        assert cleaning.resume(now=AFTER) == {"finished": 1, "left": 0}
    assert (Erasure.objects.get().traces, Photo.objects.count()) == ({}, 0)
    assert broken() == {}


def test_who_was_erased_is_told_nothing_any_more(journey: Journey) -> None:
    guest = journey.guest
    with time_machine.travel(AFTER, tick=False):
        again(guest)
        erase(guest)
        cleaning.resume(now=AFTER)
        announcing.announce(
            Booking.objects.select_related("listing", "guest", "host").get(),
            now=AFTER,
            guest=["payment.refunded"],
            host=["payment.refunded"],
        )

    told = Notification.objects.filter(kind="payment.refunded")
    assert [notice.user_id for notice in told] == [journey.host.user.pk]
    assert LiveEvent.objects.filter(user=guest.user).count() == 0
    assert broken() == {}


def test_wrong_password_changes_nothing(journey: Journey) -> None:
    with time_machine.travel(AFTER, tick=False):
        again(journey.guest)
        answer = journey.guest.api.delete("/api/profile/", {"password": "not-this-one-9"})
        nothing = journey.guest.api.delete("/api/profile/", {})
        kept = journey.guest.api.get("/api/profile/")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "wrong_password")
    assert (nothing.status_code, nothing.json()["errors"][0]["code"]) == (422, "wrong_password")
    assert (kept.status_code, kept.json()["email"]) == (200, journey.guest.planted["email"])
    assert Erasure.objects.count() == 0


def test_erased_people_are_no_device_of_anybody(journey: Journey) -> None:
    with time_machine.travel(AFTER, tick=False):
        again(journey.guest)
        erase(journey.guest)
    user = User.objects.get(pk=journey.guest.user.pk)

    assert (user.is_active, user.erased_at) == (False, AFTER)
    assert (user.username, user.email) == (f"erased-{user.pk}", f"erased-{user.pk}")
    assert (user.first_name, user.last_name) == (f"Erased user {user.pk}", "")
    assert user.has_usable_password() is False
    assert list(user.groups.all()) == []
