"""Conversations and messages over the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.bookings.models import Inquiry
from backend.core import platform
from backend.messaging import blocking
from backend.messaging import services as messaging
from backend.messaging.models import Conversation, Message
from tests.api.client import ApiClient
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing, make_user
from tests.messaging.making import make_cohost, say, talk

pytestmark = pytest.mark.usefixtures("db")

CONVERSATION = {
    *("id", "property_id", "property", "booking_id", "participants", "last_message", "unread_count"),
    *("archived", "contact_open", "created_at", "updated_at"),
}
MESSAGE = {
    *("id", "conversation_id", "seq", "sender", "kind", "body", "event", "masked", "hidden"),
    *("attachments", "created_at", "read_at"),
}


def _queries(client: ApiClient, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


def test_a_conversation_from_the_first_word_to_the_last() -> None:
    listing, ana = make_listing(make_user(first_name="Hugo")), make_user(first_name="Ana")
    guest, host = ApiClient(ana), ApiClient(listing.host)

    made = guest.post("/api/conversations/", {"property_id": listing.pk, "body": "Is it quiet?"})

    assert made.status_code == 201
    row = made.json()
    assert set(row) == CONVERSATION
    assert (row["property_id"], row["property"], row["booking_id"]) == (listing.pk, listing.title, None)
    assert row["participants"] == [
        {"id": ana.pk, "first_name": "Ana", "role": "guest"},
        {"id": listing.host_id, "first_name": "Hugo", "role": "host"},
    ]
    assert row["unread_count"] == 0
    assert set(row["last_message"]) - {"client_id"} == MESSAGE
    again = guest.post("/api/conversations/", {"property_id": listing.pk, "body": "And warm?"})
    assert (again.status_code, again.json()["id"]) == (200, row["id"])

    path = f"/api/conversations/{row['id']}/"
    assert host.get(path).json()["unread_count"] == 2
    answer = host.post(f"{path}messages/", {"body": "Yes, very.", "client_id": "h-1"})
    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in ("seq", "kind", "body", "client_id", "read_at")} == {
        "seq": 3,
        "kind": "text",
        "body": "Yes, very.",
        "client_id": "h-1",
        "read_at": None,
    }
    repeated = host.post(f"{path}messages/", {"body": "Other words", "client_id": "h-1"})
    assert (repeated.status_code, repeated.json()) == (200, answer.json())
    # Answering is not reading, and one's own messages are never unread.
    assert host.get(path).json()["unread_count"] == 2
    assert guest.get(path).json()["unread_count"] == 1
    assert guest.post(f"{path}read/").status_code == 204
    assert guest.get(path).json()["unread_count"] == 0

    seen = host.get(f"{path}messages/").json()
    assert (seen["count"], seen["count_is_exact"], seen["next"], seen["previous"]) == (3, True, None, None)
    assert [(each["seq"], each["body"]) for each in seen["results"]] == [
        (3, "Yes, very."),
        (2, "And warm?"),
        (1, "Is it quiet?"),
    ]
    assert [each["read_at"] is None for each in seen["results"]] == [False, True, True]
    theirs = guest.get(f"{path}messages/").json()["results"]
    assert [each.get("client_id") for each in theirs] == [None, None, None]


def test_start_with_dates_asks_the_host_too() -> None:
    listing = make_listing()
    guest = ApiClient(make_user())
    first = (timezone.now() + timedelta(days=60)).date()
    dates = {"check_in": f"{first}", "check_out": f"{first + timedelta(days=3)}", "guests": 2}
    path, body = "/api/conversations/", {"property_id": listing.pk, "body": "Is it free?"}

    half = guest.post(path, {**body, "check_in": f"{first}"})
    assert (half.status_code, half.json()["errors"][0]["field"]) == (422, "check_out")
    backwards = guest.post(path, {**body, "check_in": dates["check_out"], "check_out": dates["check_in"]})
    assert backwards.status_code == 422
    crowd = guest.post(path, {**body, **dates, "guests": 9})
    assert (crowd.status_code, crowd.json()["code"]) == (422, "too_many_guests")
    assert not Conversation.objects.exists()
    made = guest.post(path, {**body, **dates})
    more = guest.post(path, {**body, **dates, "body": "Hello?"})

    assert (made.status_code, more.status_code) == (201, 200)
    assert made.json()["id"] == more.json()["id"]
    assert [row.message for row in Inquiry.objects.all()] == ["Is it free?"]
    assert [row["kind"] for row in guest.get(f"{path}{made.json()['id']}/messages/").json()["results"]] == [
        *("text", "text", "system"),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "blank"),
        (" \n ", "blank"),
        ("a\x00b", "invalid_text"),
        ("x" * 5001, "too_long"),
    ],
)
def test_bodies_that_are_refused_leave_nothing(body: str, code: str) -> None:
    conversation = talk()
    guest = ApiClient(conversation.guest)

    for path, sent in (
        ("/api/conversations/", {"property_id": conversation.listing_id, "body": body}),
        (f"/api/conversations/{conversation.pk}/messages/", {"body": body}),
    ):
        refused = guest.post(path, sent)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body")
        assert refused.json()["errors"][0]["code"] == code
    assert Message.objects.count() == 1
    assert (
        guest.post(f"/api/conversations/{conversation.pk}/messages/", {"body": "x" * 5000}).status_code == 201
    )


def test_a_stranger_hears_the_same_as_of_what_is_not_there() -> None:
    conversation = talk()
    stranger, nobody = ApiClient(make_user()), ApiClient()

    for method, end, body in (
        ("GET", "", None),
        ("PATCH", "", {"archived": True}),
        ("GET", "messages/", None),
        ("POST", "messages/", {"body": "Hello"}),
        ("POST", "read/", None),
    ):
        path = f"/api/conversations/{conversation.pk}/{end}"
        foreign = stranger.request(method, path, body)
        missing = stranger.request(method, path.replace(str(conversation.pk), "987654321"), body)
        assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
        assert missing.status_code == 404
        assert nobody.request(method, path, body).status_code == 401
    assert stranger.get("/api/conversations/").json()["results"] == []
    assert Message.objects.count() == 1


def test_who_may_not_be_written_to() -> None:
    listing = make_listing()
    hidden = make_listing(status="draft", published_at=None)
    guest, host = ApiClient(make_user()), ApiClient(listing.host)

    own = host.post("/api/conversations/", {"property_id": listing.pk, "body": "Hello me"})
    assert (own.status_code, own.json()["code"]) == (403, "own_property")
    for missing in (hidden.pk, 987654321):
        answer = guest.post("/api/conversations/", {"property_id": missing, "body": "Hello"})
        assert answer.status_code == 404
    conversation = talk(listing, guest.user)
    blocking.block(actor=listing.host, user_id=conversation.guest_id, now=NOW)
    for client in (guest, host):
        answer = client.post(f"/api/conversations/{conversation.pk}/messages/", {"body": "Hello"})
        assert (answer.status_code, answer.json()["code"]) == (403, "blocked")
        assert client.get(f"/api/conversations/{conversation.pk}/").status_code == 200
    assert Message.objects.count() == 1


def test_paused_listing_keeps_its_conversations() -> None:
    conversation = talk()
    listing = conversation.listing
    listing.status = "paused"
    listing.save(update_fields=["status"])

    answer = ApiClient(conversation.guest).post(
        "/api/conversations/", {"property_id": listing.pk, "body": "Still there?"}
    )

    assert (answer.status_code, answer.json()["id"]) == (200, conversation.pk)


def test_erased_host_is_read_and_not_written_to() -> None:
    conversation = talk()
    host = conversation.listing.host
    host.erased_at, host.is_active = NOW, False
    host.save(update_fields=["erased_at", "is_active"])
    guest = ApiClient(conversation.guest)
    path = f"/api/conversations/{conversation.pk}/messages/"

    answer = guest.post(path, {"body": "Hello?"})

    assert (answer.status_code, answer.json()["code"]) == (409, "user_erased")
    assert [row["body"] for row in guest.get(path).json()["results"]] == ["Is it quiet?"]


def test_messages_page_backwards_and_forwards() -> None:
    conversation = talk()
    for number in range(44):
        say(conversation.guest, conversation, f"Number {number}") if number < 24 else say(
            conversation.listing.host, conversation, f"Number {number}"
        )
    client = ApiClient(conversation.guest)
    path = f"/api/conversations/{conversation.pk}/messages/"

    def seqs(url: str) -> tuple[list[int], dict[str, Any]]:
        found = client.get(url).json()
        return [row["seq"] for row in found["results"]], found

    first, page = seqs(path)
    assert first == list(range(45, 25, -1))
    assert (page["count"], page["previous"]) == (45, None)
    second, page = seqs(page["next"])
    assert second == list(range(25, 5, -1))
    third, last = seqs(page["next"])
    assert (third, last["next"]) == (list(range(5, 0, -1)), None)
    assert seqs(last["previous"])[0] == second
    missed, page = seqs(f"{path}?after_seq=20")
    assert missed == list(range(21, 41))
    assert seqs(page["next"])[0] == list(range(41, 46))
    assert seqs(f"{path}?before_seq=3")[0] == [2, 1]
    assert seqs(f"{path}?after_seq=45")[0] == []
    for wrong in ("after_seq=-1", "before_seq=x", "page_size=0", "colour=red"):
        assert client.get(f"{path}?{wrong}").status_code == 422


def test_list_shows_each_party_theirs_and_filters() -> None:
    listing = make_listing()
    first, second = talk(listing, body="One"), talk(listing, body="Two")
    host = ApiClient(listing.host)
    other = talk(guest=listing.host, body="As a guest")
    messaging.mark_read(reader=listing.host, conversation_id=first.pk, now=NOW)

    def ids(query: str = "") -> list[int]:
        return [row["id"] for row in host.get(f"/api/conversations/{query}").json()["results"]]

    assert ids() == [other.pk, second.pk, first.pk]
    assert ids("?as=host") == [second.pk, first.pk]
    assert ids("?as=guest") == [other.pk]
    assert ids("?unread=true") == [second.pk]
    assert ids("?unread=false") == [other.pk, first.pk]
    assert ids(f"?property_id={listing.pk}") == [second.pk, first.pk]
    put = host.patch(f"/api/conversations/{second.pk}/", {"archived": True})
    assert (put.status_code, put.json()["archived"]) == (200, True)
    assert ids("?as=host") == [first.pk]
    assert ids("?archived=true") == [second.pk]
    assert ApiClient(second.guest).get("/api/conversations/?archived=true").json()["count"] == 0
    say(second.guest, second, "Hello?")
    assert ids("?archived=true") == []
    back = host.patch(f"/api/conversations/{second.pk}/", {"archived": False})
    assert (back.status_code, back.json()["archived"]) == (200, False)


def test_patch_takes_no_stale_version() -> None:
    conversation = talk()
    client, path = ApiClient(conversation.guest), f"/api/conversations/{conversation.pk}/"
    tag = client.get(path)["ETag"]
    assert client.get(path, if_none_match=tag).status_code == 304

    say(conversation.listing.host, conversation)

    assert client.patch(path, {"archived": True}, if_match=tag).status_code == 412
    assert client.get(path).json()["archived"] is False
    assert client.patch(path, {"archived": True}, if_match=client.get(path)["ETag"]).status_code == 200


def test_system_messages_are_in_the_readers_language_and_never_unread() -> None:
    booking = confirmed(make_listing())
    client, path = ApiClient(booking.guest), f"/api/conversations/{booking.conversation_id}/"

    row = client.get(path, accept_language="en").json()
    assert (row["unread_count"], row["booking_id"], row["contact_open"]) == (0, booking.pk, True)
    last = row["last_message"]
    assert {name: last[name] for name in ("kind", "event", "sender", "attachments")} == {
        "kind": "system",
        "event": "booking.confirmed",
        "sender": None,
        "attachments": [],
    }
    assert last["body"].startswith("Booking confirmed: May 3, 2027 to May 7, 2027")
    assert client.get(f"/api/bookings/{booking.pk}/").json()["conversation_id"] == booking.conversation_id
    assert "params" not in last


def test_cohost_by_grant_reads_and_writes_for_the_host() -> None:
    conversation = talk()
    listing = conversation.listing
    keeper = make_cohost(listing, "messages")
    other = make_cohost(listing, "calendar", "bookings")
    path = f"/api/conversations/{conversation.pk}/"
    client = ApiClient(keeper)

    assert ApiClient(other).get(path).status_code == 404
    seen = client.get(path).json()
    assert seen["participants"][2:] == [{"id": keeper.pk, "first_name": keeper.first_name, "role": "cohost"}]
    assert seen["unread_count"] == 1
    assert client.post(f"{path}read/", {"up_to": 1}).status_code == 204
    assert Message.objects.get(seq=1).read_at is not None
    assert client.post(f"{path}messages/", {"body": "It is."}).status_code == 201

    row = listing.cohosts.get(user=keeper)
    assert (
        ApiClient(listing.host).delete(f"/api/properties/{listing.pk}/cohosts/{row.pk}/").status_code == 204
    )
    assert client.get(path).status_code == 404
    assert client.post(f"{path}messages/", {"body": "Still here"}).status_code == 404
    assert Message.objects.count() == 2


def test_messages_a_minute_are_limited() -> None:
    platform.put("limit_messages_user", 3)
    platform.put("limit_messages_new_user", 3)
    conversation = talk()
    client, path = ApiClient(conversation.guest), f"/api/conversations/{conversation.pk}/messages/"

    answers = [client.post(path, {"body": "Hello"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert (answers[2].json()["code"], "Retry-After" in answers[2]) == ("rate_limited", True)
    assert Message.objects.count() == 3


def test_new_conversations_a_day_are_limited_and_old_ones_are_not() -> None:
    platform.put("limit_conversations_user", 1)
    platform.put("limit_conversations_new_user", 1)
    guest, listing = make_user(), make_listing()
    client = ApiClient(guest)
    body = {"property_id": listing.pk, "body": "Hello"}

    assert client.post("/api/conversations/", body).status_code == 201
    other = client.post("/api/conversations/", {**body, "property_id": make_listing().pk})
    assert (other.status_code, other.json()["code"]) == (429, "rate_limited")
    assert client.post("/api/conversations/", body).status_code == 200
    assert Conversation.objects.count() == 1


def test_lists_take_a_fixed_number_of_queries() -> None:
    listing = make_listing()
    keeper = make_cohost(listing, "messages")
    conversation = talk(listing)
    client = ApiClient(keeper)
    paths = ("/api/conversations/", f"/api/conversations/{conversation.pk}/messages/")
    for path in paths:
        client.get(path)

    one = [_queries(client, path) for path in paths]
    for _ in range(2):
        talk(listing)
        say(conversation.guest, conversation)
    three = [_queries(client, path) for path in paths]

    assert one == three == [7, 5]


def test_blocks_are_listed_made_once_and_taken_back() -> None:
    ana, bea = make_user(), make_user(first_name="Bea")
    client = ApiClient(ana)

    made = client.post("/api/blocks/", {"user_id": bea.pk})
    again = client.post("/api/blocks/", {"user_id": bea.pk})
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json()
    assert {name: made.json()[name] for name in ("user_id", "first_name")} == {
        "user_id": bea.pk,
        "first_name": "Bea",
    }
    assert client.get("/api/blocks/").json()["results"] == [made.json()]
    assert ApiClient(bea).get("/api/blocks/").json()["results"] == []
    myself = client.post("/api/blocks/", {"user_id": ana.pk})
    assert (myself.status_code, myself.json()["errors"][0]["code"]) == (422, "own_account")
    assert client.post("/api/blocks/", {"user_id": 987654321}).status_code == 404
    assert ApiClient(bea).delete(f"/api/blocks/{bea.pk}/").status_code == 404
    assert client.delete(f"/api/blocks/{bea.pk}/").status_code == 204
    assert client.delete(f"/api/blocks/{bea.pk}/").status_code == 404
    assert client.get("/api/blocks/").json()["results"] == []
