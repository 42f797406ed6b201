"""Actions: what they change, that they leave a trace, and that a refusal is said and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.bookings.models import Booking
from backend.identity import services as identity
from backend.listings.models import Amenity, Listing
from backend.notifications.models import Notification
from backend.payments.models import Payment
from tests.admin_site.world import HTMX, audited, make_booking, make_request, signed_in, staff
from tests.bookings.making import state
from tests.factories import PASSWORD, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def url(row: Any, action: str) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{action}", args=(row.pk,))


def act(client: Client, row: Any, action: str, **given: str) -> HttpResponse:
    """Send an action's dialog as the browser does."""
    return client.post(url(row, action), {"_form_submitted": "on", **given}, **HTMX)  # type: ignore[return-value]


def shown_actions(client: Client, row: Any) -> set[str]:
    """Which actions the row's page offers."""
    meta = row._meta
    page = client.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=(row.pk,)))
    return {str(action["title"]) for action in page.context["actions_detail"]}


def test_reject_takes_the_listing_off_and_tells_the_host() -> None:
    listing, moderator = make_listing(), staff("moderator")

    answer = act(signed_in(moderator), listing, "reject", reason="The pictures show another place")

    assert answer["HX-Redirect"] == reverse("admin:listings_listing_change", args=(listing.pk,))
    listing.refresh_from_db()
    assert (listing.status, listing.status_reason) == ("rejected", "The pictures show another place")
    entry = audited("listing.rejected")
    assert (entry.actor, entry.reason) == (moderator, "The pictures show another place")
    assert entry.address == "127.0.0.1"
    assert Notification.objects.get(user=listing.host, kind="listing.rejected").kind == "listing.rejected"


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("approve", "pending_review", "published"),
        ("approve", "flagged", "published"),
        ("approve", "rejected", "published"),
        ("flag", "published", "flagged"),
        ("flag", "paused", "flagged"),
        ("reject", "flagged", "rejected"),
    ],
)
def test_moderation_moves_a_listing(action: str, before: str, after: str) -> None:
    listing = make_listing(status=before)

    act(signed_in(staff("moderator")), listing, action, reason="Seen")

    assert Listing.objects.get(pk=listing.pk).status == after


def test_moderation_offers_what_the_state_allows() -> None:
    client = signed_in(staff("moderator"))

    assert shown_actions(client, make_listing(status="pending_review")) == {
        *("Calendar", "Price a stay", "Approve", "Flag", "Reject")
    }
    assert shown_actions(client, make_listing(status="published")) == {
        *("Calendar", "Price a stay", "Flag", "Reject")
    }
    assert shown_actions(client, make_listing(status="archived")) == {"Calendar", "Price a stay"}


def test_moderation_without_a_reason_changes_nothing() -> None:
    listing = make_listing()

    answer = act(signed_in(staff("moderator")), listing, "reject", reason="   ")

    assert "This field is required." in answer.content.decode()
    assert Listing.objects.get(pk=listing.pk).status == "published"
    assert not AuditEntry.objects.exists()


def test_moderation_of_a_state_that_moved_on_says_so() -> None:
    listing = make_listing(status="published")

    answer = act(signed_in(staff("moderator")), listing, "approve", reason="Fine")

    assert "HX-Redirect" not in answer
    assert "This is not possible in the present state." in answer.content.decode()
    assert not AuditEntry.objects.exists()


def test_actions_do_nothing_by_get() -> None:
    listing = make_listing()

    answer = signed_in(staff("moderator")).get(
        url(listing, "reject"), {"reason": "x", "_form_submitted": "on"}
    )

    assert answer.status_code == 200
    assert 'name="reason"' in answer.content.decode()
    assert Listing.objects.get(pk=listing.pk).status == "published"


def test_actions_need_the_token_of_the_form() -> None:
    listing, moderator = make_listing(), staff("moderator")
    client = Client(enforce_csrf_checks=True)
    client.force_login(moderator, backend="backend.identity.backends.AccountBackend")

    assert act(client, listing, "reject", reason="x").status_code == 403
    assert Listing.objects.get(pk=listing.pk).status == "published"


