"""A request dies after it was carried out and before it was answered: its key, sent again, tells what it has made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import time_machine
from django.db import connection, connections, transaction
from django.utils import timezone

from backend.accounts.models import User
from backend.bookings.models import Booking, Inquiry
from backend.core import idempotency
from backend.core.models import IdempotencyKey
from backend.payments.models import Payment, PayoutAccount, RefundRequest
from backend.payments.providers.sandbox import Sandbox
from tests.api.client import ApiClient
from tests.bookings.making import book, confirmed, journal, wrong_books
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

DATES = {"check_in": "2027-05-03", "check_out": "2027-05-07"}
KEY = "only-once"

Asked = tuple[User, str, dict[str, Any]]
"""Who sends what where."""


def _booking() -> Asked:
    return make_user(), "/api/bookings/", {"property_id": make_listing().pk, **DATES}


def _inquiry() -> Asked:
    return make_user(), "/api/inquiries/", {"property_id": make_listing().pk, **DATES, "message": "A piano?"}


def _payout_account() -> Asked:
    return make_user(), "/api/payout-accounts/", {"provider": "sandbox", "currency": "EUR"}


def _refund() -> Asked:
    booking = confirmed(make_listing())
    return booking.host, f"/api/bookings/{booking.pk}/refund/", {"amount": 20.5, "reason": "A cold shower."}


MAKING = {Booking: _booking, Inquiry: _inquiry, PayoutAccount: _payout_account, RefundRequest: _refund}


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def _die() -> None:
    """Leave the key as a process leaves it that ends between the commit and the answer, more than a lease ago."""
    lapsed = timezone.now() - idempotency.LEASE - timedelta(seconds=1)
    IdempotencyKey.objects.update(status=None, headers={}, body=None, claimed_at=lapsed)


def _cut_off() -> None:
    """End the server process behind this thread's connection, as PostgreSQL does when a client is killed."""
    at = connection.get_connection_params()
    wanted = {name: at[name] for name in ("host", "port", "user", "password", "dbname") if at.get(name)}
    with psycopg.connect(**wanted, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    connection.close()


def _claimed(key: str = KEY) -> idempotency.Claim:
    claim = idempotency.begin(user_id=1, key=key, fingerprint=b"f", now=timezone.now())
    assert isinstance(claim, idempotency.Claim)
    return claim


def _claimed_soon() -> idempotency.Claim:
    """As ``_claimed``, while the server process of the one before is about to end."""
    for _ in range(200):
        with suppress(idempotency.InProgress):
            return _claimed()
        threading.Event().wait(0.05)
    return _claimed()


def _answer(claim: idempotency.Claim) -> bool:
    return idempotency.finish(claim, idempotency.Answer(201, {}, b"made"))


@pytest.mark.parametrize(("model", "make"), MAKING.items())
def test_what_was_made_is_told_and_not_made_again(model: type[Any], make: Callable[[], Asked]) -> None:
    user, path, body = make()
    client = ApiClient(user)
    first = client.post(path, body, idempotency_key=KEY)
    _die()

    second = client.post(path, body, idempotency_key=KEY)
    third = client.post(path, body, idempotency_key=KEY)

    assert [answer.status_code for answer in (first, second, third)] == [201, 201, 201]
    assert first.json() == second.json() == third.json()
    assert "Idempotent-Replayed" not in second
    assert third["Idempotent-Replayed"] == "true"
    assert [row.pk for row in model.objects.all()] == [first.json()["id"]]
    assert wrong_books() == {}


def test_a_key_whose_seven_days_are_over_makes_something_new() -> None:
    user, path, body = _payout_account()
    ApiClient(user).post(path, body, idempotency_key=KEY)
    IdempotencyKey.objects.update(expires_at=timezone.now())

    again = ApiClient(user).post(path, body, idempotency_key=KEY)

    assert again.status_code == 201
    assert sorted(PayoutAccount.objects.values_list("pk", flat=True))[-1:] == [again.json()["id"]]
    assert PayoutAccount.objects.count() == 2


@transaction.atomic
def _make_something() -> None:
    idempotency.note(make_user().pk)


def test_whoever_lost_the_claim_makes_nothing() -> None:
    now = timezone.now()
    slow = idempotency.begin(user_id=1, key=KEY, fingerprint=b"f", now=now)
    later = idempotency.begin(user_id=1, key=KEY, fingerprint=b"f", now=now + timedelta(seconds=61))
    assert isinstance(slow, idempotency.Claim)
    assert isinstance(later, idempotency.Claim)

    with idempotency.under(slow), pytest.raises(idempotency.InProgress):
        _make_something()

    assert User.objects.count() == 0
    assert (idempotency.made_before(), IdempotencyKey.objects.get().made) == (None, None)


def test_a_defect_after_something_was_made_forgets_it_not() -> None:
    now = timezone.now()
    claim = idempotency.begin(user_id=1, key=KEY, fingerprint=b"f", now=now)
    assert isinstance(claim, idempotency.Claim)
    with idempotency.under(claim):
        idempotency.note(7)

    idempotency.give_up(claim)

    again = idempotency.begin(user_id=1, key=KEY, fingerprint=b"f", now=now)
    assert isinstance(again, idempotency.Claim)
    assert again.made == 7
    with idempotency.under(again):
        assert idempotency.made_before() == 7


@pytest.mark.parametrize(("model", "make"), MAKING.items())
def test_what_a_killed_process_made_is_told_at_once(model: type[Any], make: Callable[[], Asked]) -> None:
    user, path, body = make()
    first = ApiClient(user).post(path, body, idempotency_key=KEY)
    IdempotencyKey.objects.update(status=None, headers={}, body=None)
    _cut_off()

    second = ApiClient(user).post(path, body, idempotency_key=KEY)

    assert (second.status_code, second.json()) == (201, first.json())
    assert [row.pk for row in model.objects.all()] == [first.json()["id"]]


class Killed(BaseException):
    """No code of ours catches this one."""


def test_payment_of_a_killed_process_is_finished_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_given: Any) -> None:
        raise Killed

    guest = make_user()
    booking = book(make_listing(), guest)
    ask = {"provider": "sandbox", "outcome": "succeed"}
    with monkeypatch.context() as patched:
        patched.setattr(Sandbox, "carry_out", die)
        with pytest.raises(Killed):
            ApiClient(guest).post(f"/api/bookings/{booking.pk}/pay/", ask, idempotency_key=KEY)
    refused = ApiClient(guest).post(f"/api/bookings/{booking.pk}/pay/", ask, idempotency_key=KEY)
    _cut_off()

    answer = ApiClient(guest).post(f"/api/bookings/{booking.pk}/pay/", ask, idempotency_key=KEY)

    assert (refused.status_code, refused.json()["code"]) == (409, "request_in_progress")
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert [row.pk for row in Payment.objects.all()] == [answer.json()["payment_id"]]
    assert journal("charge") == [(booking.total_minor, "succeeded")]
    assert wrong_books() == {}


