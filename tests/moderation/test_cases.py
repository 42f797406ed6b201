"""Cases: gathered, taken, decided once; with what follows for listing, reports, letters and books."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils.translation import override

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.core import platform
from backend.core.errors import Invalid, NotAllowed, Stale, WrongState
from backend.jobs.books import check_books
from backend.listings import services as listings
from backend.listings.models import Listing
from backend.messaging import services as messaging
from backend.moderation import cases, deciding, letters, looking
from backend.moderation.cases import Taken
from backend.moderation.models import Case, Decision, Report, Strike
from backend.notifications.models import Notification
from backend.notifications.rendering import render
from backend.privacy import retention
from tests.factories import NOW, make_listing, make_user
from tests.moderation.making import LATER, decide, rejected, reported, told, waiting
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


def broken() -> list[str]:
    return [found.check.name for found in check_books() if found.count]


def test_reports_of_one_thing_are_one_case_that_is_due_as_its_most_urgent_report_says() -> None:
    listing = make_listing()
    first = reported(listing)
    second = reported(listing, reason="safety")
    other = reported(make_listing())

    assert first.case_id == second.case_id != other.case_id
    case = Case.objects.get(pk=first.case_id)
    assert (case.status, case.person, case.priority) == ("open", listing.host, Case.Priority.URGENT)
    assert case.due_at == NOW + timedelta(hours=platform.get("moderation_urgent_hours"))
    assert Case.objects.get(pk=other.case_id).due_at == NOW + timedelta(
        hours=platform.get("moderation_hours")
    )


def test_first_reports_at_once_make_one_case() -> None:
    listing = make_listing()

    made = race(*[lambda: reported(listing)] * 5)

    assert [type(each).__name__ for each in made] == ["Report"] * 5
    assert Case.objects.count() == 1
    assert {each.case_id for each in made} == {Case.objects.get().pk}


def test_how_fast_cases_are_due_is_a_setting() -> None:
    platform.put("moderation_hours", 10)
    platform.put("moderation_urgent_hours", 2)

    assert [cases.due(priority, NOW) - NOW for priority in (0, 1, 2, 3)] == [
        *(timedelta(hours=20), timedelta(hours=10), timedelta(hours=5), timedelta(hours=2)),
    ]


def test_a_taken_case_is_decided_by_nobody_else_until_it_is_given_back() -> None:
    _listing, case = waiting()
    one, other = make_user("moderator"), make_user("moderator")
    cases.take(actor=one, case_id=case.pk, now=NOW)

    with pytest.raises(Taken):
        cases.take(actor=other, case_id=case.pk, now=NOW)
    with pytest.raises(Taken):
        decide(case, "approve", other)
    with pytest.raises(Taken):
        cases.give_back(actor=other, case_id=case.pk, now=NOW)
    assert Decision.objects.count() == 0
    cases.give_back(actor=one, case_id=case.pk, now=NOW)
    decide(case, "approve", other)

    assert list(
        AuditEntry.objects.filter(object_type="case").order_by("pk").values_list("action", flat=True)
    ) == [
        *("case.take", "case.give_back", "case.decide"),
    ]


def test_two_who_take_a_case_at_once_are_told_apart() -> None:
    _listing, case = waiting()
    people = [make_user("moderator") for _ in range(4)]

    taken = race(*[lambda actor=actor: cases.take(actor=actor, case_id=case.pk, now=NOW) for actor in people])

    assert sorted(type(each).__name__ for each in taken) == ["Case", *["Taken"] * 3]


def test_two_who_decide_at_once_decide_once() -> None:
    listing, case = waiting()
    one, other = make_user("moderator"), make_user("moderator")

    decided = race(lambda: decide(case, "approve", one), lambda: decide(case, "reject", other, code="photos"))

    assert sorted(type(each).__name__ for each in decided) == ["Decision", "WrongState"]
    assert Decision.objects.count() == 1
    listing.refresh_from_db()
    assert listing.status == {"approve": "published", "reject": "rejected"}[Decision.objects.get().action]
    assert broken() == []


def test_who_saw_an_older_case_decides_nothing() -> None:
    listing, case = waiting()
    decide(case, "changes", code="photos")

    with pytest.raises(Stale):
        decide(case, "reject", code="fraud", version=case.version)

    listing.refresh_from_db()
    assert listing.status == "draft"


def test_approving_publishes_and_tells_the_host_and_those_who_reported() -> None:
    listing, case = waiting()
    reporter = make_user("moderator")
    # Only staff see what waits.
    report = reported(listing, reporter)

    decision = decide(case, "approve", words="Looks right")

    listing.refresh_from_db()
    case.refresh_from_db()
    report.refresh_from_db()
    assert (listing.status, case.status, report.status) == ("published", "decided", "dismissed")
    assert (decision.before, decision.appeal_until, decision.snapshot["title"]) == (
        *("pending_review", None, listing.title),
    )
    assert (told(listing.host), told(reporter)) == (["listing.approved"], ["report.decided"])
    assert broken() == []


def test_changes_wait_for_the_host_and_come_back_with_what_is_different() -> None:
    listing, case = waiting(description="Two rooms.")
    decide(case, "changes", code="incomplete", words="How large is it?")

    case.refresh_from_db()
    listing.refresh_from_db()
    assert (case.status, listing.status) == ("waiting_for_host", "draft")
    assert listing.status_reason == "The description says too little to decide on a stay. How large is it?"
    assert told(listing.host) == ["listing.changes_requested"]

    changes = {"description": "Two rooms of 40 square metres.", "availability": True}
    listings.update(actor=listing.host, listing=listing, changes=changes, now=LATER)
    looking.sweep(now=LATER + timedelta(minutes=1))

    case.refresh_from_db()
    listing.refresh_from_db()
    assert (listing.status, case.status) == ("pending_review", "open")
    assert case.resubmitted_at == LATER + timedelta(minutes=1)
    decide(case, "approve")
    assert Case.objects.count() == 1
    assert list(Decision.objects.order_by("pk").values_list("action", flat=True)) == ["changes", "approve"]
    assert broken() == []


def test_changes_are_looked_at_again_although_the_platform_demands_no_approval() -> None:
    listing = make_listing()
    case_id = reported(listing).case_id
    assert case_id is not None
    decide(case_id, "changes", code="inaccurate")
    listing.refresh_from_db()

    again = listings.publish(actor=listing.host, listing=listing, now=LATER)

    assert (listing.published_at is not None, again.status) == (True, "pending_review")


def test_rejecting_upholds_what_is_reported_counts_and_can_be_appealed() -> None:
    listing = make_listing()
    report = reported(listing)
    assert report.case_id is not None

    decision = decide(report.case_id, "reject", code="inaccurate", words="Other pictures")

    listing.refresh_from_db()
    report.refresh_from_db()
    assert (listing.status, report.status, report.step) == ("rejected", "upheld", "hide")
    assert decision.appeal_until == LATER + timedelta(days=platform.get("appeal_days"))
    strike = Strike.objects.get()
    assert (strike.person, strike.points, strike.decision) == (listing.host, 1, decision)
    assert strike.expires_at == LATER + timedelta(days=platform.get("strikes_expire_days"))
    assert told(listing.host) == ["listing.rejected", "strike.added"]
    assert broken() == []


def test_a_flag_is_a_step_and_a_suspension_ends_the_case() -> None:
    listing = make_listing()
    case_id = reported(listing).case_id
    assert case_id is not None
    decide(case_id, "flag", words="Looking")
    assert Case.objects.get().status == "open"

    decide(case_id, "suspend", code="unsafe")

    listing.refresh_from_db()
    assert (listing.status, Case.objects.get().status) == ("flagged", "decided")
    assert listing.status_reason == "It is not safe for guests or others as it is."
    assert told(listing.host) == ["listing.flagged", "listing.suspended", "strike.warning"]
    assert broken() == []


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("hide", {"code": "other", "words": "No"}),
        ("reject", {}),
        ("reject", {"code": "boring"}),
        ("reject", {"code": "other"}),
        ("dismiss", {}),
        ("reject", {"code": "fraud", "words": "x" * 501}),
    ],
)
def test_decide_refuses_what_says_too_little(action: str, said: dict[str, Any]) -> None:
    listing, case = waiting()

    with pytest.raises(Invalid):
        decide(case, action, **said)

    case.refresh_from_db()
    listing.refresh_from_db()
    assert (case.status, listing.status, Decision.objects.count()) == ("open", "pending_review", 0)


def test_nobody_decides_about_their_own_or_what_they_reported() -> None:
    host = make_user("moderator", "host")
    reporter = make_user("moderator")
    report = reported(make_listing(host), reporter)
    assert report.case_id is not None

    for actor in (host, reporter, make_user("support"), make_user("finance"), make_user()):
        with pytest.raises(NotAllowed):
            decide(report.case_id, "reject", actor, code="fraud")

    assert (Decision.objects.count(), Listing.objects.get().status) == (0, "published")


def test_when_the_operation_refuses_nothing_is_decided() -> None:
    _listing, case = waiting()
    Listing.objects.filter(pk=case.listing_id).update(status="published")
    before = AuditEntry.objects.count()

    with pytest.raises(WrongState):
        decide(case, "approve")

    assert (Decision.objects.count(), AuditEntry.objects.count()) == (0, before)
    case.refresh_from_db()
    assert case.status == "open"


def test_suspending_shuts_the_person_out_with_a_letter_that_says_where_to_appeal() -> None:
    person = make_user()
    person.profile.language = "fr"
    person.profile.save()
    case = _about(person)

    decision = decide(case, "suspend_person", code="harassment", words="Trois fois.")

    person.refresh_from_db()
    assert person.suspended_at == LATER
    notice = Notification.objects.get(user=person)
    assert (notice.kind, notice.params["appeal"]) == ("account.suspended", letters.link(decision.pk))
    assert letters.decision_of(letters.link(decision.pk).rstrip("/").rpartition("/")[2]) == decision.pk
    facts = letters.facts(notice, "en")
    assert facts is not None
    assert [words for words, _value in facts.rows] == ["You may appeal until", "Appeal here"]


def test_a_letter_is_written_in_its_readers_language_whoever_looks_at_it() -> None:
    listing, case = waiting()
    listing.host.profile.language = "ar"
    listing.host.profile.save()
    decide(case, "changes", code="photos", words="La cuisine")
    notice = Notification.objects.get(user=listing.host)

    with override("fr"):
        found = Case.objects.select_related("listing", "person__profile").get(pk=case.pk)
        shown = letters.preview(found, "changes", "photos", "La cuisine", appeal_until=None, now=NOW)

    assert shown is not None
    assert (shown["code"], shown["direction"]) == ("ar", "rtl")
    assert shown["subject"] == render(notice, "ar")[0]
    assert render(notice, "ar")[1] in shown["body"]


def test_hiding_a_message_tells_its_sender() -> None:
    guest, listing = make_user(), make_listing()
    conversation, _new = messaging.open_conversation(guest=guest, listing_id=listing.pk, now=NOW)
    message, _sent = messaging.send(sender=guest, conversation_id=conversation.pk, body="Rude words", now=NOW)
    from backend.moderation import services as moderation

    report = moderation.report_message(
        reporter=listing.host, message_id=message.pk, reason="inappropriate", details="", now=NOW
    )
    assert report.case_id is not None

    decide(report.case_id, "hide", code="harassment")

    message.refresh_from_db()
    assert message.hidden_at == LATER
    assert told(guest) == ["message.hidden", "strike.warning"]


def test_cases_that_are_over_close() -> None:
    decision = rejected()
    assert decision.appeal_until is not None
    _listing, approved = waiting()
    decide(approved, "approve")

    looking.sweep(now=LATER)
    assert Case.objects.get(pk=decision.case_id).status == "decided"
    assert Case.objects.get(pk=approved.pk).status == "closed"
    looking.sweep(now=decision.appeal_until + timedelta(seconds=1))

    assert Case.objects.get(pk=decision.case_id).status == "closed"
    assert broken() == []


def test_a_case_with_nothing_left_closes_when_its_last_report_is_dismissed() -> None:
    from backend.moderation import services as moderation

    listing = make_listing()
    first, second = reported(listing), reported(listing)
    moderator = make_user("moderator")

    moderation.dismiss(actor=moderator, report_id=first.pk, reason="Nothing", now=LATER)
    assert Case.objects.get().status == "open"
    moderation.dismiss(actor=moderator, report_id=second.pk, reason="Nothing", now=LATER)

    assert Case.objects.get().status == "closed"
    assert reported(listing).case_id != first.case_id


def test_a_listing_is_judged_from_its_page_in_its_case() -> None:
    listing = make_listing()
    report = reported(listing)

    deciding.judge_listing(
        actor=make_user("moderator"), listing=listing, action="reject", code="other", words="No", now=LATER
    )
    other = deciding.judge_listing(
        actor=make_user("moderator"), listing=make_listing(), action="flag", words="Odd", now=LATER
    )

    report.refresh_from_db()
    assert (report.status, Case.objects.get(pk=report.case_id).status) == ("upheld", "decided")
    assert (other.action, other.case.status) == ("flag", "open")


def test_words_and_pictures_of_decisions_go_when_they_are_old() -> None:
    decision = rejected(words="Zebrawords")
    after = LATER + timedelta(days=platform.get("retention_reports_days"), seconds=1)

    # A clock that is set ahead does not count: the decision is made old instead.
    with transaction.atomic():
        done = retention._reports(after)

    decision.refresh_from_db()
    assert (decision.words, decision.snapshot, done) == ("", {}, 1)


def test_the_database_refuses_what_the_operations_never_do() -> None:
    decision = rejected()
    for change in (
        {"action": "approve"},
        {"reason_code": "spam"},
        {"words": "Otherwise"},
        {"decided_at": NOW},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Decision.objects.filter(pk=decision.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.create(case=decision.case, person=decision.person, action="dismiss", decided_at=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        Case.objects.create(
            listing_id=decision.case.listing_id,
            user=make_user(),
            person=decision.person,
            opened_at=NOW,
            due_at=NOW,
        )


def _about(person: User) -> Case:
    from backend.moderation import services as moderation

    report = moderation.report_user(
        reporter=make_user(), user_id=person.pk, reason="inappropriate", details="", now=NOW
    )
    assert report.case is not None
    assert isinstance(report, Report)
    return report.case
