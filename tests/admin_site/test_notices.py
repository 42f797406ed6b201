"""The rooms about notices: how they went out, what they look like, which addresses are left alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags
from playwright.sync_api import Page as Browser
from playwright.sync_api import expect
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed, NotFound, WrongState
from backend.identity import mailboxes
from backend.notifications import preview, suppressions
from backend.notifications import services as notifications
from backend.notifications.models import Delivery, Notification, SuppressedAddress
from tests.admin_site.conftest import Browse
from tests.admin_site.world import HTMX, make_booking, signed_in, staff
from tests.conftest import Server
from tests.factories import NOW, make_user
from tests.notifications.letters import Seen
from tests.notifications.test_rendering import PARAMS

pytestmark = pytest.mark.usefixtures("db")

LIST, PREVIEW, SHEET = (
    reverse(f"admin:notifications_delivery_{name}") for name in ("changelist", "preview", "sheet")
)


def went(state: str, **fields: Any) -> Delivery:
    """A mail to somebody that ended in ``state``."""
    row = notifications.notify(
        user=make_user(email="ana.banana@example.com", first_name="Ana"),
        kind="booking.confirmed",
        object_key="booking:1",
        now=NOW,
        params=PARAMS,
    )
    assert row is not None
    Delivery.objects.filter(notification=row).exclude(channel="email").delete()
    Delivery.objects.filter(notification=row).update(state=state, attempts=3, **fields)
    return Delivery.objects.get(notification=row)


def jobs() -> int:
    return ProcrastinateJob.objects.filter(task_name="notifications.deliver_email").count()


def retry(client: Client, delivery: Delivery, **given: str) -> Any:
    address = reverse("admin:notifications_delivery_retry", args=(delivery.pk,))
    return client.post(address, {"_form_submitted": "on", **given}, **HTMX)


@pytest.mark.parametrize("role", ["support", "admin"])
def test_the_list_shows_how_mails_went(role: str) -> None:
    gone = went("bounced", error="550 no such user <…>", carrier="mailgun", provider_id="<delivery-1@x>")
    client = signed_in(staff(role))

    text = strip_tags(client.get(LIST).content.decode())

    assert "booking.confirmed" in text
    assert "550 no such user" in text
    assert "&lt;delivery-1@x&gt;" in text
    assert ("ana.banana@example.com" in text) == (role == "admin")
    assert ("a•••@e•••.com" in text) == (role == "support")
    assert " ".join(text.split()).count("due now 1") == 1
    pages = [
        reverse("admin:notifications_delivery_change", args=(gone.pk,)),
        reverse("admin:notifications_notification_change", args=(gone.notification_id,)),
    ]
    assert ["Mailgun" in each for each in (text, *(client.get(page).content.decode() for page in pages))] == [
        *(True, True, True)
    ]


def test_lists_cost_the_same_for_one_row_and_three() -> None:
    client = signed_in(staff("support"))
    went("failed")
    client.get(LIST)
    with CaptureQueriesContext(connection) as one:
        client.get(LIST)
    for _each in range(2):
        row = Notification.objects.create(
            user=make_user(), kind="booking.canceled", object_key="x", created_at=NOW
        )
        Delivery.objects.create(notification=row, channel="email", state="failed", created_at=NOW)
    with CaptureQueriesContext(connection) as three:
        client.get(LIST)

    assert len(one) == len(three)


def test_a_failed_mail_is_sent_again_for_a_reason() -> None:
    delivery, before = went("failed"), jobs()

    answer = retry(signed_in(staff("support")), delivery, reason="They asked for it")

    assert answer.status_code in (200, 302)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, jobs()) == ("queued", 3, before + 1)
    entry = AuditEntry.objects.get(action="delivery.retried")
    assert (entry.object_id, entry.reason, entry.before["state"]) == (
        str(delivery.pk),
        "They asked for it",
        "failed",
    )


def test_no_mail_is_sent_again_without_a_reason_or_that_has_arrived() -> None:
    failed, before = went("failed"), jobs()
    support = staff("support")

    with pytest.raises(Invalid):
        mailboxes.send_again(actor=support, delivery=failed, reason=" ", now=NOW)
    with pytest.raises(NotAllowed):
        mailboxes.send_again(actor=staff("finance"), delivery=failed, reason="why", now=NOW)
    for state in ("queued", "sending", "sent", "delivered"):
        Delivery.objects.update(state=state)
        with pytest.raises(WrongState):
            mailboxes.send_again(actor=support, delivery=failed, reason="why", now=NOW)

    assert jobs() == before
    assert not AuditEntry.objects.filter(action="delivery.retried").exists()


def test_an_address_is_released_for_a_reason() -> None:
    user = make_user(email="gone@example.com")
    suppressions.suppress(channel="email", address=user.email, reason="550 no such user", now=NOW)
    row = SuppressedAddress.objects.get()
    client = signed_in(staff("support"))
    address = reverse("admin:notifications_suppressedaddress_release", args=(row.pk,))

    listed = strip_tags(
        client.get(reverse("admin:notifications_suppressedaddress_changelist")).content.decode()
    )
    assert "g•••@e•••.com" in listed
    assert "gone@example.com" not in listed
    client.post(address, {"_form_submitted": "on", "reason": ""}, **HTMX)
    assert SuppressedAddress.objects.count() == 1
    client.post(address, {"_form_submitted": "on", "reason": "Works again"}, **HTMX)

    assert SuppressedAddress.objects.count() == 0
    entry = AuditEntry.objects.get(action="suppressed_address.released")
    assert (entry.object_id, entry.reason) == (str(user.pk), "Works again")
    with pytest.raises(WrongState):
        mailboxes.release(actor=staff("support"), row=row, reason="again", now=NOW)


def asked(**more: str) -> dict[str, str]:
    values = {"kind": "booking.confirmed", "language": "fr", "channel": "html", "scheme": "light"}
    return {**values, "reference": "", **more}


def test_the_preview_shows_a_made_up_mail_in_a_frame_that_is_shut_in() -> None:
    client = signed_in(staff("support"))
    told = (Notification.objects.count(), Delivery.objects.count())

    page = client.get(PREVIEW, asked())
    sheet = client.get(SHEET, asked())

    text = page.content.decode()
    assert 'data-testid="made-up"' in text
    assert '<iframe sandbox="" class="ko-sheet"' in text
    assert "Bonjour Ana" in sheet.content.decode()
    assert Seen(sheet.content.decode()).links
    policy = sheet["Content-Security-Policy"]
    assert policy.split("; ")[0] == "default-src 'none'"
    assert policy.endswith("; frame-ancestors 'self'; sandbox")
    assert sheet["X-Frame-Options"] == "SAMEORIGIN"
    assert page["X-Frame-Options"] == "DENY"
    assert (Notification.objects.count(), Delivery.objects.count()) == told


@pytest.mark.parametrize(("scheme", "media"), [("light", "@media not all"), ("dark", "@media all")])
def test_the_preview_shows_both_colours(scheme: str, media: str) -> None:
    sheet = signed_in(staff("admin")).get(SHEET, asked(scheme=scheme)).content.decode()

    assert media in sheet
    assert f'<meta name="color-scheme" content="{scheme}">' in sheet


@pytest.mark.parametrize(("channel", "begins"), [("text", "Bonjour Ana,"), ("sms", "")])
def test_the_preview_shows_plain_texts(channel: str, begins: str) -> None:
    page = signed_in(staff("support")).get(PREVIEW, asked(channel=channel)).content.decode()

    shown = page.partition(f'data-testid="{channel}">')[2].partition("</pre>")[0]
    assert shown.startswith(begins)
    assert shown.strip()
    assert "<iframe" not in page


def test_the_preview_of_a_real_booking_leaves_the_address_out() -> None:
    booking = make_booking(line1="Rua da Bica 12", title="House <script>alert(1)</script>")
    client = signed_in(staff("support"))

    page = client.get(PREVIEW, asked(reference=booking.reference.lower())).content.decode()
    sheet = client.get(SHEET, asked(reference=booking.reference)).content.decode()

    assert 'data-testid="made-up"' not in page
    assert booking.reference in sheet
    assert "•••" in sheet
    assert "Rua da Bica" not in page + sheet
    assert booking.guest.email not in page + sheet
    assert "<script>alert" not in page + sheet


def test_the_preview_knows_what_it_cannot_show() -> None:
    client, support = signed_in(staff("support")), staff("support")

    page = client.get(PREVIEW, asked(reference="NOSUCH")).content.decode()

    assert "There is no such booking" in page
    assert client.get(SHEET, asked(reference="NOSUCH")).status_code == 404
    assert client.get(SHEET, asked(kind="nonsense")).status_code == 404
    with pytest.raises(NotFound):
        preview.show(actor=support, kind="nonsense", language="en", now=NOW)
    with pytest.raises(NotAllowed):
        preview.show(actor=make_user(), kind="booking.confirmed", language="en", now=NOW)


@pytest.mark.parametrize("role", ["moderator", "finance"])
def test_the_preview_is_for_those_who_help_people(role: str) -> None:
    client = signed_in(staff(role))

    assert [client.get(address, asked()).status_code for address in (PREVIEW, SHEET)] == [403, 403]


def test_a_browser_shows_the_mail_in_its_frame(
    start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    support = staff("support")
    server = start_server()

    def steps(page: Browser) -> tuple[str, str]:
        page.goto(f"{server.url}{LIST}")
        page.click("text=Preview")
        page.select_option("select[name=kind]", "booking.changed")
        page.select_option("select[name=scheme]", "dark")
        page.click("button:has-text('Show')")
        frame = page.frame_locator("iframe[data-testid=sheet]")
        expect(frame.locator("h1")).to_contain_text("Changed: Flat over the river")
        colour = frame.locator(".card").first.evaluate("each => getComputedStyle(each).backgroundColor")
        if os.environ.get("SHOT"):
            page.screenshot(path=os.environ["SHOT"], full_page=True)
        return page.locator("[data-testid=made-up]").inner_text(), str(colour)

    said, colour = browse(server.url, support.username, steps)

    assert said.startswith("Made up:")
    assert colour == "rgb(36, 31, 26)"
