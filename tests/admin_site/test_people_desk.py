"""A person's page: facts for who may see them, what is told before an act, signing out, filters and the table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backend.accounts.models import Session, User
from backend.audit.models import AuditEntry
from backend.listings import cohosts
from backend.moderation import cases, letters
from backend.moderation import services as moderation
from backend.moderation.models import Case, Decision, Report, Strike
from backend.notifications.models import Notification
from tests.admin_site.test_actions import act, shown_actions, url
from tests.admin_site.test_browser import MARKUP
from tests.admin_site.world import HTMX, audited, make_booking, signed_in, staff
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

LIST = "/admin/accounts/user/"


def page(client: Client, user: User) -> Any:
    answer = client.get(reverse("admin:accounts_user_change", args=(user.pk,)))
    assert answer.status_code == 200
    return answer


def facts(client: Client, user: User) -> set[str]:
    return {fact.key for fact in page(client, user).context["desk"].facts}


def assert_all(content: str, *words: str) -> None:
    """That all of the words stand in what was shown."""
    assert [word for word in words if word not in content] == []


def session(user: User, **fields: Any) -> Session:
    now = timezone.now()
    values = {
        "device": "Firefox on Linux",
        "address": "198.51.100.7",
        "created_at": now,
        "last_used_at": now,
        "expires_at": now + timedelta(days=1),
        "refresh_secret": b"s" * 32,
    }
    return Session.objects.create(user=user, **{**values, **fields})


def listed(client: Client, query: str) -> list[str]:
    answer = client.get(f"{LIST}?{query}")
    assert answer.status_code == 200, answer
    return sorted(user.username for user in answer.context["cl"].result_list)


def test_each_role_sees_the_facts_that_are_its_business() -> None:
    booking = make_booking()
    guest = booking.guest
    session(guest)
    Report.objects.create(reporter=booking.host, user=guest, reason="fraud", created_at=timezone.now())

    seen = {role: facts(signed_in(staff(role)), guest) for role in ("support", "finance", "admin")}

    assert seen == {
        "support": {"devices", "reported"},
        "finance": {"devices"},
        "admin": {"devices", "reported"},
    }


def test_addresses_and_payout_accounts_are_masked_by_role() -> None:
    guest = make_user()
    session(guest)

    shown = {
        role: "198.51.100.7" in page(signed_in(staff(role)), guest).content.decode()
        for role in ("support", "moderator", "finance", "admin")
    }

    assert shown == {"support": False, "moderator": True, "finance": False, "admin": True}


def test_money_stays_and_places_stand_on_the_page() -> None:
    booking = make_booking(title="House of the lighthouse")
    client = signed_in(staff("admin"))

    guest, host = (page(client, each).content.decode() for each in (booking.guest, booking.host))

    assert_all(guest, "Paid as a guest", "EUR 300.00", booking.reference, "Your own stays are not over")
    assert_all(host, booking.reference, "House of the lighthouse", "All their listings")
    assert "All their listings" not in guest
    assert "Paid as a guest" not in page(signed_in(staff("support")), booking.guest).content.decode()


def test_a_page_asks_the_database_as_often_for_three_as_for_one() -> None:
    client = signed_in(staff("admin"))
    guest, counts = make_user(), []
    for bookings in (1, 2):
        for _each in range(bookings):
            booking = make_booking()
            booking.guest = guest
            type(booking).objects.filter(pk=booking.pk).update(guest=guest)
            make_listing(guest)
            session(guest, device=f"Device {_each} of {bookings}")
        page(client, guest)
        with CaptureQueriesContext(connection) as queries:
            page(client, guest)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_stored_markup_stays_text() -> None:
    user = make_user(first_name=MARKUP[:80], last_name=MARKUP[:80])
    session(user, device=MARKUP)
    make_listing(user, title=MARKUP[:100])

    content = page(signed_in(staff("admin")), user).content.decode()

    assert "<img src=x" not in content
    assert "<script>window" not in content


def test_suspending_tells_what_it_touches_first() -> None:
    booking = make_booking()
    session(booking.host)
    client = signed_in(staff("moderator"))

    dialog = client.get(url(booking.host, "suspend"), **HTMX).content.decode()

    assert "Stays of their guests that go on" in dialog
    assert User.objects.get(pk=booking.host_id).suspended_at is None
    assert AuditEntry.objects.filter(action="case.decide").count() == 0


def test_suspending_is_a_decision_with_a_letter_and_a_strike() -> None:
    person, moderator = make_user(), staff("moderator")
    person.profile.language = "fr"
    person.profile.save()
    report = moderation.report_user(
        reporter=make_user(), user_id=person.pk, reason="fraud", details="", now=timezone.now()
    )

    act(signed_in(moderator), person, "suspend", code="harassment", reason="Three times")

    person.refresh_from_db()
    decision = Decision.objects.get()
    assert (decision.case_id, decision.decided_by) == (report.case_id, moderator)
    assert (decision.action, decision.reason_code, decision.words) == (
        *("suspend_person", "harassment"),
        "Three times",
    )
    assert person.suspended_at == decision.decided_at
    assert decision.appeal_until is not None
    assert Strike.objects.get().decision == decision
    notice = Notification.objects.get(user=person)
    assert (notice.kind, notice.params["appeal"]) == ("account.suspended", letters.link(decision.pk))
    assert (audited("case.decide").actor, audited("case.decide").reason) == (moderator, "Three times")
    assert audited("user.suspended").reason.endswith("Three times")
    report.refresh_from_db()
    assert (report.status, Case.objects.get().status) == ("upheld", "decided")


def test_the_dialog_shows_the_letter_in_its_readers_language_and_what_the_reason_counts() -> None:
    person = make_user()
    person.profile.language = "fr"
    person.profile.save()
    client = signed_in(staff("moderator"))

    dialog = client.get(url(person, "suspend"), **HTMX).content.decode()
    anew = client.get(url(person, "suspend"), {"code": "fraud", "reason": "Zebra"}, **HTMX).content.decode()

    assert ('lang="fr"' in dialog, "0 → 1" in dialog, "Zebra" in dialog) == (True, True, False)
    assert_all(anew, "0 → 6", "Zebra")
    assert (Case.objects.count(), User.objects.get(pk=person.pk).suspended_at) == (0, None)


def test_a_case_in_a_colleagues_hands_is_not_decided_from_the_page() -> None:
    person = make_user()
    report = moderation.report_user(
        reporter=make_user(), user_id=person.pk, reason="fraud", details="", now=timezone.now()
    )
    assert report.case_id is not None
    cases.take(actor=make_user("moderator"), case_id=report.case_id, now=timezone.now())

    answer = act(signed_in(staff("moderator")), person, "suspend", code="fraud", reason="Fraud")

    assert "A colleague has taken this case." in answer.content.decode()
    person.refresh_from_db()
    report.refresh_from_db()
    assert (person.suspended_at, report.status, Decision.objects.count()) == (None, "open", 0)
    assert not Notification.objects.filter(user=person).exists()


@pytest.mark.parametrize("takes_back", [False, True])
def test_restoring_tells_them_and_takes_the_decision_back_where_it_was_wrong(takes_back: bool) -> None:
    person, client = make_user(), signed_in(staff("moderator"))
    act(client, person, "suspend", code="harassment", reason="Fraud")

    act(
        client,
        person,
        "restore",
        reason="Mistaken for another",
        **({"takes_back": "on"} if takes_back else {}),
    )

    person.refresh_from_db()
    decision = Decision.objects.select_related("case", "strike").get()
    assert person.suspended_at is None
    assert (decision.reversed_at is not None, decision.strike.removed_at is not None) == (
        takes_back,
        takes_back,
    )
    assert decision.case.status == ("closed" if takes_back else "decided")
    kinds = Notification.objects.filter(user=person).order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["account.suspended", "account.restored"]


def test_strikes_stand_in_a_tab_the_newest_first() -> None:
    person, client = make_user(), signed_in(staff("moderator"))
    for code in ("spam", "fraud"):
        act(client, person, "suspend", code=code, reason="Seen")
        act(client, person, "restore", reason="Enough", **({"takes_back": "on"} if code == "spam" else {}))

    shown = {role: page(signed_in(staff(role)), person) for role in ("support", "finance")}

    (group,) = [
        each for each in shown["support"].context["inline_admin_formsets"] if each.opts.model is Strike
    ]
    assert [form.instance.reason_code for form in group.formset.forms] == ["fraud", "spam"]
    assert_all(
        shown["support"].content.decode(),
        "strikes-group",
        "taken back",
        f"/case/{Case.objects.latest('pk').pk}/",
    )
    assert "strikes-group" not in shown["finance"].content.decode()


def test_strikes_cost_the_same_whether_one_or_three() -> None:
    person, client, counts = make_user(), signed_in(staff("admin")), []
    for more in (1, 2):
        for _each in range(more):
            act(client, person, "suspend", code="spam", reason="Seen")
            act(client, person, "restore", reason="Enough")
        page(client, person)
        with CaptureQueriesContext(connection) as queries:
            page(client, person)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_a_hosts_page_leads_to_their_calendars() -> None:
    host, guest = make_listing().host, make_user()
    address = reverse("admin:page_host_calendar", args=(host.pk,))

    leads = {
        role: address in page(signed_in(staff(role)), host).content.decode()
        for role in ("support", "moderator", "finance", "admin")
    }

    assert leads == {"support": True, "moderator": True, "finance": False, "admin": True}
    assert "/admin/host-calendar/" not in page(signed_in(staff("admin")), guest).content.decode()


def test_one_device_and_all_devices_are_signed_out() -> None:
    user, clerk = make_user(), staff("support")
    lost, kept = session(user, device="Lost"), session(user, device="Kept")
    client = signed_in(clerk)

    dialog = client.get(url(user, "sign_out_device"), **HTMX).content.decode()
    act(client, user, "sign_out_device", session=str(lost.pk), reason="Lost it")

    assert ("Lost" in dialog, "198.51.100.7" in dialog) == (True, False)
    assert list(Session.objects.filter(revoked_at=None)) == [kept]
    act(client, user, "sign_out", reason="To be sure")
    assert not Session.objects.filter(revoked_at=None).exists()
    entries = AuditEntry.objects.filter(action="user.signed_out").order_by("pk")
    assert [(entry.actor, entry.reason) for entry in entries] == [(clerk, "Lost it"), (clerk, "To be sure")]


def test_a_foreign_device_is_refused_in_the_dialog() -> None:
    user, other = make_user(), make_user()
    foreign = session(other)

    act(signed_in(staff("support")), user, "sign_out_device", session=str(foreign.pk), reason="Lost it")

    foreign.refresh_from_db()
    assert foreign.revoked_at is None


def test_co_hosting_is_shown_both_ways() -> None:
    host, keeper = make_user(username="owner"), make_user(username="keeper")
    listing = make_listing(host, title="House of the lighthouse")
    cohosts.add(actor=host, listing=listing, user_id=keeper.pk, grants=[cohosts.CALENDAR], now=timezone.now())
    client = signed_in(staff("moderator"))

    assert_all(page(client, host).content.decode(), "Co-hosts of their places", "keeper")
    assert_all(page(client, keeper).content.decode(), "Keeps for others", "House of the lighthouse")


def test_roles_are_given_in_their_tab() -> None:
    person = make_user("guest")
    address = url(person, "grant_role")

    offered = {
        role: address in page(signed_in(staff(role)), person).content.decode()
        for role in ("moderator", "admin")
    }

    assert offered == {"moderator": False, "admin": True}


def test_who_is_offered_which_act() -> None:
    user = make_user()
    ours = {"View as", "Suspend", "Sign out everywhere"}

    offered = {
        role: shown_actions(signed_in(staff(role)), user) & ours
        for role in ("support", "moderator", "finance", "admin")
    }

    assert offered == {
        "support": {"View as", "Sign out everywhere"},
        "moderator": {"Suspend", "Sign out everywhere"},
        "finance": set(),
        "admin": ours,
    }


def test_people_are_found_by_number_and_narrowed_down() -> None:
    admin = staff("admin", username="boss")
    client = signed_in(admin)
    plain, proven = make_user(username="plain"), make_user(username="proven")
    proven.profile.identity_verified_at = timezone.now()
    proven.profile.save()
    Report.objects.create(
        reporter=plain, listing=make_listing(proven), reason="fraud", created_at=timezone.now()
    )
    User.objects.filter(pk=plain.pk).update(created_at=timezone.now() - timedelta(days=800))
    since = f"{timezone.now() - timedelta(days=30):%Y-%m-%d}"

    assert listed(client, f"q={plain.pk}") == ["plain"]
    assert listed(client, "verified=identity") == ["proven"]
    assert listed(client, "verified=nothing") == ["boss", "plain"]
    assert listed(client, "risk=report") == ["proven"]
    assert listed(client, "risk=dispute") == []
    assert listed(client, f"created_at_from={since}") == ["boss", "proven"]
    assert (listed(client, "country=PT"), listed(client, "country=KE")) == (["proven"], [])
    assert listed(client, f"created_at_to={since}") == ["plain"]
    assert listed(client, "created_at_to=nonsense") == ["boss", "plain", "proven"]
    # What somebody may not look at does not narrow anything down for them either.
    assert "proven" in listed(signed_in(staff("finance")), "risk=report")
    assert "plain" in listed(signed_in(staff("finance")), "risk=report")


def test_the_table_of_people_is_masked_as_the_list_is() -> None:
    make_user(username="anna", email="anna@example.com", last_name="Lovelace")

    def exported(role: str) -> str:
        client = signed_in(staff(role))
        address = "/admin/accounts/user/export/"
        answer = client.post(
            f"{address}?q=anna", {"_form_submitted": "on", "reason": "Yearly report"}, **HTMX
        )
        return b"".join(client.get(answer["HX-Redirect"]).streaming_content).decode()  # type: ignore[attr-defined]

    whole, masked = exported("admin"), exported("finance")

    assert_all(whole, "anna@example.com", "Lovelace")
    assert_all(masked, "anna", "Lovelace")
    assert "anna@example.com" not in masked
    assert AuditEntry.objects.filter(action="rows.export", reason="Yearly report").count() == 2
