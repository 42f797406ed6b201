"""Payouts in the back office: looked at, held, let go, tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backend.payments.models import Payout, PayoutAccount, PayoutSplit
from tests.admin_site.test_actions import act, shown_actions, url
from tests.admin_site.world import audited, signed_in, staff
from tests.factories import make_listing, make_user
from tests.payments.hosts import account, earn, send

pytestmark = pytest.mark.usefixtures("db")


def _payout(destination: str = "") -> Payout:
    """A payout that is due tomorrow, by the machine's clock."""
    host = make_user()
    account(host, destination)
    earn(host, now=timezone.now(), due_at=timezone.now() + timedelta(days=1))
    return Payout.objects.get()


def _waiting(client: Client) -> str:
    """How many payouts the dashboard says need attention."""
    waiting = client.get(reverse("admin:index")).context["waiting"]
    return str(next(kind["count"] for kind in waiting if kind["key"] == "payouts"))


def test_payout_is_held_and_released_with_a_reason() -> None:
    payout, finance = _payout(), staff("finance")
    client = signed_in(finance)
    assert shown_actions(client, payout) == {"Hold", "Pay now"}

    act(client, payout, "hold", reason="The guest has called")
    payout.refresh_from_db()
    assert payout.status == "on_hold"
    assert shown_actions(client, payout) == {"Hold", "Release", "Pay now"}
    act(client, payout, "release", reason="All is well")

    payout.refresh_from_db()
    assert payout.status == "scheduled"
    assert [audited(action).reason for action in ("payout.hold", "payout.release")] == [
        "The guest has called",
        "All is well",
    ]


def test_payout_is_made_due() -> None:
    payout = _payout()

    act(signed_in(staff("admin")), payout, "pay_now", reason="In need")

    payout.refresh_from_db()
    assert payout.due_at <= timezone.now()
    assert payout.status == "scheduled"


def test_failed_payout_is_found_by_its_badge_and_tried_again() -> None:
    payout = _payout("decline")
    at = payout.due_at
    for _number in range(4):
        send(at)
        payout.refresh_from_db()
        at = payout.due_at
    client = signed_in(staff("finance"))
    listed = client.get(reverse("admin:payments_payout_changelist"), {"attention": "yes"})
    assert payout.reference in listed.content.decode()
    assert _waiting(client) == "1"

    act(client, payout, "retry", reason="New account")

    payout.refresh_from_db()
    assert (payout.status, payout.needs_attention) == ("scheduled", False)
    assert _waiting(client) == "0"


def test_refusal_is_said_in_the_dialog_and_changes_nothing() -> None:
    payout, finance = _payout(), staff("finance")

    answer = act(signed_in(finance), payout, "release", reason="Nothing holds it")

    assert "This payout is not on hold." in answer.content.decode()
    payout.refresh_from_db()
    assert payout.status == "scheduled"


def test_pages_show_accounts_masked_and_are_for_those_who_deal_with_money() -> None:
    payout = _payout("return")
    made, split = (
        PayoutAccount.objects.get(),
        PayoutSplit.objects.create(
            listing=make_listing(payout.receiver), user=make_user(), percent=12, created_at=timezone.now()
        ),
    )
    finance, moderator = signed_in(staff("finance")), signed_in(staff("moderator"))

    for row in (payout, made, split):
        page = reverse(f"admin:payments_{row._meta.model_name}_change", args=(row.pk,))
        listed = reverse(f"admin:payments_{row._meta.model_name}_changelist")
        assert [finance.get(path).status_code for path in (page, listed)] == [200, 200]
        assert [moderator.get(path).status_code for path in (page, listed)] == [403, 403]
    shown = finance.get(reverse("admin:payments_payoutaccount_change", args=(made.pk,))).content.decode()
    assert "sealed:" not in shown
    assert moderator.post(url(payout, "hold"), {"reason": "x", "_form_submitted": "on"}).status_code == 403
    found = finance.get(reverse("admin:payments_payout_changelist"), {"q": payout.reference})
    assert payout.reference in found.content.decode()
