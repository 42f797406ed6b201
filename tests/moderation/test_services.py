from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.core import platform
from backend.core.errors import Invalid, NotAllowed, NotFound, Throttled, WrongState
from backend.identity import suspension
from backend.listings import cohosts
from backend.listings import services as listings
from backend.messaging import services as messaging
from backend.messaging.models import Message
from backend.moderation import services as moderation
from backend.moderation.models import Report
from backend.moderation.services import AlreadyReported, OwnReport
from backend.notifications.models import Notification
from backend.privacy import retention
from backend.reviews.models import Review
from tests.factories import NOW, make_listing, make_user
from tests.racing import race
from tests.reviews.making import published, review, stayed

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(hours=1)


def _report(reporter: User, listing_id: int, **said: Any) -> Report:
    values = {"reason": "fraud", "details": "", "now": NOW, **said}
    return moderation.report_listing(reporter=reporter, listing_id=listing_id, **values)


def _message(body: str = "Pay me by bank transfer") -> Message:
    """What the guest of a new conversation wrote to the host."""
    guest, listing = make_user(), make_listing()
    conversation, _new = messaging.open_conversation(guest=guest, listing_id=listing.pk, now=NOW)
    return messaging.send(sender=guest, conversation_id=conversation.pk, body=body, now=NOW)[0]


def _of_message(reporter: User, message: Message, **said: Any) -> Report:
    values = {"reason": "inappropriate", "details": "", "now": NOW, **said}
    return moderation.report_message(reporter=reporter, message_id=message.pk, **values)


def _of_review(reporter: User, review_id: int, **said: Any) -> Report:
    values = {"reason": "inaccurate", "details": "", "now": NOW, **said}
    return moderation.report_review(reporter=reporter, review_id=review_id, **values)


def _told(user: User) -> list[str]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("kind", flat=True))


