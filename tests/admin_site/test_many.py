"""Actions on several rows: each by its own operation, the outcome told row by row."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone

from backend.audit.models import AuditEntry
from backend.payments import payouts
from backend.payments.models import Payout
from tests.admin_site.test_money import due_payout
from tests.admin_site.world import HTMX, signed_in, staff

pytestmark = pytest.mark.usefixtures("db")

LIST = "/admin/payments/payout/"


def many(client: Client, action: str, rows: list[Payout], **given: str) -> Any:
    query = "&".join(f"_selected_action={row.pk}" for row in rows)
    body = {"_form_submitted": "on", "reason": "All is well", **given}
    return client.post(f"{LIST}{action}/?{query}", body, **HTMX)


def test_held_payouts_are_released_together_and_the_refused_one_is_named() -> None:
    finance = staff("finance")
    client = signed_in(finance)
    held, also_held, free = due_payout(), due_payout(), due_payout()
    for row in (held, also_held):
        payouts.hold(actor=finance, payout_id=row.pk, reason="Look", now=timezone.now())

    shown = client.get(
        f"{LIST}release-many/?_selected_action={held.pk}&_selected_action={also_held.pk}", **HTMX
    ).content.decode()
    answer = many(client, "release-many", [held, also_held, free])

    assert "EUR 507.00" in shown
    assert answer["HX-Redirect"] == LIST
    assert sorted(map(str, get_messages(answer.wsgi_request))) == [
        "Released: 2.",
        f"{free.reference}: This payout is not on hold.",
    ]
    assert set(Payout.objects.values_list("status", flat=True)) == {"scheduled"}
    entries = AuditEntry.objects.filter(action="payout.release")
    assert {(entry.object_id, entry.reason) for entry in entries} == {
        (str(row.pk), "All is well") for row in (held, also_held)
    }


def test_nothing_ticked_or_no_reason_changes_nothing() -> None:
    client = signed_in(staff("finance"))
    row = due_payout()

    nothing, silent = many(client, "hold-many", []), many(client, "hold-many", [row], reason=" ")

    assert "Tick the rows first" in nothing.content.decode()
    assert "This field is required." in silent.content.decode()
    assert client.post(f"{LIST}hold-many/?_selected_action=x", {}, **HTMX).status_code == 404
    assert Payout.objects.get().status == "scheduled"
    assert not AuditEntry.objects.filter(action="payout.hold").exists()


def test_support_has_no_actions_on_many() -> None:
    row = due_payout()

    assert many(signed_in(staff("support")), "hold-many", [row]).status_code == 403

    assert Payout.objects.get().status == "scheduled"
