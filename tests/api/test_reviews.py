"""Reviews over HTTP."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api.main import api
from backend.bookings import inquiries
from backend.core.stay import Stay
from backend.identity import suspension
from backend.privacy import erasure
from backend.reviews import services as reviews
from backend.reviews.models import SUBRATINGS, Review
from tests.api.client import ApiClient
from tests.bookings.making import confirmed
from tests.factories import NOW, PASSWORD, make_listing, make_user
from tests.reviews.making import published, review, stayed

pytestmark = pytest.mark.usefixtures("db")

AFTER = NOW + timedelta(days=68)
"""The day after the stays of these tests: 8 May 2027."""

STARS = {"cleanliness": 5, "accuracy": 4, "check_in": 3, "communication": 5, "location": 4, "value": 2}
BODY: dict[str, Any] = {
    "rating": 4,
    **STARS,
    "comment": "Quiet and bright.",
    "private_note": "The tap drips.",
}


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(AFTER, tick=False):
        yield


def _code(answer):
    return answer.status_code, answer.json()["code"]


def _week(number):
    first = date(2027, 3, 3) + timedelta(days=3 * number)
    return Stay(first, first + timedelta(days=2))


def test_review_is_answered_with_all_that_was_said():
    booking = stayed()
    guest = ApiClient(booking.guest)

    answer = guest.post(f"/api/bookings/{booking.pk}/review/", BODY)

    body = answer.json()
    assert answer.status_code == 201
    assert body == {
        "id": Review.objects.get().pk,
        "booking_id": booking.pk,
        "property_id": booking.listing_id,
        "author": {"id": booking.guest_id, "first_name": booking.guest.first_name},
        "about": "property",
        **BODY,
        "response": None,
        "status": "sealed",
        "created_at": "2027-05-08T09:00:00Z",
        "published_at": None,
        "editable_until": "2027-05-21T10:00:00Z",
        "hidden_reason": None,
        "appeal": None,
    }
    path = f"/api/reviews/{body['id']}/"
    tag = guest.get(path)["ETag"]
    assert guest.get(path).json() == body
    assert guest.get(path, if_none_match=tag).status_code == 304


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"rating": 0}, "rating", "too_small"),
        ({"rating": 6}, "rating", "too_large"),
        ({"rating": "5"}, "rating", None),
        ({"rating": 4.5}, "rating", None),
        ({"rating": 5.0}, "rating", None),
        ({"rating": True}, "rating", None),
        ({"rating": None}, "rating", None),
        ({"value": 0}, "value", "too_small"),
        ({"value": 2.5}, "value", None),
        ({"comment": " "}, "comment", "blank"),
        ({"comment": None}, "comment", None),
        ({"comment": "a\x00b"}, "comment", "invalid_text"),
        ({"comment": "x" * 5001}, "comment", "too_long"),
        ({"private_note": "x" * 2001}, "private_note", "too_long"),
        ({"stars": 5}, "stars", "unknown_field"),
        ({"about": "property"}, "about", "unknown_field"),
    ],
)
def test_bad_input_is_refused_and_writes_nothing(body, field, code):
    booking = stayed()

    answer = ApiClient(booking.guest).post(f"/api/bookings/{booking.pk}/review/", {**BODY, **body})

    problem = answer.json()
    assert answer.status_code == 422
    assert [error["field"] for error in problem["errors"]] == [field]
    assert code in (None, problem["errors"][0]["code"])
    assert not Review.objects.exists()


def test_rating_and_comment_are_needed_and_nothing_else():
    booking = stayed()
    guest = ApiClient(booking.guest)
    path = f"/api/bookings/{booking.pk}/review/"

    nothing = guest.post(path, {})
    least = guest.post(path, {"rating": 5, "comment": "Fine", "value": None, "private_note": None})

    assert (nothing.status_code, sorted(error["field"] for error in nothing.json()["errors"])) == (
        422,
        ["comment", "rating"],
    )
    assert least.status_code == 201
    assert {name: least.json()[name] for name in SUBRATINGS} == dict.fromkeys(SUBRATINGS)


def test_errors_are_those_of_the_contract():
    early = confirmed(make_listing(), stay=Stay(date(2027, 5, 20), date(2027, 5, 22)), now=AFTER)
    booking = stayed()
    guest, host = ApiClient(booking.guest), ApiClient(booking.host)
    path = f"/api/bookings/{booking.pk}/review/"

    assert _code(ApiClient(early.guest).post(f"/api/bookings/{early.pk}/review/", BODY)) == (
        409,
        "not_completed",
    )
    assert _code(ApiClient(make_user()).post(path, BODY)) == (404, "not_found")
    assert _code(ApiClient().post(path, BODY)) == (401, "unauthenticated")
    assert guest.post(path, BODY).status_code == 201
    assert _code(guest.post(path, BODY)) == (409, "already_reviewed")
    assert _code(host.post(path, {"rating": 5})) == (422, "invalid")
    assert host.post(path, BODY).status_code == 201
    made = Review.objects.get(about="property")
    answered = host.post(f"/api/reviews/{made.pk}/response/", {"comment": "Come again"})
    assert (answered.status_code, answered.json()["response"]) == (
        201,
        {"comment": "Come again", "created_at": "2027-05-08T09:00:00Z"},
    )
    assert _code(host.post(f"/api/reviews/{made.pk}/response/", {"comment": "Please"})) == (
        409,
        "already_responded",
    )
    assert _code(guest.post(f"/api/reviews/{made.pk}/response/", {"comment": "Hm"})) == (403, "not_allowed")
    assert _code(guest.patch(f"/api/reviews/{made.pk}/", {"rating": 1})) == (409, "wrong_state")
    assert _code(guest.post(f"/api/reviews/{made.pk}/appeal/", {"reason": "Why"})) == (409, "wrong_state")


def test_window_that_the_sweep_has_closed_stays_closed():
    booking = stayed()
    reviews.invite_due(now=booking.check_out_at)
    reviews.publish_due(now=booking.check_out_at + timedelta(days=14))

    answer = ApiClient(booking.guest).post(f"/api/bookings/{booking.pk}/review/", BODY)

    assert _code(answer) == (409, "review_window_closed")


def test_patch_changes_what_is_sent_and_heeds_what_was_seen():
    booking = stayed()
    guest = ApiClient(booking.guest)
    made = guest.post(f"/api/bookings/{booking.pk}/review/", BODY).json()
    path = f"/api/reviews/{made['id']}/"
    tag = guest.get(path)["ETag"]

    changed = guest.patch(path, {"rating": 2, "value": None, "private_note": None}, if_match=tag)
    stale = guest.patch(path, {"rating": 5}, if_match=tag)
    refused = [
        guest.patch(path, body) for body in ({"rating": None}, {"comment": None}, {"status": "published"})
    ]

    assert (changed.status_code, changed.json()) == (
        200,
        {**made, "rating": 2, "value": None, "private_note": None},
    )
    assert _code(stale) == (412, "precondition_failed")
    assert [answer.status_code for answer in refused] == [422, 422, 422]
    assert guest.get(path).json()["rating"] == 2


def _everywhere(client, booking):
    """What ``client`` is told wherever reviews of a stay, its place and its people may stand."""
    pages = [
        f"/api/properties/{booking.listing_id}/",
        f"/api/properties/{booking.listing_id}/reviews/",
        "/api/properties/",
        "/api/properties/?ordering=rating",
        f"/api/bookings/{booking.pk}/",
        "/api/bookings/",
        "/api/bookings/?as=host",
        "/api/reviews/",
        "/api/reviews/?about=by_me",
        f"/api/reviews/?booking_id={booking.pk}",
        f"/api/users/{booking.guest_id}/",
        f"/api/users/{booking.host_id}/",
        f"/api/users/{booking.guest_id}/reviews/",
        f"/api/users/{booking.host_id}/reviews/",
        "/api/notifications/",
        "/api/host/today/",
        "/api/host/standing/",
        "/api/profile/",
        "/api/profile/export/",
        *(f"/api/reviews/{number}/" for number in range(1, 6)),
        *(f"/api/users/{booking.guest_id}/reviews/?page_size=1&page={page}" for page in (1, 2)),
    ]
    told = {}
    for path in pages:
        answer = client.get(path)
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        told[path] = (answer.status_code, answer.get("ETag"), content.replace(b"\\n", b" "))
    return told


def _without_ids(told):
    """Without what differs from one request to the next."""
    shown = {}
    for path, (status, tag, content) in told.items():
        try:
            body = json.loads(content)
        except ValueError:
            body = content.decode()
        if isinstance(body, dict):
            body.pop("request_id", None)
            body.pop("exported_at", None)
            body.pop("acts", None)  # to export one's data is an act
        shown[path] = (status, tag, body)
    return shown


@pytest.mark.parametrize("side", ["guest", "host"])
def test_what_one_side_has_sealed_is_told_to_nobody_else(side):
    """Everybody else is told before and after the same: no text, no count, no mean, no other ETag."""
    listing = make_listing()
    published(listing, 3, stay=Stay(date(2027, 4, 1), date(2027, 4, 3)))
    booking = stayed(listing)
    writer, other = (booking.guest, booking.host) if side == "guest" else (booking.host, booking.guest)
    staff = [make_user(role, is_staff=True) for role in ("support", "moderator")]
    readers = [ApiClient(user) for user in (other, None, *staff)]
    before = [_without_ids(_everywhere(reader, booking)) for reader in readers]

    body = {"rating": 1, "comment": "PLANTED-COMMENT", "private_note": "PLANTED-NOTE"}
    path = f"/api/bookings/{booking.pk}/review/"
    writing = ApiClient(writer)
    assert writing.post(path, body).status_code == 201
    sealed = Review.objects.get(status="sealed")
    assert writing.patch(f"/api/reviews/{sealed.pk}/", {"rating": 2}).status_code == 200

    after = [_without_ids(_everywhere(reader, booking)) for reader in readers]
    changed = [
        {path for path in one if one[path] != two[path]} for one, two in zip(before, after, strict=True)
    ]
    # The other side hears that there is one.
    assert changed == [{"/api/notifications/", "/api/profile/export/"}, set(), set(), set()]
    assert "PLANTED" not in str(after)
    own = writing.get("/api/reviews/?about=by_me").json()["results"]
    assert [row["comment"] for row in own if row["status"] == "sealed"] == ["PLANTED-COMMENT"]


@pytest.mark.parametrize("side", ["guest", "host"])
def test_no_operation_shows_the_other_side_what_is_sealed(side):
    booking = stayed()
    writer, other = (booking.guest, booking.host) if side == "guest" else (booking.host, booking.guest)
    made = review(booking, writer, 1, comment="PLANTED-COMMENT", private_note="PLANTED-NOTE")
    ids = {"property_id": booking.listing_id, "user_id": writer.pk, "review_id": made.pk}
    answers = {}

    for reader, name in ((ApiClient(other), "other"), (ApiClient(writer), "writer")):
        told = []
        for path, operations in api.get_openapi_schema()["paths"].items():
            if "get" not in operations:
                continue
            for placeholder in re.findall(r"{(\w+)}", path):
                path = path.replace(f"{{{placeholder}}}", str(ids.get(placeholder, 1)))
            answer = reader.get(path)
            assert answer.status_code < 500, path
            content = b"".join(answer.streaming_content) if answer.streaming else answer.content
            if b"PLANTED" in content or b'"rating":1' in content:
                told.append(path)
        answers[name] = told

    # What the writer is shown says that the walk has gone where reviews are.
    assert answers == {"other": [], "writer": ["/api/profile/export/", f"/api/reviews/{made.pk}/"]}


def test_private_note_is_for_its_receiver_alone():
    listing = make_listing()
    booking = stayed(listing)
    review(booking, private_note="NOTE-FOR-HOST")
    review(booking, booking.host, private_note="NOTE-FOR-GUEST")
    other_host = make_user()
    inquiries.ask(
        guest=booking.guest,
        listing_id=make_listing(other_host).pk,
        stay=Stay(date(2027, 6, 1), date(2027, 6, 3)),
        guests=1,
        message="Hello?",
        now=AFTER,
    )
    people = {
        "guest": booking.guest,
        "host": booking.host,
        "asked": other_host,
        "other": make_user(),
        "moderator": make_user("moderator", is_staff=True),
    }

    found = {}
    for name, user in {**people, "nobody": None}.items():
        told = str(_everywhere(ApiClient(user), booking))
        found[name] = ("NOTE-FOR-HOST" in told, "NOTE-FOR-GUEST" in told)

    assert found == {
        "guest": (True, True),
        "host": (True, True),
        "asked": (False, False),
        "other": (False, False),
        "moderator": (False, False),
        "nobody": (False, False),
    }


def test_reviews_of_a_guest_are_for_the_guest_and_for_hosts_whom_they_have_asked():
    booking = stayed()
    review(booking)
    review(booking, booking.host, 2)
    asked, other = make_user(), make_user()
    inquiries.ask(
        guest=booking.guest,
        listing_id=make_listing(asked).pk,
        stay=Stay(date(2027, 6, 1), date(2027, 6, 3)),
        guests=1,
        message="Hello?",
        now=AFTER,
    )
    of_guest = Review.objects.get(about="guest")
    support = make_user("support", is_staff=True)

    def seen(user):
        client = ApiClient(user)
        listed = client.get(f"/api/users/{booking.guest_id}/reviews/")
        ratings = [row["rating"] for row in listed.json()["results"]] if listed.status_code == 200 else []
        return listed.status_code, ratings, client.get(f"/api/reviews/{of_guest.pk}/").status_code

    assert [seen(user) for user in (booking.guest, booking.host, asked, support)] == [(200, [2], 200)] * 4
    assert seen(other) == (403, [], 404)
    assert seen(None) == (401, [], 404)
    assert ApiClient(asked).get("/api/users/987654/reviews/").status_code == 404


def test_list_of_a_place_is_newest_first_with_a_summary_and_filters():
    listing = make_listing(rating="5.00", review_count=1)
    made = [published(listing, rating, stay=_week(number)) for number, rating in enumerate((5, 3, 5))]
    review(stayed(listing, stay=_week(4)), rating=1)
    listing.refresh_from_db()

    answer = ApiClient().get(f"/api/properties/{listing.pk}/reviews/").json()
    fives = ApiClient().get(f"/api/properties/{listing.pk}/reviews/", {"rating": 5}).json()

    assert [row["id"] for row in answer["results"]] == [row.pk for row in reversed(made)]
    assert (answer["count"], answer["next"], answer["previous"]) == (3, None, None)
    assert answer["summary"] == {
        "rating": 4.5,
        "review_count": 4,
        "histogram": {"1": 0, "2": 0, "3": 1, "4": 0, "5": 2},
        **dict.fromkeys(SUBRATINGS),
    }
    assert {row["private_note"] for row in answer["results"]} == {None}
    assert [row["id"] for row in fives["results"]] == [made[2].pk, made[0].pk]
    assert (fives["count"], fives["summary"]) == (2, answer["summary"])
    assert ApiClient().get(f"/api/properties/{listing.pk}/").json()["rating"] == 4.5
    for bad in ({"rating": 6}, {"rating": "five"}, {"sort": "best"}, {"page_size": 0}):
        assert ApiClient().get(f"/api/properties/{listing.pk}/reviews/", bad).status_code == 422


def test_list_of_a_place_goes_on_page_by_page():
    listing = make_listing()
    made = [published(listing, 4, stay=_week(number)).pk for number in range(5)]
    url, found = f"/api/properties/{listing.pk}/reviews/?page_size=2", []

    while url:
        answer = ApiClient().get(url).json()
        found.append([row["id"] for row in answer["results"]])
        url = answer["next"]

    assert found == [made[:2:-1], made[2:0:-1], made[:1]]


def test_lists_ask_the_same_number_of_queries_for_one_and_for_three():
    listing, guest = make_listing(), make_user()
    readers = {
        f"/api/properties/{listing.pk}/reviews/": ApiClient(listing.host),
        f"/api/properties/{listing.pk}/reviews/?page_size=20": ApiClient(),
        "/api/reviews/": ApiClient(listing.host),
        "/api/reviews/?about=by_me": ApiClient(guest),
        f"/api/users/{guest.pk}/reviews/": ApiClient(listing.host),
    }
    counts: dict[str, list[tuple[int, int]]] = {path: [] for path in readers}
    for number in range(3):
        published(listing, 4, guest, stay=_week(number))
        for path, reader in readers.items():
            with CaptureQueriesContext(connection) as queries:
                answer = reader.get(path)
            counts[path].append((answer.json()["count"], len(queries)))

    for path, found in counts.items():
        assert [count for count, _queries in found] == [1, 2, 3], path
        assert len({queries for _count, queries in found}) == 1, path


def test_own_lists_hold_what_is_ones_own():
    listing, guest = make_listing(), make_user()
    published(listing, 4, guest, stay=_week(1))
    sealed = review(stayed(listing, guest, stay=_week(2)))

    def listed(user, about):
        rows = ApiClient(user).get("/api/reviews/", {"about": about}).json()["results"]
        return [(row["about"], row["status"]) for row in rows]

    assert listed(guest, "by_me") == [("property", "sealed"), ("property", "published")]
    assert listed(guest, "me") == [("guest", "published")]
    assert listed(listing.host, "by_me") == [("guest", "published")]
    assert listed(listing.host, "me") == [("property", "published")]
    assert listed(make_user(), "me") == listed(make_user(), "by_me") == []
    mine = ApiClient(guest).get("/api/reviews/", {"about": "by_me", "booking_id": sealed.booking_id}).json()
    assert [row["id"] for row in mine["results"]] == [sealed.pk]
    assert ApiClient(guest).get("/api/reviews/", {"about": "others"}).status_code == 422


def test_hidden_review_is_left_to_its_author_who_may_appeal():
    listing = make_listing()
    made = published(listing, 1)
    judge = make_user("moderator", is_staff=True)
    reviews.hide(actor=judge, review_id=made.pk, reason="It names a neighbour", now=timezone.now())
    path = f"/api/reviews/{made.pk}/"
    author = ApiClient(made.author)

    assert [ApiClient(user).get(path).status_code for user in (listing.host, make_user(), None)] == [404] * 3
    assert ApiClient().get(f"/api/properties/{listing.pk}/reviews/").json()["count"] == 0
    shown = author.get(path).json()
    assert (shown["status"], shown["hidden_reason"], shown["appeal"]) == (
        "hidden",
        "It names a neighbour",
        None,
    )
    appealed = author.post(f"{path}appeal/", {"reason": "I named nobody"})
    assert (appealed.status_code, appealed.json()["appeal"]) == (
        201,
        {
            "reason": "I named nobody",
            "created_at": "2027-05-08T09:00:00Z",
            "outcome": None,
            "decision": None,
            "decided_at": None,
        },
    )
    assert _code(author.post(f"{path}appeal/", {"reason": "Please"})) == (409, "already_appealed")
    reviews.decide_appeal(actor=judge, review_id=made.pk, granted=True, reason="Right", now=timezone.now())
    assert ApiClient().get(path).json()["appeal"] is None
    assert author.get(path).json()["appeal"]["outcome"] == "granted"


def test_those_who_are_gone_are_not_named():
    listing = make_listing()
    guests = [make_user(password=PASSWORD) for _ in range(3)]
    for number, guest in enumerate(guests):
        published(listing, 4, guest, stay=_week(number))
    admin = make_user("admin", is_staff=True)
    Review.objects.filter(about="property").update(private_note="")
    suspension.suspend(actor=admin, user=guests[1], reason="Fraud", now=timezone.now())
    erasure.erase(actor=admin, user=guests[2], reason="Asked for it", now=timezone.now())

    shown = ApiClient().get(f"/api/properties/{listing.pk}/reviews/").json()["results"]

    nobody = {"id": None, "first_name": ""}
    assert [row["author"] for row in shown] == [
        nobody,
        nobody,
        {"id": guests[0].pk, "first_name": guests[0].first_name},
    ]
    assert {row["comment"] for row in shown} == {"We would come again."}
    listing.refresh_from_db()
    assert (listing.rating, listing.review_count) == (4, 3)
    assert ApiClient(listing.host).get(f"/api/users/{guests[2].pk}/reviews/").status_code == 404


def test_withdrawn_place_keeps_its_reviews():
    listing = make_listing()
    made = published(listing, 4, stay=_week(0))
    assert ApiClient(listing.host).delete(f"/api/properties/{listing.pk}/").status_code == 204

    guest = ApiClient(made.author)

    assert guest.get(f"/api/properties/{listing.pk}/reviews/").status_code == 404
    assert guest.get(f"/api/reviews/{made.pk}/").json()["rating"] == 4
    assert [row["id"] for row in guest.get("/api/reviews/?about=by_me").json()["results"]] == [made.pk]
    assert ApiClient(listing.host).get("/api/reviews/").json()["count"] == 1