@pytest.mark.parametrize("role", ["support", "finance"])
def test_moderation_is_for_moderators(role: str) -> None:
    listing = make_listing()
    client = signed_in(staff(role))

    assert act(client, listing, "reject", reason="x").status_code == 403
    assert client.get(url(listing, "reject")).status_code == 403
    assert Listing.objects.get(pk=listing.pk).status == "published"
    assert not AuditEntry.objects.exists()


def test_moderation_of_a_listing_of_ones_own_is_refused() -> None:
    moderator = staff("moderator", "host")
    listing = make_listing(moderator)
    client = signed_in(moderator)

    assert act(client, listing, "flag", reason="x").status_code == 403
    assert shown_actions(client, listing) == {"Calendar", "Price a stay"}
    assert Listing.objects.get(pk=listing.pk).status == "published"


def test_suspend_shuts_a_person_out_and_restore_lets_them_in() -> None:
    person, moderator = make_user(password=PASSWORD), staff("moderator")
    device = identity.Device("127.0.0.1", "tests")
    signed = identity.sign_in(login=person.username, password=PASSWORD, device=device, now=timezone.now())
    client = signed_in(moderator)

    answer = act(client, person, "suspend", reason="Fraud")

    assert answer["HX-Redirect"] == reverse("admin:accounts_user_change", args=(person.pk,))
    person.refresh_from_db()
    assert (person.suspended_at is not None, person.suspended_reason) == (True, "Fraud")
    with pytest.raises(identity.InvalidCredentials):
        identity.sign_in(login=person.username, password=PASSWORD, device=device, now=timezone.now())
    assert identity.living([signed.user.session_id]) == set()
    assert audited("user.suspended").actor == moderator
    assert shown_actions(client, person) == {"Restore"}

    act(client, person, "restore", reason="A mistake")

    person.refresh_from_db()
    assert person.suspended_at is None
    assert audited("user.restored").reason == "A mistake"
    assert shown_actions(client, person) == {"Suspend", "Sign out everywhere"}


def test_suspend_twice_says_so() -> None:
    person, client = make_user(), signed_in(staff("moderator"))
    act(client, person, "suspend", reason="Fraud")

    answer = act(client, person, "suspend", reason="Again")

    assert "This account is suspended already." in answer.content.decode()
    person.refresh_from_db()
    assert person.suspended_reason == "Fraud"


def test_suspended_staff_are_out_of_the_back_office_at_once() -> None:
    colleague = staff("moderator")
    client = signed_in(colleague)
    assert client.get("/admin/").status_code == 200

    act(signed_in(staff("admin")), colleague, "suspend", reason="Left")

    answer = client.get("/admin/")
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


@pytest.mark.parametrize(
    ("role", "target"), [("support", "guest"), ("finance", "guest"), ("moderator", "support")]
)
def test_suspend_is_for_those_who_may(role: str, target: str) -> None:
    person = make_user(target, is_staff=target == "support")

    assert act(signed_in(staff(role)), person, "suspend", reason="x").status_code == 403
    assert User.objects.get(pk=person.pk).suspended_at is None


def test_grant_role_opens_and_revoke_closes_the_back_office() -> None:
    person, boss = make_user(password=PASSWORD), staff("admin")
    client = signed_in(boss)

    act(client, person, "grant_role", role="support", reason="New colleague")

    person = User.objects.get(pk=person.pk)
    assert (person.is_staff, "support" in person.roles) == (True, True)
    assert signed_in(person).get(reverse("admin:bookings_booking_changelist")).status_code == 200
    entry = audited("role.granted")
    assert (entry.actor, entry.after, entry.reason) == (boss, {"role": "support"}, "New colleague")

    act(client, person, "revoke_role", role="support", reason="Left")

    person = User.objects.get(pk=person.pk)
    assert (person.is_staff, "support" in person.roles) == (False, False)


def test_grant_role_is_for_administrators() -> None:
    person = make_user()
    moderator = signed_in(staff("moderator"))

    assert act(moderator, person, "grant_role", role="admin", reason="x").status_code == 403
    assert act(moderator, person, "grant_role", role="nonsense", reason="x").status_code == 403
    assert "admin" not in User.objects.get(pk=person.pk).roles


