"""Webhooks and keys of hosts, as staff see and help with them: never a secret, and each act in the audit log."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from admin_site.system.webhooks import WebhookDeliveryPage
from backend.accounts.models import ApiKey, User
from backend.audit.models import AuditEntry
from backend.core.errors import Unauthenticated
from backend.identity import api_keys
from backend.notifications.models import Notification
from backend.notifications.rendering import render
from backend.webhooks import delivering
from backend.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.admin_site.world import signed_in, staff
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")

SECRET = "whsec_bmV2ZXItc2hvd24tdG8tYW55Ym9keQ=="
TOKEN = "krb_of-a-host-and-never-shown"


def endpoint(host: User) -> WebhookEndpoint:
    now = timezone.now()
    return WebhookEndpoint.objects.create(
        user=host,
        url="https://pms.example/in/planted-path",
        description="Channel manager",
        secret=SECRET,
        previous_secret=SECRET,
        created_at=now,
        updated_at=now,
    )


def delivery(to: WebhookEndpoint, state: str = "failed", *statuses: int) -> WebhookDelivery:
    now = timezone.now()
    row = WebhookDelivery.objects.create(
        endpoint=to,
        event_id=f"evt_{WebhookDelivery.objects.count()}",
        type="booking.updated",
        object_key="booking:1",
        data={"planted": "content"},
        created_at=now,
        state=state,
        attempts=len(statuses),
        next_at=now,
    )
    for number, status in enumerate(statuses, 1):
        WebhookAttempt.objects.create(delivery=row, number=number, at=now, status=status, took_ms=12)
    return row


def key(host: User, *, token: str = TOKEN) -> ApiKey:
    return ApiKey.objects.create(
        user=host,
        name="Desk",
        prefix=token[: api_keys.SHOWN],
        digest=api_keys._digest(token),
        scopes=["listings:read", "bookings:read"],
        created_at=timezone.now(),
    )


def act(who: User, name: str, row: int, **given: str) -> int:
    client = signed_in(who)
    form = {"reason": "They asked for it.", **given, "_form_submitted": "on"}
    answer = client.post(reverse(f"admin:{name}", args=(row,)), form, HTTP_HX_REQUEST="true")
    assert b"errorlist" not in answer.content
    return answer.status_code


def entry(action: str) -> AuditEntry:
    return AuditEntry.objects.get(action=action)


def jobs() -> int:
    return ProcrastinateJob.objects.filter(task_name=delivering.JOB, status="todo").count()


def test_pages_show_no_secret_no_path_and_no_content() -> None:
    host = make_user("host")
    hook = endpoint(host)
    sent = delivery(hook, "delivered", 503, 204)
    key(host)
    client = signed_in(staff("support"))

    pages = [
        client.get(address).content.decode()
        for name, row in (
            *(("webhooks_webhookendpoint", hook.pk), ("webhooks_webhookdelivery", sent.pk)),
            ("accounts_apikey", ApiKey.objects.get().pk),
        )
        for address in (reverse(f"admin:{name}_changelist"), reverse(f"admin:{name}_change", args=(row,)))
    ]

    for page in pages:
        for planted in (SECRET, "planted-path", "planted", "never-shown"):
            assert planted not in page
    assert all("pms.example" in page for page in pages[:4])
    assert [page.count("204") > 0 for page in pages[1:4]] == [True] * 3
    assert all("krb_of-a-hos…" in page for page in pages[4:])


def test_test_is_sent_for_a_host() -> None:
    hook, member = endpoint(make_user("host")), staff("support")

    assert act(member, "webhooks_webhookendpoint_send_test", hook.pk) == 200

    sent = WebhookDelivery.objects.get()
    assert (sent.endpoint_id, sent.type, sent.state, jobs()) == (hook.pk, "webhook.test", "waiting", 1)
    noted = entry("webhook.tested")
    assert (noted.actor_id, noted.in_stead_of_id, noted.reason, noted.after) == (
        *(member.pk, hook.user_id, "They asked for it."),
        {"event": sent.event_id},
    )


def test_one_delivery_is_sent_again() -> None:
    hook = endpoint(make_user("host"))
    lost, other = delivery(hook, "failed", 500), delivery(hook, "failed", 500)

    act(staff("support"), "webhooks_webhookdelivery_send_again", lost.pk)

    states = dict(WebhookDelivery.objects.values_list("pk", "state"))
    assert (states, jobs()) == ({lost.pk: "waiting", other.pk: "failed"}, 1)
    assert entry("webhook.sent_again").after == {"delivery": lost.pk, "queued": 1}


def test_all_since_a_moment_are_sent_again() -> None:
    hook = endpoint(make_user("host"))
    old, new = delivery(hook, "failed", 500), delivery(hook, "delivered", 200)
    WebhookDelivery.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    since = timezone.now() - timedelta(days=1)

    act(
        staff("admin"),
        "webhooks_webhookendpoint_send_again",
        hook.pk,
        since=f"{since:%Y-%m-%dT%H:%M}",
    )

    assert dict(WebhookDelivery.objects.values_list("pk", "state")) == {old.pk: "failed", new.pk: "waiting"}
    assert entry("webhook.sent_again").after["queued"] == 1


def test_next_attempt_is_told_of_what_will_be_tried_again_only() -> None:
    hook, off = endpoint(make_user("host")), endpoint(make_user("host"))
    WebhookEndpoint.objects.filter(pk=off.pk).update(disabled_at=timezone.now(), disabled_reason="by_user")
    waits = delivery(hook, "waiting", 500)
    for ended in (delivery(hook, "failed", 500), delivery(hook, "delivered", 200), delivery(off, "waiting")):
        WebhookDelivery.objects.filter(pk=ended.pk).update(next_at=waits.next_at)
    client = signed_in(staff("support"))

    answer = client.get(reverse("admin:webhooks_webhookdelivery_changelist"))

    page: WebhookDeliveryPage = answer.context["cl"].model_admin
    shown = {each.pk: page.next_try(each) for each in answer.context["cl"].result_list}
    assert {pk: at for pk, at in shown.items() if at is not None} == {waits.pk: waits.next_at}
    assert len(shown) == 4


def test_webhook_is_switched_off_once_and_its_owner_told_why() -> None:
    hook, member = endpoint(make_user("host")), staff("support")

    assert act(member, "webhooks_webhookendpoint_switch_off", hook.pk) == 200

    hook.refresh_from_db()
    assert (hook.disabled_at is not None, hook.disabled_reason) == (True, "by_staff")
    told = Notification.objects.get()
    assert (told.user_id, told.kind) == (hook.user_id, "webhook.switched_off")
    assert render(told, "en") == (
        "Our team switched your webhook off",
        "Nothing more is sent to your webhook “Channel manager”: They asked for it. You can switch it on again when that "
        "is mended.",
    )
    address = reverse("admin:webhooks_webhookendpoint_switch_off", args=(hook.pk,))
    form = {"reason": "Again.", "_form_submitted": "on"}
    again = signed_in(member).post(address, form, HTTP_HX_REQUEST="true")
    assert "Switch it on first" in again.content.decode()
    assert (
        Notification.objects.count(),
        AuditEntry.objects.filter(action__startswith="webhook.").count(),
    ) == (
        1,
        1,
    )


def test_revoked_key_is_refused_from_then_on() -> None:
    host, member = make_user("host"), staff("moderator")
    row = key(host)
    assert api_keys.authenticate(token=TOKEN, now=timezone.now()) == host

    assert act(member, "accounts_apikey_revoke", row.pk) == 200

    with pytest.raises(Unauthenticated):
        api_keys.authenticate(token=TOKEN, now=timezone.now())
    noted = entry("api_key.revoked")
    assert (noted.actor_id, noted.in_stead_of_id, noted.reason) == (member.pk, host.pk, "They asked for it.")


def test_owner_of_a_revoked_key_is_told_why_by_notice_and_mail() -> None:
    host = make_user("host")
    row = key(host)

    act(staff("support"), "accounts_apikey_revoke", row.pk)

    told = Notification.objects.get()
    assert (told.user_id, told.kind) == (host.pk, "security.api_key_revoked")
    assert render(told, "en")[1] == (
        f"Our team revoked the key “{row.name}”: They asked for it. Programs that have it can no longer act for you. "
        "You can make another one."
    )
    assert list(told.deliveries.values_list("channel", "state")) == [("email", "queued")]
    address = reverse("admin:accounts_apikey_revoke", args=(row.pk,))
    again = signed_in(staff("support")).post(
        address, {"reason": "Again.", "_form_submitted": "on"}, HTTP_HX_REQUEST="true"
    )
    assert "This key was revoked before." in again.content.decode()
    assert Notification.objects.count() == 1


def test_rows_are_found_by_their_owner_and_by_what_one_has_in_hand() -> None:
    host, other = make_user("host", username="ayo"), make_user("host", username="bo")
    hook, sent, row = endpoint(host), delivery(endpoint(other)), key(host)
    client = signed_in(staff("support"))

    def found(page: str, term: str) -> list[int]:
        answer = client.get(reverse(f"admin:{page}_changelist"), {"q": term})
        return [each.pk for each in answer.context["cl"].result_list]

    assert found("webhooks_webhookendpoint", "ayo") == [hook.pk]
    assert found("webhooks_webhookdelivery", "bo") == [sent.pk]
    assert found("webhooks_webhookdelivery", sent.event_id) == [sent.pk]
    assert found("accounts_apikey", "krb_of-a-host-and") == [row.pk]
    assert found("accounts_apikey", "bo") == []


@pytest.mark.parametrize("page", ["webhooks_webhookendpoint", "webhooks_webhookdelivery", "accounts_apikey"])
def test_lists_cost_the_same_for_one_row_and_for_three(page: str) -> None:
    client = signed_in(staff("admin"))

    def cost() -> int:
        host = make_user("host")
        delivery(endpoint(host), "failed", 500)
        key(host, token=f"krb_{host.pk:020}")
        with CaptureQueriesContext(connection) as asked:
            assert client.get(reverse(f"admin:{page}_changelist")).status_code == 200
        return len(asked)

    cost()
    one = cost()
    assert cost() == one