@pytest.mark.parametrize("end", [idempotency.give_up, _answer])
def test_what_cannot_be_written_comes_free_with_its_connection(
    end: Callable[[idempotency.Claim], object],
) -> None:
    claim = _claimed()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")

    assert not end(claim)

    assert (connection.connection, IdempotencyKey.objects.get().status) == (None, None)
    assert _claimed_soon().is_inherited


def test_holder_that_lives_is_not_inherited_from() -> None:
    _claimed()

    with pytest.raises(idempotency.InProgress):
        _claimed()


def test_one_of_many_inherits() -> None:
    former = _claimed()
    with idempotency.under(former):
        idempotency.note(7)
    _cut_off()
    start, won, lost = threading.Barrier(6), [], []

    def ask() -> None:
        start.wait()
        try:
            won.append(_claimed())
        except idempotency.InProgress:
            lost.append(1)
        # It ends with the others: a connection that goes back meanwhile is nobody's end.
        start.wait()
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (heir,) = won
    assert (len(lost), heir.made, heir.is_inherited) == (5, 7, True)
    assert idempotency.finish(former, idempotency.Answer(201, {}, b"late")) is False
    assert idempotency.finish(heir, idempotency.Answer(201, {}, b"right")) is True


def test_number_of_another_server_process_since_is_nobodys() -> None:
    _claimed()
    before = timezone.now() - timedelta(days=3650)
    IdempotencyKey.objects.update(held_from=before)

    assert _claimed().is_inherited


def test_behind_a_pooler_only_the_lease_ends_a_claim(settings: Any) -> None:
    settings.DATABASE_POOLED = True
    _claimed()
    assert IdempotencyKey.objects.get().holder is None
    _cut_off()

    with pytest.raises(idempotency.InProgress):
        _claimed()