def test_report_keeps_what_was_said_sealed_and_tells_nobody() -> None:
    reporter, listing = make_user(), make_listing()

    report = _report(reporter, listing.pk, reason="safety", details="  The stairs have no rail.  ")

    assert (report.status, report.details, report.kind, report.subject_id) == (
        *("open", "The stairs have no rail.", "listing", listing.pk),
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT details FROM reports")
        assert cursor.fetchone()[0].startswith("sealed:v2:")
    entry = AuditEntry.objects.get(action="report.make")
    assert (entry.actor, entry.object_type, entry.after) == (
        *(reporter, "report", {"about": "listing", "id": listing.pk, "reason": "safety"}),
    )
    assert _told(listing.host) == []


def test_a_second_open_report_of_the_same_thing_is_refused_and_after_a_decision_taken() -> None:
    reporter, listing, moderator = make_user(), make_listing(), make_user("moderator")
    first = _report(reporter, listing.pk)

    with pytest.raises(AlreadyReported):
        _report(reporter, listing.pk, reason="other")
    _report(make_user(), listing.pk)
    _report(reporter, make_listing().pk)
    moderation.dismiss(actor=moderator, report_id=first.pk, reason="Nothing in it", now=LATER)
    _report(reporter, listing.pk)

    assert Report.objects.filter(reporter=reporter, listing=listing).count() == 2


def test_two_reports_at_once_are_one() -> None:
    reporter, listing = make_user(), make_listing()

    made = race(*[lambda: _report(reporter, listing.pk)] * 6)

    assert sorted(type(each).__name__ for each in made) == ["AlreadyReported"] * 5 + ["Report"]
    assert Report.objects.count() == 1
    assert AuditEntry.objects.filter(action="report.make").count() == 1


def test_ones_own_is_not_reported() -> None:
    message, host = _message(), make_user()
    listing, keeper = make_listing(host), make_user()
    cohosts.add(actor=host, listing=listing, user_id=keeper.pk, grants=["messages"], now=NOW)
    written = published(make_listing(), 5)

    for attempt in (
        lambda: _report(host, listing.pk),
        lambda: _report(keeper, listing.pk),
        lambda: moderation.report_user(reporter=host, user_id=host.pk, reason="other", details="", now=NOW),
        lambda: _of_message(User.objects.get(pk=message.sender_id), message),
        lambda: _of_review(written.author, written.pk),
    ):
        with pytest.raises(OwnReport):
            attempt()

    assert not Report.objects.exists()


def test_what_one_may_not_see_cannot_be_reported() -> None:
    stranger, message = make_user(), _message()
    hidden = _message("Hidden already")
    messaging.hide_message(actor=make_user("moderator"), message_id=hidden.pk, reason="Spam", now=NOW)
    sealed = review(stayed())
    suspended = make_user(suspended_at=NOW)

    for attempt in (
        lambda: _report(stranger, make_listing(status="paused").pk),
        lambda: _report(stranger, 987_654),
        lambda: moderation.report_user(
            reporter=stranger, user_id=suspended.pk, reason="other", details="", now=NOW
        ),
        lambda: _of_message(stranger, message),
        lambda: _of_message(hidden.conversation.host, hidden),
        lambda: _of_review(stranger, sealed.pk),
        lambda: _of_review(sealed.subject, sealed.pk),
    ):
        with pytest.raises(NotFound):
            attempt()

    assert not Report.objects.exists()


def test_what_the_system_wrote_cannot_be_reported() -> None:
    message = _message()
    Message.objects.filter(pk=message.pk).delete()
    with transaction.atomic():
        event = messaging.post_event(
            listing=message.conversation.listing,
            guest=message.conversation.guest,
            event="booking.confirmed",
            params={},
            now=NOW,
        )

    with pytest.raises(NotFound):
        _of_message(message.conversation.host, event)


@pytest.mark.parametrize(
    "said", [{"reason": "boring"}, {"reason": ""}, {"details": "x" * 2001}], ids=["unknown", "empty", "long"]
)
def test_report_refuses(said: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        _report(make_user(), make_listing().pk, **said)

    assert not Report.objects.exists()


def test_reports_a_day_are_limited_and_refused_ones_do_not_count() -> None:
    platform.put("limit_reports_user", 2)
    reporter = make_user()
    with pytest.raises(NotFound):
        _report(reporter, 987_654)
    for _ in range(2):
        _report(reporter, make_listing().pk)

    with pytest.raises(Throttled):
        _report(reporter, make_listing().pk)

    assert Report.objects.count() == 2


def test_uphold_may_leave_it_at_that() -> None:
    reporter, listing, moderator = make_user(), make_listing(), make_user("moderator")
    report = _report(reporter, listing.pk)

    moderation.uphold(actor=moderator, report_id=report.pk, reason=" Seen it ", now=LATER)

    report.refresh_from_db()
    assert (report.status, report.step, report.note) == ("upheld", "none", "Seen it")
    assert (report.decided_by, report.decided_at) == (moderator, LATER)
    assert (_told(reporter), _told(listing.host)) == (["report.decided"], [])
    entry = AuditEntry.objects.get(action="report.uphold")
    assert (entry.reason, entry.after) == ("Seen it", {"about": "listing", "id": listing.pk, "step": "none"})


def test_uphold_and_hide_flags_a_listing_and_never_names_the_reporter() -> None:
    reporter, listing = make_user(first_name="Zebrareporter"), make_listing()
    report = _report(reporter, listing.pk, details="Zebradetails")

    moderation.uphold(
        actor=make_user("moderator"), report_id=report.pk, reason="Other pictures", step="hide", now=LATER
    )

    listing.refresh_from_db()
    assert (listing.status, listing.status_reason) == ("flagged", "Other pictures")
    notice = Notification.objects.get(user=listing.host)
    assert notice.kind == "listing.flagged"
    assert "ebra" not in f"{notice.params} {notice.data} {notice.object_key}"


def test_uphold_and_hide_hides_a_message_of_which_the_text_is_kept() -> None:
    message = _message("Pay me by bank transfer")
    report = _of_message(message.conversation.host, message)

    moderation.uphold(
        actor=make_user("moderator"), report_id=report.pk, reason="Fraud", step="hide", now=LATER
    )

    message.refresh_from_db()
    report.refresh_from_db()
    assert (message.hidden_at, report.evidence) == (LATER, "Pay me by bank transfer")


def test_uphold_and_hide_hides_a_review() -> None:
    written = published(make_listing(), 1)
    report = _of_review(written.subject, written.pk)

    moderation.uphold(
        actor=make_user("moderator"), report_id=report.pk, reason="Names a child", step="hide", now=LATER
    )

    report.refresh_from_db()
    assert (Review.objects.get(pk=written.pk).status, report.evidence) == ("hidden", written.comment)


def test_a_person_cannot_be_hidden() -> None:
    report = moderation.report_user(
        reporter=make_user(), user_id=make_user().pk, reason="safety", details="", now=NOW
    )

    with pytest.raises(Invalid):
        moderation.uphold(
            actor=make_user("moderator"), report_id=report.pk, reason="Threats", step="hide", now=LATER
        )

    report.refresh_from_db()
    assert report.status == "open"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("listing", "We found signs of fraud. Threats"),
        ("user", "It is not safe for guests or others as it is. Threats"),
        ("message", "It insults, harasses or threatens somebody. Threats"),
        ("review", "Threats"),
    ],
)
def test_uphold_and_suspend_shuts_out_whose_it_is(kind: str, why: str) -> None:
    if kind == "listing":
        listing = make_listing()
        report, person = _report(make_user(), listing.pk), listing.host
    elif kind == "user":
        person = make_user()
        report = moderation.report_user(
            reporter=make_user(), user_id=person.pk, reason="safety", details="", now=NOW
        )
    elif kind == "message":
        message = _message()
        report, person = _of_message(message.conversation.host, message), message.conversation.guest
    else:
        written = published(make_listing(), 1)
        report, person = _of_review(make_user(), written.pk), written.author

    moderation.uphold(
        actor=make_user("moderator"), report_id=report.pk, reason="Threats", step="suspend", now=LATER
    )

    person.refresh_from_db()
    report.refresh_from_db()
    assert (person.suspended_at, person.suspended_reason) == (LATER, why)
    assert (report.status, report.step) == ("upheld", "suspend")


