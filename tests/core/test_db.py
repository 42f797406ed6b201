"""Locks that are taken, constraints that speak, calls that stay outside, tries that are repeated."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from psycopg import errors as pg

from backend.core import db as core_db
from backend.core.errors import Conflict, NotFound, Unavailable
from backend.core.models import PlatformSetting

pytestmark = pytest.mark.usefixtures("db")


def make(key: str) -> PlatformSetting:
    return PlatformSetting.objects.create(key=key, number=1)


def test_lock_holds_the_row_until_the_end() -> None:
    make("a")
    locked, tried, outcome = threading.Event(), threading.Event(), []

    def hold() -> None:
        with transaction.atomic():
            core_db.lock(PlatformSetting.objects.all(), key="a")
            locked.set()
            tried.wait(5)
            outcome.append("released")
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(5)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 200")
        with pytest.raises(Unavailable):
            core_db.lock(PlatformSetting.objects.all(), key="a")
    assert outcome == []

    tried.set()
    holder.join()
    with transaction.atomic():
        assert core_db.lock(PlatformSetting.objects.all(), key="a").key == "a"


def test_lock_does_not_stand_in_the_way_of_foreign_keys() -> None:
    make("a")
    with transaction.atomic():
        core_db.lock(PlatformSetting.objects.all(), key="a")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT mode FROM pg_locks JOIN pg_class ON relation = pg_class.oid"
                " WHERE relname = 'platform_settings' AND pid = pg_backend_pid() AND mode = 'RowShareLock'"
            )
            assert cursor.fetchone()
    found: list[str] = []

    def key_share() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = 500")
            cursor.execute("SELECT key FROM platform_settings WHERE key = 'a' FOR KEY SHARE")
            found.append(cursor.fetchone()[0])
        connections.close_all()

    with transaction.atomic():
        core_db.lock(PlatformSetting.objects.all(), key="a")
        other = threading.Thread(target=key_share)
        other.start()
        other.join()
    assert found == ["a"]


def test_lock_outside_of_a_transaction_is_a_defect() -> None:
    make("a")

    with pytest.raises(RuntimeError, match="released at once"):
        core_db.lock(PlatformSetting.objects.all(), key="a")


def test_lock_of_nothing_is_not_found() -> None:
    with pytest.raises(NotFound), transaction.atomic():
        core_db.lock(PlatformSetting.objects.all(), key="nothing")


class Taken(Conflict):
    code = "taken"


def test_constraint_speaks_by_name_and_leaves_the_transaction_usable() -> None:
    make("a")

    with transaction.atomic():
        with pytest.raises(Taken), core_db.constraint_errors({"platform_settings_pkey": Taken}):
            make("a")
        make("b")

    assert set(PlatformSetting.objects.values_list("key", flat=True)) == {"a", "b"}


def test_constraint_that_is_not_named_is_a_defect() -> None:
    make("a")

    with pytest.raises(IntegrityError), core_db.constraint_errors({"another": Taken}):
        make("a")


def test_outside_transaction_guards_foreign_calls() -> None:
    core_db.outside_transaction("the provider")

    with pytest.raises(core_db.ProviderCallInTransaction, match="the provider"), transaction.atomic():
        core_db.outside_transaction("the provider")


def test_retrying_gets_over_deadlocks() -> None:
    """Two operations that lock two rows crosswise: PostgreSQL ends one, which then comes again."""
    make("a")
    make("b")
    met = threading.Barrier(2, timeout=10)
    tries: dict[str, int] = {"ab": 0, "ba": 0}

    @core_db.retrying
    def swap(first: str, second: str) -> None:
        name = first + second
        tries[name] += 1
        with transaction.atomic():
            core_db.lock(PlatformSetting.objects.all(), key=first)
            if tries[name] == 1:
                met.wait()
            PlatformSetting.objects.filter(key=second).update(number=len(name))

    def run(first: str, second: str) -> None:
        try:
            swap(first, second)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(tries.values()) == [1, 2]


def test_retrying_gives_up_after_three_tries() -> None:
    tries: list[float] = []

    @core_db.retrying
    def hopeless() -> None:
        tries.append(time.monotonic())
        raise OperationalError from pg.SerializationFailure()

    with pytest.raises(Unavailable):
        hopeless()

    assert len(tries) == core_db.MAX_TRIES


def test_retrying_leaves_other_faults_and_inner_transactions_alone() -> None:
    tries: list[int] = []

    @core_db.retrying
    def away() -> None:
        tries.append(1)
        raise OperationalError from pg.ConnectionFailure()

    @core_db.retrying
    def deadlocked() -> None:
        tries.append(2)
        raise OperationalError from pg.DeadlockDetected()

    with pytest.raises(OperationalError):
        away()
    with pytest.raises(OperationalError), transaction.atomic():
        deadlocked()

    assert tries == [1, 2]