def test_cancel_shows_the_refund_then_gives_it_back() -> None:
    booking, support = make_booking(), staff("support")
    client = signed_in(support)

    dialog = client.get(url(booking, "cancel")).content.decode()
    answer = act(client, booking, "cancel", reason="The house burnt down")

    assert "EUR 300.00" in dialog.split("Goes back to the guest")[1]
    assert answer["HX-Redirect"] == reverse("admin:bookings_booking_change", args=(booking.pk,))
    assert state(booking)[0] == "canceled"
    booking.refresh_from_db()
    assert (booking.canceled_by, booking.refund_minor) == ("platform", 30_000)
    refund = Payment.objects.get(folio=booking.folio, kind="refund")
    assert refund.amount_minor == 30_000
    assert audited("booking.cancel").actor == support


def test_cancel_of_an_unpaid_request_gives_nothing_back() -> None:
    booking = make_request()
    client = signed_in(staff("admin"))

    assert "nothing was paid" in client.get(url(booking, "cancel")).content.decode()
    act(client, booking, "cancel", reason="Fraud")

    booking.refresh_from_db()
    assert (booking.status, booking.refund_minor) == ("canceled", 0)


def test_cancel_twice_says_so() -> None:
    booking = make_booking()
    client = signed_in(staff("support"))
    act(client, booking, "cancel", reason="Once")

    answer = act(client, booking, "cancel", reason="Twice")

    assert "This is not possible in the present state." in answer.content.decode()
    assert Payment.objects.filter(folio=booking.folio, kind="refund").count() == 1
    assert audited("booking.cancel").reason == "Once"


@pytest.mark.parametrize("role", ["moderator", "finance"])
def test_cancel_is_for_support(role: str) -> None:
    booking = make_booking()

    assert act(signed_in(staff(role)), booking, "cancel", reason="x").status_code == 403
    assert Booking.objects.get(pk=booking.pk).status == "confirmed"


def test_amenity_names_are_bettered_by_administrators() -> None:
    before = Amenity.objects.values("name", "names").get(slug="wifi")
    client = signed_in(staff("admin"))
    page = reverse("admin:listings_amenity_change", args=("wifi",))
    names = {f"name_{code}": f"Wi-Fi {code}" for code in ("fr", "es", "sw", "ar")}
    try:
        answer = client.post(page, {"name": "Wi-Fi", **names})

        assert answer.status_code == 302
        amenity = Amenity.objects.get(slug="wifi")
        assert (amenity.name, amenity.names["sw"]) == ("Wi-Fi", "Wi-Fi sw")
        assert audited("amenity.renamed").before == before
    finally:
        Amenity.objects.filter(slug="wifi").update(**before)


def test_retry_puts_a_failed_job_back() -> None:
    make_booking()
    job = ProcrastinateJob.objects.order_by("id").first()
    assert job is not None
    client = signed_in(staff("admin"))

    refused = act(client, job, "retry", reason="x")
    assert "Only a job that failed can be tried again." in refused.content.decode()
    _fail(job.pk)
    answer = act(client, job, "retry", reason="The mail server is back")

    assert answer["HX-Redirect"] == reverse("admin:procrastinate_procrastinatejob_change", args=(job.pk,))
    job.refresh_from_db()
    assert (job.status, job.attempts) == ("todo", 1)
    assert audited("job.retried").reason == "The mail server is back"


def _fail(job_id: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'failed' WHERE id = %s", [job_id])


def test_password_of_staff_is_changed_by_the_operation() -> None:
    colleague = staff("support")
    client = signed_in(colleague)

    bad = client.post(
        "/admin/password_change/",
        {"old_password": PASSWORD, "new_password1": "password", "new_password2": "password"},
    )
    assert bad.status_code == 200
    good = client.post(
        "/admin/password_change/",
        {"old_password": PASSWORD, "new_password1": "a-new-one-73", "new_password2": "a-new-one-73"},
    )

    assert good.status_code == 302
    assert User.objects.get(pk=colleague.pk).check_password("a-new-one-73")
    assert client.get("/admin/").status_code == 200
    assert audited("password.changed").actor == colleague
