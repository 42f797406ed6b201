"""The moderators' queue and the page of a case: what they show to whom, and that deciding goes through the dialogs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from backend.audit.models import AuditEntry
from backend.moderation import appeals, cases, looking
from backend.moderation import services as moderation
from backend.moderation.models import Case, Decision, Flag, Report, TextRule
from tests.admin_site.conftest import Browse
from tests.admin_site.world import HTMX, signed_in, staff
from tests.conftest import Server
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

LIST = "/admin/moderation/case/"


def waiting(**fields: Any) -> Case:
    """The case of a listing that waits for approval."""
    listing = make_listing(status="pending_review", published_at=None, **fields)
    with transaction.atomic():
        return cases.offered(listing, now=timezone.now())


def reported(reason: str = "inaccurate", **fields: Any) -> Case:
    """The case of a reported listing."""
    report = moderation.report_listing(
        reporter=make_user(first_name="Zebrareporter", username=f"zebra{Report.objects.count()}"),
        listing_id=make_listing(**fields).pk,
        reason=reason,
        details="Zebradetails",
        now=timezone.now(),
    )
    assert report.case is not None
    return report.case


def address(case: Case, act: str = "change") -> str:
    return reverse(f"admin:moderation_case_{act}", args=(case.pk,))


def act(client: Client, case: Case, name: str, **given: Any) -> Any:
    values = {"_form_submitted": "on", "version": Case.objects.get(pk=case.pk).version, **given}
    return client.post(address(case, name), values, **HTMX)


def ids(client: Client, query: str = "") -> list[int]:
    return [row.pk for row in client.get(LIST + query).context["cl"].result_list]


def test_the_queue_shows_what_is_due_first_and_nothing_that_is_over() -> None:
    client, normal, urgent = signed_in(staff("moderator")), waiting(), reported("safety")
    over = reported()
    act(client, over, "dismiss", words="Nothing in it")

    assert ids(client) == [urgent.pk, normal.pk]
    assert ids(client, "?state=decided") == [over.pk]
    assert ids(client, "?hands=mine") == []
    act(client, normal, "take")
    assert (ids(client, "?hands=mine"), ids(client, "?hands=free")) == ([normal.pk], [urgent.pk])
    assert ids(client, "?about=user") == []
    assert ids(client, f"?q={urgent.person.username}") == [urgent.pk]


def test_the_queue_costs_the_same_for_one_of_each_and_for_three() -> None:
    client, spent = signed_in(staff("moderator")), []
    for _round in range(2):
        for _each in range(1 if not spent else 2):
            waiting()
            reported()
        client.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST).status_code == 200
        spent.append(len(queries))

    assert spent[0] == spent[1]


def test_the_page_costs_the_same_for_one_report_and_for_three() -> None:
    client, case, spent = signed_in(staff("moderator")), reported(), []
    for more in (0, 2):
        for _each in range(more):
            moderation.report_listing(
                reporter=make_user(),
                listing_id=case.listing_id or 0,
                reason="fraud",
                details="",
                now=timezone.now(),
            )
        client.get(address(case))
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address(case)).status_code == 200
        spent.append(len(queries))

    assert spent[0] == spent[1]


def test_the_page_marks_what_was_found_and_runs_no_markup() -> None:
    TextRule.objects.create(pattern="cash only", created_at=timezone.now())
    case = waiting(
        title="<script>alert(1)</script>", description="We take Cash only <b>here</b>", house_rules="None"
    )
    looking.sweep(now=timezone.now())

    text = signed_in(staff("moderator")).get(address(case)).content.decode()

    assert "<mark>Cash only</mark> &lt;b&gt;here&lt;/b&gt;" in text
    assert "<script>alert" not in text
    assert "by the rule “cash only”" in text


def test_who_reported_is_for_those_who_decide() -> None:
    case = reported()

    shown = {
        role: signed_in(staff(role)).get(address(case)).content.decode() for role in ("moderator", "support")
    }

    assert {role: "Zebradetails" in text for role, text in shown.items()} == {
        "moderator": True,
        "support": False,
    }
    assert {role: "zebra0" in text for role, text in shown.items()} == {"moderator": True, "support": False}


def test_a_decision_needs_the_case_as_it_was_seen() -> None:
    case, moderator = waiting(), staff("moderator")
    client = signed_in(moderator)
    act(signed_in(staff("moderator")), case, "flag", code="photos", words="")

    answer = act(client, case, "approve", version=case.version)

    assert answer.status_code == 200
    assert b"changed in the meantime" in answer.content
    assert Decision.objects.get().action == "flag"


def test_the_letter_is_shown_in_the_hosts_language_as_the_reason_changes() -> None:
    case, client = waiting(), signed_in(staff("moderator"))
    case.person.profile.language = "sw"
    case.person.profile.save()

    dialog = client.get(address(case, "ask_for_changes"), **HTMX).content.decode()
    letter = client.get(
        address(case, "letter"), {"action": "changes", "code": "other", "words": "Zebrawords"}
    )

    assert ('lang="sw"' in dialog, 'data-testid="consequences"' in dialog) == (True, True)
    assert "Zebrawords" in letter.content.decode()
    assert Decision.objects.count() == 0


def test_changes_come_back_with_what_is_different() -> None:
    case, client = waiting(description="Two rooms and a balcony."), signed_in(staff("moderator"))
    act(client, case, "ask_for_changes", code="incomplete", words="How large?")
    listing = Case.objects.select_related("listing").get(pk=case.pk).listing
    assert listing is not None
    from backend.listings import services as listings

    now = timezone.now()
    changes = {"description": "Two large rooms and a balcony.", "availability": True}
    listings.update(actor=listing.host, listing=listing, changes=changes, now=now)
    looking.sweep(now=now + timedelta(minutes=1))

    text = client.get(address(case)).content.decode()

    assert ids(client, "?state=again") == [case.pk]
    assert "<ins>large</ins>" in text


def test_an_appeal_is_decided_by_somebody_else() -> None:
    decider = staff("moderator")
    case, client = reported(), signed_in(decider)
    act(client, case, "reject", code="inaccurate", words="")
    appeals.appeal_listing(
        actor=case.person, listing_id=case.listing_id or 0, words="Look again", now=timezone.now()
    )

    assert act(client, case, "take_back", words="Right").status_code == 403
    other = signed_in(staff("moderator"))
    assert "Look again" in other.get(address(case)).content.decode()
    act(other, case, "take_back", words="Right")

    case.refresh_from_db()
    assert case.listing is not None
    case.listing.refresh_from_db()
    assert (case.status, case.listing.status) == ("closed", "published")


def test_findings_are_dismissed_from_the_case() -> None:
    TextRule.objects.create(pattern="cash only", created_at=timezone.now())
    case, client = waiting(description="Cash only"), signed_in(staff("moderator"))
    looking.sweep(now=timezone.now())
    flag = Flag.objects.get()
    url = reverse("admin:moderation_flag_dismiss", args=(flag.pk,))
    assert url in client.get(address(case)).content.decode()

    client.post(url, {"_form_submitted": "on", "reason": "A sauna"}, **HTMX)

    flag.refresh_from_db()
    assert (flag.status, AuditEntry.objects.filter(action="flag.dismiss").count()) == ("dismissed", 1)


def test_rules_are_added_tried_and_switched() -> None:
    client = signed_in(staff("moderator"))
    add = reverse("admin:moderation_textrule_add_rule")
    given = {
        "_form_submitted": "on",
        "pattern": "cash only",
        "language": "",
        "severity": "high",
        "reason": "Fraud",
    }

    client.post(add, given, **HTMX)
    again = client.post(add, given, **HTMX)
    tried = client.post(
        reverse("admin:moderation_textrule_try_rule"),
        {"_form_submitted": "on", "pattern": "cash", "text": "No <b>cash</b>"},
        **HTMX,
    )

    rule = TextRule.objects.get()
    assert (rule.pattern, rule.severity, b"a rule for these words already" in again.content) == (
        *("cash only", "high", True),
    )
    assert b"&lt;b&gt;<mark>cash</mark>&lt;/b&gt;" in tried.content
    off = reverse("admin:moderation_textrule_switch_off", args=(rule.pk,))
    client.post(off, {"_form_submitted": "on", "reason": "Too many"}, **HTMX)
    rule.refresh_from_db()
    assert not rule.is_active


def test_moderator_approves_from_the_queue_and_rejects_with_a_letter(
    start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    moderator = staff("moderator")
    waiting(title="House of the lighthouse")
    bad = reported("fraud", title="House that is not there")
    bad.person.profile.language = "fr"
    bad.person.profile.save()
    server = start_server()

    def steps(page: Page) -> str:
        page.goto(f"{server.url}{LIST}")
        page.click("text=House of the lighthouse")
        page.get_by_role("link", name="Approve").or_(page.get_by_role("button", name="Approve")).first.click()
        expect(page.locator("[data-testid=letter]")).to_contain_text("House of the lighthouse")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Approve')")
        expect(page.get_by_text("The listing is published.")).to_be_visible()
        page.goto(f"{server.url}{LIST}")
        page.click("text=House that is not there")
        expect(page.locator("[data-testid=reports]")).to_contain_text("Zebradetails")
        page.click("text=Reject")
        letter = page.locator("[data-testid=letter]")
        expect(letter).to_contain_text("House that is not there")
        before = letter.inner_text()
        page.select_option("select[name=code]", "unsafe")
        page.wait_for_function(
            "before => document.querySelector('[data-testid=letter]').innerText !== before", arg=before
        )
        said = letter.inner_text()
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Reject')")
        expect(page.get_by_text("The listing is rejected.")).to_be_visible()
        return said

    said = browse(server.url, moderator.username, steps)

    assert "français" in said.lower()
    assert sorted(Decision.objects.values_list("action", "reason_code", "decided_by")) == [
        ("approve", "", moderator.pk),
        ("reject", "unsafe", moderator.pk),
    ]
    assert Report.objects.get().status == "upheld"
