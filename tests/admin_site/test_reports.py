"""The queue of reports in the back office."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.messaging import services as messaging
from backend.moderation import services as moderation
from backend.moderation.models import Report
from tests.admin_site.test_actions import act, shown_actions
from tests.admin_site.world import signed_in, staff
from tests.factories import NOW, make_listing, make_user
from tests.reviews.making import published

pytestmark = pytest.mark.usefixtures("db")

LIST = "/admin/moderation/report/"


def _report(reporter: User | None = None, **said: Any) -> Report:
    values = {"reason": "fraud", "details": "Zebradetails", "now": NOW, **said}
    listing = values.pop("listing", None) or make_listing()
    return moderation.report_listing(reporter=reporter or make_user(), listing_id=listing.pk, **values)


def _of_message(body: str = "Send cash") -> Report:
    guest, listing = make_user(), make_listing()
    conversation, _new = messaging.open_conversation(guest=guest, listing_id=listing.pk, now=NOW)
    message, _sent = messaging.send(sender=guest, conversation_id=conversation.pk, body=body, now=NOW)
    return moderation.report_message(
        reporter=listing.host, message_id=message.pk, reason="inappropriate", details="", now=NOW
    )


def page_of(report: Report) -> str:
    return reverse("admin:moderation_report_change", args=(report.pk,))


@pytest.mark.parametrize(
    ("role", "status"), [("support", 200), ("moderator", 200), ("admin", 200), ("finance", 403)]
)
def test_who_sees_the_queue(role: str, status: int) -> None:
    report, client = _report(), signed_in(staff(role))

    assert [client.get(address).status_code for address in (LIST, page_of(report))] == [status] * 2
    home = client.get(reverse("admin:index")).content
    assert (b"Reports to decide" in home) is (status == 200)


def test_support_sees_neither_who_reported_nor_what_they_wrote() -> None:
    reporter = make_user(username="zebra_reporter")
    report, told = _report(reporter), _of_message("Zebraevidence")
    shown = {}
    for role in ("support", "moderator"):
        client = signed_in(staff(role))
        pages = [client.get(address).content.decode() for address in (LIST, page_of(report), page_of(told))]
        shown[role] = [
            word in text
            for word, text in (
                ("zebra_reporter", pages[0]),
                ("zebra_reporter", pages[1]),
                ("Zebradetails", pages[1]),
                ("Zebraevidence", pages[2]),
            )
        ]

    assert shown == {"support": [False] * 4, "moderator": [True] * 4}
    found = signed_in(staff("support")).get(LIST, {"q": "zebra_reporter"})
    assert list(found.context["cl"].result_list) == []


def test_the_oldest_open_report_comes_first_and_the_newest_decision_after_all_open_ones() -> None:
    first, second, third, fourth = (_report() for _ in range(4))
    for report in (first, second):
        moderation.dismiss(actor=make_user("moderator"), report_id=report.pk, reason="Seen", now=NOW)

    listed = signed_in(staff("moderator")).get(LIST).context["cl"].result_list

    assert [report.pk for report in listed] == [third.pk, fourth.pk, second.pk, first.pk]


def test_earlier_reports_of_the_same_thing_are_counted() -> None:
    listing, moderator = make_listing(), make_user("moderator")
    upheld, _open, other, last = (_report(listing=listing), _report(listing=listing), _report(), None)
    moderation.uphold(actor=moderator, report_id=upheld.pk, reason="Seen", now=NOW)
    last = _report(listing=listing)

    listed = signed_in(staff("moderator")).get(LIST).context["cl"].result_list

    counts = {report.pk: (report.earlier, report.earlier_upheld) for report in listed}
    assert (counts[last.pk], counts[other.pk], counts[upheld.pk]) == ((2, 1), (0, 0), (0, 0))


def test_reports_are_found_by_number_and_by_whom_they_are_about() -> None:
    report, client = _report(), signed_in(staff("support"))
    _report()

    for term in (str(report.pk), report.listing.host.username):
        assert list(client.get(LIST, {"q": term}).context["cl"].result_list) == [report], term
    for term in ("9" * 30, "²", "nobody"):
        assert list(client.get(LIST, {"q": term}).context["cl"].result_list) == [], term


def test_hostile_words_are_shown_as_words() -> None:
    reporter = make_user(first_name="<img src=x onerror=alert(1)>")
    listing = make_listing(title="<script>alert('title')</script>")
    report = _report(reporter, listing=listing, details="<script>alert('details')</script>\n{{ 7*7 }}")
    told = _of_message("</div><script>alert('evidence')</script>")
    client = signed_in(staff("moderator"))

    for address in (LIST, page_of(report), page_of(told)):
        text = client.get(address).content.decode()
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    assert "&lt;script&gt;alert(&#x27;details&#x27;)" in client.get(page_of(report)).content.decode()


def test_actions_are_offered_by_what_the_report_is_about_until_it_is_decided() -> None:
    listing_report, client = _report(), signed_in(staff("moderator"))
    person = moderation.report_user(
        reporter=make_user(), user_id=make_user().pk, reason="safety", details="", now=NOW
    )
    colleague = moderation.report_user(
        reporter=make_user(), user_id=staff("support").pk, reason="safety", details="", now=NOW
    )

    assert shown_actions(client, listing_report) == {
        *("Uphold", "Uphold and hide", "Uphold and suspend", "Dismiss")
    }
    assert shown_actions(client, person) == {"Uphold", "Uphold and suspend", "Dismiss"}
    assert shown_actions(client, colleague) == {"Uphold", "Dismiss"}
    assert shown_actions(signed_in(staff("support")), person) == set()
    act(client, listing_report, "dismiss", reason="Seen")
    assert shown_actions(client, listing_report) == set()


@pytest.mark.parametrize(
    ("action", "status", "step"),
    [
        ("uphold", "upheld", "none"),
        ("uphold_and_hide", "upheld", "hide"),
        ("uphold_and_suspend", "upheld", "suspend"),
        ("dismiss", "dismissed", "none"),
    ],
)
def test_an_action_decides_with_a_reason(action: str, status: str, step: str) -> None:
    report, moderator = _report(), staff("moderator")
    client = signed_in(moderator)

    refused = act(client, report, action, reason=" ")
    report.refresh_from_db()
    assert (refused.status_code, report.status) == (200, "open")
    act(client, report, action, reason="We have looked")

    report.refresh_from_db()
    assert (report.status, report.step, report.decided_by, report.note) == (
        *(status, step, moderator, "We have looked"),
    )
    entry = AuditEntry.objects.get(object_type="report", object_id=str(report.pk), actor=moderator)
    assert (entry.action, entry.reason, entry.door) == (
        *(f"report.{'dismiss' if action == 'dismiss' else 'uphold'}", "We have looked", "admin"),
    )


def test_nobody_decides_about_their_own_report() -> None:
    moderator = staff("moderator")
    report, client = _report(moderator), signed_in(moderator)

    assert shown_actions(client, report) == set()
    assert act(client, report, "dismiss", reason="Seen").status_code == 403
    report.refresh_from_db()
    assert report.status == "open"


def test_a_step_that_is_not_possible_says_so_in_the_dialog() -> None:
    listing, client = make_listing(), signed_in(staff("moderator"))
    first, second = _report(listing=listing), _report(listing=listing)
    act(client, first, "uphold_and_hide", reason="Seen")

    answer = act(client, second, "uphold_and_hide", reason="Seen")

    second.refresh_from_db()
    assert (answer.status_code, second.status) == (200, "open")
    assert b"not possible in the present state" in answer.content


def test_the_queue_costs_the_same_for_one_of_each_and_for_three() -> None:
    client, spent = signed_in(staff("moderator")), []
    for _ in range(2):
        for _each in range(1 if not spent else 2):
            _report()
            _of_message()
            written = published(make_listing(), 1)
            moderation.report_review(
                reporter=make_user(), review_id=written.pk, reason="other", details="", now=NOW
            )
            moderation.report_user(
                reporter=make_user(), user_id=make_user().pk, reason="other", details="", now=NOW
            )
        client.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST).status_code == 200
        spent.append(len(queries))

    assert spent[0] == spent[1]
