"""Payouts: what is written down, what holds it, what is sent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from backend.core import platform
from backend.notifications.models import Notification
from backend.payments import payouts
from backend.payments import services as payments
from backend.payments.models import MoneyOp, Payout, SandboxRecord
from tests.bookings.making import wrong_books
from tests.factories import NOW, make_user
from tests.payments.hosts import LATER, SHARE, account, booked, earn, owes, send, shown

pytestmark = pytest.mark.usefixtures("db")


def _kinds(user: object) -> list[str]:
    return list(Notification.objects.filter(user=user).order_by("id").values_list("kind", flat=True))


def test_payout_is_scheduled_sent_and_booked_once() -> None:
    host = make_user()
    account(host)
    folio = earn(host)

    assert shown(host) == [("scheduled", SHARE, SHARE, "EUR", [])]
    first, second = send(), send()

    payout = Payout.objects.get()
    assert (len(first.ops), len(second.ops)) == (1, 0)
    assert (payout.status, payout.sent_at, payout.paid_at) == ("paid", LATER, LATER)
    assert (payout.paid_minor, payout.paid_currency, payout.rate) == (SHARE, "EUR", None)
    assert booked("payout.sent") == [("clearing:sandbox", "EUR", -SHARE), ("host_payable", "EUR", SHARE)]
    assert owes(folio) == 0
    assert list(SandboxRecord.objects.filter(kind="payout").values_list("amount_minor", "calls")) == [
        (SHARE, 1)
    ]
    assert _kinds(host) == ["payout.sent"]
    assert wrong_books() == {}


def test_schedule_again_writes_nothing() -> None:
    host = make_user()
    folio = earn(host)

    with transaction.atomic():
        again = payouts.schedule(folio=folio, due_at=NOW, now=NOW)

    assert again == []
    assert payouts.schedule_rest(now=NOW) == {"scheduled": 0}
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["no_account"])]
    assert _kinds(host) == ["payout.on_hold"]


def test_payout_is_not_sent_before_it_is_due() -> None:
    host = make_user()
    account(host)
    earn(host, due_at=LATER)

    assert send(LATER - timedelta(seconds=1)).ops == []
    assert shown(host) == [("scheduled", SHARE, SHARE, "EUR", [])]
    assert len(send(LATER).ops) == 1
    assert shown(host) == [("paid", SHARE, SHARE, "EUR", [])]


def test_payout_without_account_waits_until_there_is_one() -> None:
    host = make_user()
    earn(host)
    assert send().ops == []

    account(host)

    assert shown(host) == [("scheduled", SHARE, SHARE, "EUR", [])]
    send()
    assert shown(host) == [("paid", SHARE, SHARE, "EUR", [])]


def test_payout_in_another_currency_keeps_its_rate_and_rounds_into_fx() -> None:
    host = make_user()
    account(host, currency="JPY")
    folio = earn(host)

    send()

    payout = Payout.objects.get()
    assert payout.rate is not None
    assert payout.paid_currency == "JPY"
    assert payout.paid_minor == round(payout.rate * SHARE / 100)
    assert booked("payout.sent") == [
        ("clearing:sandbox", "JPY", -payout.paid_minor),
        ("fx", "JPY", payout.paid_minor),
        ("fx", "EUR", -SHARE),
        ("host_payable", "EUR", SHARE),
    ]
    assert owes(folio) == 0
    assert wrong_books() == {}


def test_debt_of_another_stay_is_netted_first() -> None:
    host = make_user()
    account(host)
    owed = earn(host)
    send()
    with transaction.atomic():
        payments.penalize(folio=owed, amount_minor=5_000, now=LATER)
    folio = earn(host, now=LATER)

    send()

    assert shown(host) == [("paid", SHARE, SHARE, "EUR", []), ("paid", SHARE, SHARE - 5_000, "EUR", [])]
    assert booked("payout.netted") == [("host_payable", "EUR", 5_000), ("host_payable", "EUR", -5_000)]
    assert (owes(owed), owes(folio)) == (0, 0)
    assert wrong_books() == {}


def test_debt_larger_than_a_payout_takes_all_of_it_and_goes_on() -> None:
    host = make_user()
    account(host)
    owed = earn(host)
    send()
    with transaction.atomic():
        payments.penalize(folio=owed, amount_minor=SHARE + 1_000, now=LATER)
    earn(host, now=LATER)

    done = send()
    assert (done.netted, done.ops) == (1, [])
    earn(host, now=LATER)
    send()

    assert shown(host)[1:] == [("paid", SHARE, 0, "EUR", []), ("paid", SHARE, SHARE - 1_000, "EUR", [])]
    assert MoneyOp.objects.filter(kind="payout").count() == 2
    assert owes(owed) == 0
    assert _kinds(host).count("payout.netted") == 1
    assert wrong_books() == {}


def test_debt_in_another_currency_is_netted_through_fx() -> None:
    host = make_user()
    account(host)
    owed = earn(host, currency="USD")
    send()
    with transaction.atomic():
        payments.penalize(folio=owed, amount_minor=5_000, now=LATER)
    folio = earn(host, now=LATER)

    send()

    last = Payout.objects.order_by("-id")[0]
    assert booked("payout.netted") == [
        ("host_payable", "EUR", last.netted_minor),
        ("host_payable", "USD", -5_000),
        ("fx", "EUR", -last.netted_minor),
        ("fx", "USD", 5_000),
    ]
    assert 0 < last.netted_minor < 5_000
    assert (owes(owed), owes(folio)) == (0, 0)
    assert wrong_books() == {}


def test_debt_of_its_own_stay_lowers_a_payout_without_a_transaction() -> None:
    host = make_user()
    account(host)
    folio = earn(host)
    with transaction.atomic():
        payments.penalize(folio=folio, amount_minor=350, now=NOW)

    send()

    assert shown(host) == [("paid", SHARE, SHARE - 350, "EUR", [])]
    assert booked("payout.netted") == []
    assert owes(folio) == 0
    assert wrong_books() == {}


def test_penalty_waived_after_netting_is_owed_again() -> None:
    host = make_user()
    account(host)
    owed = earn(host)
    send()
    with transaction.atomic():
        payments.penalize(folio=owed, amount_minor=5_000, now=LATER)
    earn(host, now=LATER)
    send()

    with transaction.atomic():
        payments.forgive(folio=owed, amount_minor=5_000, now=LATER)
    assert payouts.schedule_rest(now=LATER) == {"scheduled": 1}
    send()

    assert shown(host)[2] == ("paid", 5_000, 5_000, "EUR", [])
    assert Payout.objects.filter(folio=owed).order_by("part").values_list("part", flat=True)[1] == 2
    assert owes(owed) == 0
    assert wrong_books() == {}


def test_new_host_waits_and_staff_may_let_it_go() -> None:
    platform.put("new_host_hold_days", 30)
    finance, host, other = make_user("finance"), make_user(), make_user()
    account(host), account(other)
    earn(host), earn(other)
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["new_host"])]

    payouts.release(actor=finance, payout_id=Payout.objects.get(receiver=host).pk, reason="Known.", now=NOW)
    assert send(LATER).held == 1
    assert (shown(host)[0][0], shown(other)[0][0]) == ("paid", "on_hold")

    send(NOW + timedelta(days=30))
    assert shown(other) == [("paid", SHARE, SHARE, "EUR", [])]


def test_payouts_below_the_minimum_wait_for_each_other() -> None:
    platform.put("payout_minimum", 300)
    host = make_user()
    account(host)
    earn(host)
    assert send().held == 1
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["below_minimum"])]

    earn(host, now=LATER)
    assert len(send().ops) == 2

    assert [row[0] for row in shown(host)] == ["paid", "paid"]
    assert wrong_books() == {}


def test_another_account_holds_payouts_for_a_while_and_mails_the_host() -> None:
    host = make_user()
    account(host)
    earn(host)
    second = account(host, now=NOW)
    assert shown(host) == [("scheduled", SHARE, SHARE, "EUR", [])]

    from backend.payments import payout_accounts

    payout_accounts.set_default(actor=host, account_id=second.pk, now=NOW)
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["account_changed"])]
    assert send(NOW + timedelta(hours=24, seconds=-1)).ops == []
    assert len(send(NOW + timedelta(hours=24)).ops) == 1

    payout = Payout.objects.get()
    assert (payout.status, payout.account) == ("paid", second)
    assert _kinds(host) == ["security.payout_account_changed", "payout.on_hold", "payout.sent"]
