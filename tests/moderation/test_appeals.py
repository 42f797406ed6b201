"""Appeals: once, in time, decided by somebody else; what is taken back is undone. And strikes, with what they lead to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.test import Client

from backend.core import platform
from backend.core.errors import Invalid, NotAllowed, NotFound
from backend.jobs.books import check_books
from backend.listings import services as listings
from backend.listings.models import Listing
from backend.messaging import services as messaging
from backend.moderation import appeals, letters, strikes
from backend.moderation import services as moderation
from backend.moderation.appeals import AppealMade, AppealTooLate, NothingToAppeal
from backend.moderation.models import Appeal, Case, Decision, Strike
from backend.moderation.strikes import HostBlocked
from tests.api.client import ApiClient
from tests.factories import NOW, make_listing, make_user
from tests.moderation.making import LATER, decide, rejected, told
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

LATEST = LATER + timedelta(days=1)


def broken() -> list[str]:
    return [found.check.name for found in check_books() if found.count]


def _appeal(decision: Decision, words: str = "Look again") -> Appeal:
    listing_id = decision.case.listing_id
    assert listing_id is not None
    return appeals.appeal_listing(actor=decision.person, listing_id=listing_id, words=words, now=LATEST)


def test_a_host_appeals_once_and_the_case_waits_again() -> None:
    decision = rejected()

    appeal = _appeal(decision)

    case = Case.objects.get()
    assert (appeal.status, case.status, case.assignee) == ("open", "appealed", None)
    with pytest.raises(AppealMade):
        _appeal(decision)
    assert Appeal.objects.count() == 1
    assert broken() == []


def test_appeals_at_once_are_one() -> None:
    decision = rejected()

    made = race(*[lambda: _appeal(decision)] * 4)

    assert sorted(type(each).__name__ for each in made) == ["Appeal", *["AppealMade"] * 3]
    assert Appeal.objects.count() == 1


def test_who_may_appeal_against_what_and_until_when() -> None:
    decision = rejected()
    listing = Listing.objects.get()

    with pytest.raises(NotFound):
        appeals.appeal_listing(actor=make_user(), listing_id=listing.pk, words="Why", now=LATEST)
    with pytest.raises(NotAllowed):
        appeals.appeal_listing(actor=make_user("moderator"), listing_id=listing.pk, words="Why", now=LATEST)
    with pytest.raises(Invalid):
        _appeal(decision, " ")
    with pytest.raises(Invalid):
        _appeal(decision, "x" * 2001)
    other = make_listing()
    with pytest.raises(NothingToAppeal):
        appeals.appeal_listing(actor=other.host, listing_id=other.pk, words="Why", now=LATEST)
    assert decision.appeal_until is not None
    with pytest.raises(AppealTooLate):
        appeals.appeal_listing(
            actor=decision.person,
            listing_id=listing.pk,
            words="Why",
            now=decision.appeal_until + timedelta(seconds=1),
        )

    assert (Appeal.objects.count(), Case.objects.get().status) == (0, "decided")


def test_how_long_one_may_appeal_is_a_setting() -> None:
    platform.put("appeal_days", 3)

    assert rejected().appeal_until == LATER + timedelta(days=3)


def test_somebody_else_than_the_decider_decides_and_a_granted_appeal_undoes() -> None:
    decider = make_user("moderator")
    listing = make_listing()
    report = moderation.report_listing(
        reporter=make_user(), listing_id=listing.pk, reason="inaccurate", details="", now=NOW
    )
    assert report.case_id is not None
    decision = decide(report.case_id, "reject", decider, code="inaccurate")
    _appeal(decision)
    with pytest.raises(NotAllowed):
        appeals.decide(actor=decider, case_id=report.case_id, granted=True, reason="Right", now=LATEST)
    assert Appeal.objects.get().status == "open"

    appeals.decide(
        actor=make_user("moderator"), case_id=report.case_id, granted=True, reason="Right", now=LATEST
    )

    listing.refresh_from_db()
    strike = Strike.objects.get()
    assert (listing.status, Appeal.objects.get().status, Case.objects.get().status) == (
        *("published", "reversed", "closed"),
    )
    assert (strike.removed_at, strikes.points(listing.host_id, LATEST)) == (LATEST, 0)
    assert told(listing.host)[-2:] == ["listing.approved", "appeal.decided"]
    assert broken() == []


def test_an_appeal_that_is_refused_leaves_all_as_it_is() -> None:
    decision = rejected()
    _appeal(decision)

    appeals.decide(
        actor=make_user("moderator"), case_id=decision.case_id, granted=False, reason="No", now=LATEST
    )

    assert (Listing.objects.get().status, Appeal.objects.get().status) == ("rejected", "upheld")
    assert strikes.points(decision.person_id, LATEST) == 1
    with pytest.raises(AppealMade):
        _appeal(decision)
    assert broken() == []


def test_a_paused_listing_comes_back_paused_and_one_that_moved_on_stays() -> None:
    paused, moved = make_listing(), make_listing()
    for listing in (paused, moved):
        report = moderation.report_listing(
            reporter=make_user(), listing_id=listing.pk, reason="inaccurate", details="", now=NOW
        )
        if listing is paused:
            listings.pause(actor=listing.host, listing=listing, now=NOW)
        assert report.case_id is not None
        decision = decide(report.case_id, "reject", code="inaccurate")
        _appeal(decision)
        if listing is moved:
            listings.publish(actor=listing.host, listing=listing, now=LATEST)
        appeals.decide(
            actor=make_user("moderator"), case_id=report.case_id, granted=True, reason="Right", now=LATEST
        )

    paused.refresh_from_db()
    moved.refresh_from_db()
    assert (paused.status, moved.status) == ("paused", "pending_review")


def test_who_is_suspended_appeals_by_the_link_of_the_letter_and_is_restored() -> None:
    person = make_user()
    report = moderation.report_user(
        reporter=make_user(), user_id=person.pk, reason="safety", details="", now=NOW
    )
    assert report.case_id is not None
    decision = decide(report.case_id, "suspend_person", code="unsafe")
    word = letters.link(decision.pk).rstrip("/").rpartition("/")[2]

    with pytest.raises(NotFound):
        appeals.appeal_by_link(word=f"{decision.pk}:forged", words="Why", now=LATEST)
    appeals.appeal_by_link(word=word, words="It was not me", now=LATEST)
    appeals.decide(
        actor=make_user("moderator"), case_id=report.case_id, granted=True, reason="Right", now=LATEST
    )

    person.refresh_from_db()
    assert (person.suspended_at, Appeal.objects.get().words) == (None, "It was not me")
    assert told(person) == ["account.suspended", "appeal.decided"]
    assert broken() == []


def test_a_message_is_shown_again() -> None:
    guest, listing = make_user(), make_listing()
    conversation, _new = messaging.open_conversation(guest=guest, listing_id=listing.pk, now=NOW)
    message, _sent = messaging.send(sender=guest, conversation_id=conversation.pk, body="Words", now=NOW)
    report = moderation.report_message(
        reporter=listing.host, message_id=message.pk, reason="inappropriate", details="", now=NOW
    )
    assert report.case_id is not None
    decision = decide(report.case_id, "hide", code="harassment")
    word = letters.link(decision.pk).rstrip("/").rpartition("/")[2]
    appeals.appeal_by_link(word=word, words="A joke", now=LATEST)

    appeals.decide(
        actor=make_user("moderator"), case_id=report.case_id, granted=True, reason="Right", now=LATEST
    )

    message.refresh_from_db()
    assert message.hidden_at is None


def test_the_database_lets_nobody_decide_about_their_own_decision() -> None:
    decision = rejected()
    appeal = _appeal(decision)

    with pytest.raises(IntegrityError), transaction.atomic():
        Appeal.objects.filter(pk=appeal.pk).update(
            status="reversed", decided_by=decision.decided_by_id, decided_at=LATEST
        )


def test_points_add_up_expire_and_warn() -> None:
    host = make_user()
    platform.put("strikes_warn", 2)
    rejected(host)
    assert told(host) == ["listing.rejected", "strike.added"]

    rejected(host)

    assert strikes.points(host.pk, LATER) == 2
    assert told(host)[2:] == ["listing.rejected", "strike.warning"]
    Strike.objects.order_by("pk")[0].delete()
    assert strikes.points(host.pk, LATER) == 1
    assert strikes.points(host.pk, LATER + timedelta(days=platform.get("strikes_expire_days"))) == 0


def test_how_long_strikes_count_is_a_setting() -> None:
    platform.put("strikes_expire_days", 7)
    host = make_user()
    rejected(host)

    assert Strike.objects.filter(expires_at=F("created_at") + timedelta(days=7)).count() == 1


def test_too_many_points_stop_offers_and_pause_what_is_offered_until_one_is_taken_back() -> None:
    host = make_user()
    platform.put("strikes_block_listings", 2)
    offered = make_listing(host)
    rejected(host)
    decision = rejected(host)

    offered.refresh_from_db()
    assert (offered.status, Strike.objects.order_by("-pk")[0].paused) == ("paused", [offered.pk])
    with pytest.raises(HostBlocked):
        listings.publish(actor=host, listing=offered, now=LATER)
    with pytest.raises(HostBlocked):
        listings.create(
            actor=host,
            now=LATER,
            title="Another",
            description="Two rooms",
            price=100,
            location="Lisbon",
            availability=True,
        )
    assert Listing.objects.filter(host=host).count() == 3
    assert told(host)[-1] == "host.blocked"

    _appeal(decision)
    appeals.decide(
        actor=make_user("moderator"), case_id=decision.case_id, granted=True, reason="Right", now=LATEST
    )

    offered.refresh_from_db()
    assert offered.status == "published"
    assert broken() == []


def test_nobody_is_suspended_by_a_sum_but_the_moderators_are_asked() -> None:
    host = make_user()
    platform.put("strikes_propose_suspension", 2)
    rejected(host)
    assert not Case.objects.filter(user=host).exists()

    rejected(host)

    host.refresh_from_db()
    case = Case.objects.get(user=host)
    assert (host.suspended_at, case.status, case.priority) == (None, "open", Case.Priority.HIGH)


def test_the_host_reads_the_decision_in_their_language_and_appeals_over_http() -> None:
    decision = rejected(words="Other pictures")
    host, listing = decision.person, Listing.objects.get()
    client = ApiClient(host)

    shown = client.get(f"/api/properties/{listing.pk}/").json()["moderation"]
    assert (shown["decision"], shown["reason_code"], shown["words"]) == (
        *("reject", "inaccurate", "Other pictures"),
    )
    assert (shown["reason"], shown["appeal"]) == ("What is said or shown does not match the place.", None)
    # The clock of the machine is before the one of the test, so there is time left.
    answer = client.post(f"/api/properties/{listing.pk}/appeal/", {"words": "Look again"})
    again = client.post(f"/api/properties/{listing.pk}/appeal/", {"words": "Look again"})

    assert (answer.status_code, answer.json()["status"]) == (201, "open")
    assert (again.status_code, again.json()["code"]) == (409, "already_appealed")
    shown = client.get(f"/api/properties/{listing.pk}/").json()
    assert (shown["moderation"]["can_appeal"], shown["moderation"]["appeal"]["status"]) == (False, "open")
    put = client.patch(f"/api/properties/{listing.pk}/", {"moderation": shown["moderation"]})
    assert put.status_code == 200


def test_appealing_by_token_needs_no_sign_in_and_a_right_one() -> None:
    decision = rejected()
    word = letters.link(decision.pk).rstrip("/").rpartition("/")[2]
    nobody = ApiClient()

    forged = nobody.post("/api/appeals/", {"token": f"{decision.pk}:forged", "words": "Why"})
    unknown = nobody.post("/api/appeals/", {"token": word, "words": "Why", "more": 1})
    made = nobody.post("/api/appeals/", {"token": word, "words": "Why"})

    assert (forged.status_code, unknown.status_code, made.status_code) == (404, 422, 201)
    assert Appeal.objects.get().person == decision.person


def test_the_page_behind_the_link_shows_the_decision_and_takes_the_appeal() -> None:
    decision = rejected(words="<script>alert(1)</script>")
    decision.person.profile.language = "ar"
    decision.person.profile.save()
    path, browser = letters.link(decision.pk), Client()

    page = browser.get(path)
    empty = browser.post(path, {"words": " "})
    done = browser.post(path, {"words": "Look again"})
    late = browser.get(path)

    text = page.content.decode()
    assert ("<form" in empty.content.decode(), "<form" in done.content.decode()) == (True, False)
    assert (page.status_code, 'dir="rtl"' in text, "<script>" in text) == (200, True, False)
    assert (empty.status_code, done.status_code, late.status_code) == (200, 200, 200)
    assert ("<form" in text, "<form" in late.content.decode()) == (True, False)
    assert Appeal.objects.get().words == "Look again"
    assert browser.get("/api/appeals/1:forged/").status_code == 404