def test_when_the_step_is_refused_nothing_is_decided() -> None:
    """Colleagues are suspended by administrators alone; what is flagged already cannot be flagged."""
    colleague, moderator = make_user("support", is_staff=True), make_user("moderator")
    about_them = moderation.report_user(
        reporter=make_user(), user_id=colleague.pk, reason="safety", details="", now=NOW
    )
    listing = make_listing()
    about_it = _report(make_user(), listing.pk)
    listings.flag(actor=moderator, listing=listing, reason="Seen before", now=NOW)
    before = AuditEntry.objects.count()

    with pytest.raises(NotAllowed):
        moderation.uphold(
            actor=moderator, report_id=about_them.pk, reason="Threats", step="suspend", now=LATER
        )
    with pytest.raises(WrongState):
        moderation.uphold(actor=moderator, report_id=about_it.pk, reason="Fraud", step="hide", now=LATER)

    assert set(Report.objects.values_list("status", flat=True)) == {"open"}
    assert AuditEntry.objects.count() == before
    colleague.refresh_from_db()
    assert colleague.suspended_at is None
    assert not Notification.objects.filter(kind="report.decided").exists()


def test_who_may_decide() -> None:
    moderator, host = make_user("moderator"), make_user("moderator", "host")
    own = _report(moderator, make_listing().pk)
    of_theirs = _report(make_user(), make_listing(host).pk)

    for actor, report in (
        (moderator, own),
        (host, of_theirs),
        (make_user("support"), of_theirs),
        (make_user("finance"), of_theirs),
        (make_user(), of_theirs),
    ):
        with pytest.raises(NotAllowed):
            moderation.uphold(actor=actor, report_id=report.pk, reason="Seen", now=LATER)
        with pytest.raises(NotAllowed):
            moderation.dismiss(actor=actor, report_id=report.pk, reason="Seen", now=LATER)

    assert set(Report.objects.values_list("status", flat=True)) == {"open"}


