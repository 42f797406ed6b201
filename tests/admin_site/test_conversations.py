"""Conversations in the back office: who talks with whom, and the words for a reason alone."""

from __future__ import annotations

import pytest
from django.urls import reverse

from backend.audit.models import AuditEntry
from backend.messaging import services as messaging
from backend.messaging.models import Conversation, Message
from backend.moderation.models import Report
from tests.admin_site.test_masking import reveal
from tests.admin_site.world import signed_in, staff
from tests.bookings.making import book
from tests.factories import NOW, make_listing
from tests.messaging.making import say

pytestmark = pytest.mark.usefixtures("db")

LIST = "admin:messaging_conversation_changelist"


def _conversation() -> Conversation:
    booking = book(make_listing(title="Flat of zebras"), message="A zebra <b>word</b>")
    conversation = Conversation.objects.get(pk=booking.conversation_id)
    say(conversation.host, conversation, "Something rude")
    return conversation


@pytest.mark.parametrize("role", ["support", "moderator", "admin"])
def test_words_stand_on_no_page_and_are_shown_for_a_reason(role: str) -> None:
    conversation = _conversation()
    actor = staff(role)
    client = signed_in(actor)

    for address in (
        reverse(LIST),
        reverse("admin:messaging_conversation_change", args=(conversation.pk,)),
    ):
        shown = client.get(address)
        assert shown.status_code == 200
        assert "Flat of zebras" in shown.content.decode()
        assert "rude" not in shown.content.decode()
    without = reveal(client, conversation, " ").content.decode()
    assert "rude" not in without
    assert not AuditEntry.objects.filter(action="conversation.revealed").exists()

    words = reveal(client, conversation, "Report 4711").content.decode()

    for part in ("Something rude", "A zebra &lt;b&gt;word&lt;/b&gt;", "Booking: May 3"):
        assert part in words
    assert words.index("Booking:") < words.index("A zebra") < words.index("Something rude")
    entry = AuditEntry.objects.get(action="conversation.revealed")
    assert (entry.actor_id, entry.object_id, entry.reason) == (actor.pk, str(conversation.pk), "Report 4711")


def test_staff_do_not_look_at_their_own() -> None:
    conversation = _conversation()
    Conversation.objects.filter(pk=conversation.pk).update(guest=staff("support", username="both"))
    conversation.refresh_from_db()

    answer = reveal(signed_in(conversation.guest), conversation, "Curious")

    assert answer.status_code == 403
    assert not AuditEntry.objects.filter(action="conversation.revealed").exists()


def test_finance_sees_no_conversations() -> None:
    conversation = _conversation()
    client = signed_in(staff("finance"))

    assert client.get(reverse(LIST)).status_code == 403
    assert reveal(client, conversation, "Curious").status_code == 403


def test_list_finds_those_with_reports_and_hidden_words_are_marked() -> None:
    first, second = _conversation(), _conversation()
    rude = Message.objects.get(conversation=second, body="Something rude")
    Report.objects.create(reporter=second.guest, reason="inappropriate", message=rude, created_at=NOW)
    client = signed_in(staff("moderator"))

    def found(query: str) -> list[bool]:
        page = client.get(f"{reverse(LIST)}{query}").content.decode()
        return [
            reverse("admin:messaging_conversation_change", args=(row.pk,)) in page for row in (first, second)
        ]

    assert found("") == [True, True]
    assert found("?reported=1") == [False, True]
    Report.objects.update(status="dismissed", decided_at=NOW)
    assert found("?reported=1") == [False, False]
    assert found("?reported=any") == [False, True]
    messaging.hide_message(actor=staff("admin"), message_id=rude.pk, reason="Rude", now=NOW)
    assert (
        f"{second.host.get_short_name()} · hidden" in reveal(client, second, "Report 4711").content.decode()
    )


def test_search_finds_by_number_and_by_whoever_takes_part() -> None:
    first, second = _conversation(), _conversation()
    client = signed_in(staff("moderator"))

    def found(term: str) -> list[int]:
        return sorted(row.pk for row in client.get(reverse(LIST), {"q": term}).context["cl"].result_list)

    # A number may be that of another one's listing.
    by_number = {row.pk for row in (first, second) if second.pk in (row.pk, row.listing_id)}
    assert found(str(second.pk)) == sorted(by_number)
    assert found(first.guest.username.upper()) == [first.pk]
    assert found(second.host.email) == [second.pk]
    assert found("nobody at all") == []
    assert found("9" * 30) == []
