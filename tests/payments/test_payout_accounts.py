"""Where hosts are paid."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotFound
from backend.notifications.models import Notification
from backend.payments import payout_accounts, payouts
from backend.payments import services as payments
from backend.payments.folios import Line
from backend.payments.models import Folio, MoneyOp, Payout, PayoutAccount
from backend.payments.providers.base import AccountState, Result
from backend.privacy import obstacles
from tests.bookings.making import wrong_books
from tests.factories import NOW, make_user
from tests.payments.hosts import LATER, SHARE, account, booked, earn, owes, send, shown

pytestmark = pytest.mark.usefixtures("db")


def test_account_keeps_its_destination_sealed() -> None:
    host = make_user()

    made = account(host, "decline")

    made.refresh_from_db()
    assert (made.status, made.is_default, made.shown) == ("active", True, "decline")
    assert made.destination == "decline"
    entry = AuditEntry.objects.get(action="payout_account.add")
    assert entry.after == {"provider": "sandbox", "currency": ""}


def test_second_account_does_not_take_the_first_ones_place_by_itself() -> None:
    host = make_user()
    first, second = account(host), account(host, currency="USD")

    assert (first.is_default, second.is_default) == (True, False)
    payout_accounts.set_default(actor=host, account_id=second.pk, now=LATER)
    payout_accounts.set_default(actor=host, account_id=second.pk, now=LATER + timedelta(hours=1))

    rows = PayoutAccount.objects.order_by("id").values_list("is_default", "replaced_at")
    assert list(rows) == [(False, None), (True, LATER)]
    assert list(Notification.objects.values_list("kind", flat=True)) == ["security.payout_account_changed"]
    assert AuditEntry.objects.filter(action="payout_account.choose").count() == 1


def test_too_many_accounts_are_refused() -> None:
    host = make_user()
    for _number in range(payout_accounts.MOST):
        account(host)

    with pytest.raises(Invalid):
        account(host)

    assert PayoutAccount.objects.count() == payout_accounts.MOST


def test_disable_hands_over_to_another_account() -> None:
    host = make_user()
    first, second = account(host), account(host)
    earn(host)

    payout_accounts.disable(actor=host, account_id=first.pk, now=LATER)
    payout_accounts.disable(actor=host, account_id=first.pk, now=LATER)

    rows = PayoutAccount.objects.order_by("id").values_list("status", "is_default")
    assert list(rows) == [("disabled", False), ("active", True)]
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["account_changed"])]
    with pytest.raises(payout_accounts.PayoutsUnderWay):
        payout_accounts.disable(actor=host, account_id=second.pk, now=LATER)
    with pytest.raises(payout_accounts.AccountUnusable):
        payout_accounts.set_default(actor=host, account_id=first.pk, now=LATER)
    with pytest.raises(NotFound):
        payout_accounts.disable(actor=make_user(), account_id=second.pk, now=LATER)
    assert list(rows.all()) == [("disabled", False), ("active", True)]


def test_disable_waits_for_what_is_on_its_way() -> None:
    host = make_user()
    first = account(host, "timeout")
    account(host)
    earn(host)
    send()

    with pytest.raises(payout_accounts.PayoutsUnderWay):
        payout_accounts.disable(actor=host, account_id=first.pk, now=LATER)

    first.refresh_from_db()
    assert first.status == "active"


def test_learn_restricts_an_account_and_lets_it_work_again() -> None:
    host = make_user()
    made = account(host)
    PayoutAccount.objects.filter(pk=made.pk).update(provider_ref="acct_1")
    earn(host)
    restricted = AccountState("acct_1", "restricted", ["individual.id_number"], shown="•••• 4242")

    learned = payout_accounts.learn(provider="sandbox", state=restricted, now=NOW)
    payout_accounts.learn(provider="sandbox", state=restricted, now=LATER)

    assert learned is not None
    assert (learned.status, learned.requirements, learned.shown) == (
        "restricted",
        ["individual.id_number"],
        "•••• 4242",
    )
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["account_restricted"])]
    assert send().ops == []
    kinds = Notification.objects.filter(user=host).order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["payout_account.restricted", "payout.on_hold"]

    payout_accounts.learn(provider="sandbox", state=AccountState("acct_1", "active"), now=LATER)
    assert shown(host) == [("scheduled", SHARE, SHARE, "EUR", [])]
    send()
    assert shown(host)[0][0] == "paid"


def test_learn_of_a_stranger_or_a_disabled_account_changes_nothing() -> None:
    host = make_user()
    made = account(host)
    PayoutAccount.objects.filter(pk=made.pk).update(provider_ref="acct_1")
    payout_accounts.disable(actor=host, account_id=made.pk, now=NOW)

    stranger = payout_accounts.learn(provider="sandbox", state=AccountState("acct_2", "active"), now=NOW)
    payout_accounts.learn(provider="sandbox", state=AccountState("acct_1", "active"), now=NOW)

    assert stranger is None
    assert list(PayoutAccount.objects.values_list("status", "is_default")) == [("disabled", False)]
    assert Payout.objects.count() == 0


def _set_up_wallets(settings: Settings, key: str = "x") -> None:
    """Let PayPal and M-Pesa be set up; without a ``key`` neither is, and guests pay at the sandbox."""
    settings.PAYPAL_CLIENT_ID = settings.PAYPAL_SECRET = key
    settings.MPESA_CONSUMER_KEY = settings.MPESA_CONSUMER_SECRET = key
    settings.MPESA_SHORT_CODE, settings.MPESA_PASSKEY = "174379", key
    settings.MPESA_INITIATOR = settings.MPESA_SECURITY_CREDENTIAL = key


def test_destinations_are_checked_masked_and_sealed(settings: Settings) -> None:
    _set_up_wallets(settings)
    host = make_user()

    email = payout_accounts.add(
        actor=host, provider="paypal", currency="EUR", destination=" ana@example.com ", now=NOW
    )
    phone = payout_accounts.add(
        actor=host, provider="mpesa", currency="KES", destination="+254 712 345-678", now=NOW
    )

    assert (email.shown, email.destination) == ("a•••@example.com", "ana@example.com")
    assert (phone.shown, phone.destination) == ("•••• 78", "+254712345678")
    with connection.cursor() as cursor:
        cursor.execute("SELECT destination FROM payout_accounts")
        kept = str(cursor.fetchall())
    assert ("ana@" in kept, "712345" in kept, kept.count("sealed:v2:")) == (False, False, 2)
    for provider, currency, destination in (
        ("paypal", "EUR", "nobody"),
        ("paypal", "KES", "ana@example.com"),
        ("mpesa", "KES", "0712"),
        ("mpesa", "EUR", "+254712345678"),
        ("sandbox", "EUR", ""),
    ):
        with pytest.raises(Invalid):
            payout_accounts.add(
                actor=host, provider=provider, currency=currency, destination=destination, now=NOW
            )
    assert PayoutAccount.objects.count() == 2


def _earn_shillings(settings: Settings, host: User, minor: int, *, now: datetime = NOW) -> Folio:
    _set_up_wallets(settings, "")
    folio = earn(host, currency="KES", lines=[Line("guest", "night", 1, minor, minor)], amount=minor, now=now)
    _set_up_wallets(settings)
    return folio


def _round(now: datetime, result: Result) -> list[int]:
    """A round of payouts at M-Pesa with what it answers to each; their amounts."""
    ops = payouts.prepare_due(now=now).ops
    for op in ops:
        MoneyOp.objects.filter(pk=op.pk).update(state="sending")
        with transaction.atomic():
            payments.record(op_id=op.pk, result=result, now=now)
    return [op.amount_minor for op in ops]


def _paid_by_phone(settings: Settings) -> User:
    host = make_user()
    _set_up_wallets(settings)
    payout_accounts.add(actor=host, provider="mpesa", currency="KES", destination="+254712345678", now=NOW)
    return host


def test_cents_of_a_shilling_stay_owed_and_go_with_the_next_payout(settings: Settings) -> None:
    host = _paid_by_phone(settings)
    first = _earn_shillings(settings, host, 123_456)

    assert _round(LATER, Result("succeeded", "ref", fee_minor=1_000, stage="arrived")) == [123_400]

    assert booked("payout.sent") == [
        ("clearing:mpesa", "KES", -124_400),
        ("provider_fees", "KES", 1_000),
        ("host_payable", "KES", 123_400),
    ]
    assert shown(host) == [("paid", 123_400, 123_400, "KES", [])]
    assert owes(first) == 56
    much_later = LATER + timedelta(days=9)
    assert list(obstacles.of(host, much_later)) == []
    assert payouts.schedule_rest(now=much_later) == {"scheduled": 0}
    assert wrong_books(much_later) == {}

    second = _earn_shillings(settings, host, 100_050, now=LATER)

    assert _round(much_later, Result("succeeded", "ref-2")) == [100_100]
    assert booked("payout.netted") == [("host_payable", "KES", -56), ("host_payable", "KES", 56)]
    assert shown(host)[1] == ("sent", 100_100, 100_100, "KES", [])
    assert (owes(first), owes(second)) == (0, 6)
    assert wrong_books(much_later + timedelta(days=9)) == {}


def test_cents_are_tried_again_with_their_payout(settings: Settings) -> None:
    host = _paid_by_phone(settings)
    folio = _earn_shillings(settings, host, 123_456)

    assert _round(LATER, Result("failed", error_code="receiver_unknown")) == [123_400]
    assert shown(host) == [("failed", 123_400, 123_400, "KES", [])]

    assert _round(LATER + timedelta(days=1), Result("succeeded", "ref")) == [123_400]
    assert shown(host) == [("sent", 123_400, 123_400, "KES", [])]
    assert (owes(folio), booked("payout.netted")) == (56, [])
    assert wrong_books() == {}


def test_what_a_debt_leaves_below_a_shilling_is_carried_over(settings: Settings) -> None:
    host = _paid_by_phone(settings)
    indebted = _earn_shillings(settings, host, 100_000)
    assert _round(LATER, Result("succeeded", "ref")) == [100_000]
    with transaction.atomic():
        payments.penalize(folio=indebted, amount_minor=49_970, now=LATER)
    folio = _earn_shillings(settings, host, 50_000, now=LATER)

    done = payouts.prepare_due(now=LATER)

    assert (done.ops, done.netted) == ([], 1)
    assert shown(host)[1] == ("paid", 49_970, 0, "KES", [])
    assert (owes(indebted), owes(folio)) == (0, 30)
    assert wrong_books() == {}