def test_a_decision_needs_a_reason_and_comes_once() -> None:
    report, moderator = _report(make_user(), make_listing().pk), make_user("moderator")

    for reason in ("", "  ", "x" * 501):
        with pytest.raises(Invalid):
            moderation.dismiss(actor=moderator, report_id=report.pk, reason=reason, now=LATER)
    decided = race(
        *[lambda: moderation.dismiss(actor=moderator, report_id=report.pk, reason="Seen", now=LATER)] * 4
    )
    with pytest.raises(WrongState):
        moderation.uphold(actor=moderator, report_id=report.pk, reason="After all", now=LATER)
    with pytest.raises(NotFound):
        moderation.dismiss(actor=moderator, report_id=987_654, reason="Seen", now=LATER)

    assert sorted(type(each).__name__ for each in decided) == ["Report", *["WrongState"] * 3]
    assert AuditEntry.objects.filter(action="report.dismiss").count() == 1
    assert _told(report.reporter) == ["report.decided"]


def test_the_database_refuses_what_the_operations_never_do() -> None:
    reporter, listing = make_user(), make_listing()
    report = _report(reporter, listing.pk)
    decided = _report(make_user(), listing.pk)
    moderation.dismiss(actor=make_user("moderator"), report_id=decided.pk, reason="Seen", now=LATER)
    stamps = {"reporter": reporter, "reason": "other", "created_at": NOW}

    for attempt in (
        lambda: Report.objects.create(**stamps),
        lambda: Report.objects.create(**stamps, listing=listing, user=listing.host),
        lambda: Report.objects.create(**stamps, user=reporter),
        lambda: Report.objects.filter(pk=report.pk).update(status="upheld"),
        lambda: Report.objects.filter(pk=report.pk).update(listing=make_listing()),
        lambda: Report.objects.filter(pk=decided.pk).update(
            status="open", decided_at=None, decided_by=None, note=""
        ),
        lambda: Report.objects.filter(pk=decided.pk).update(note="Otherwise"),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            attempt()


def test_words_go_when_a_decision_is_old_and_open_ones_stay() -> None:
    message, moderator = _message(), make_user("moderator")
    old = _of_message(message.conversation.host, message, details="Zebradetails")
    waiting = _report(make_user(), make_listing().pk, details="Still open")
    moderation.dismiss(actor=moderator, report_id=old.pk, reason="Seen", now=NOW - timedelta(days=3000))

    done = {rule.name: rule.run(NOW) for rule in retention.RULES if rule.name == "reports"}
    again = {rule.name: rule.run(NOW) for rule in retention.RULES if rule.name == "reports"}

    old.refresh_from_db()
    waiting.refresh_from_db()
    assert (done, again) == ({"reports": 1}, {"reports": 0})
    assert (old.details, old.evidence, old.status, old.note) == ("", "", "dismissed", "Seen")
    assert waiting.details == "Still open"


def test_suspending_by_hand_does_not_stand_in_the_way() -> None:
    listing, moderator = make_listing(), make_user("moderator")
    report = _report(make_user(), listing.pk)
    suspension.suspend(actor=moderator, user=listing.host, reason="Fraud", now=NOW)

    moderation.uphold(actor=moderator, report_id=report.pk, reason="Fraud", step="hide", now=LATER)

    listing.refresh_from_db()
    assert listing.status == "flagged"
