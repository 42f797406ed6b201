"""The chain of the audit log: whatever was done to it afterwards shows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog
from django.db import IntegrityError, ProgrammingError, connection, connections, transaction

from backend.audit import chain
from backend.audit import services as audit
from backend.audit.models import AuditEntry, AuditSeal
from backend.core.access import SYSTEM
from backend.core.db import ProviderCallInTransaction
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.local.postgres import UNBOUND_ROLE
from tests.damage import plant
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions in the databases of other tests, which sealing waits for too, may take longer than ours do."""
    monkeypatch.setattr(chain, "PATIENCE_S", 60.0)


def write(subject: Any, count: int = 1, **fields: Any) -> None:
    for number in range(count):
        audit.record(
            actor=fields.pop("actor", SYSTEM),
            action="test.done",
            subject=subject,
            now=NOW,
            after={"number": number},
            **fields,
        )


def three_objects() -> None:
    """Nine entries about three objects in turns."""
    people = [make_user() for _ in range(3)]
    for _ in range(3):
        for person in people:
            write(person)


def found(*, full: bool = True) -> list[tuple[str, int]]:
    return [
        (each["problem"], each.get("entry") or each["seal"]) for each in chain.problems(now=NOW, full=full)
    ]


def test_a_whole_log_has_no_problems() -> None:
    three_objects()
    assert found() == []

    assert chain.seal(now=NOW) == {"sealed": 9}

    assert found() == []
    assert [(seal.pk, seal.last_entry, seal.entries) for seal in AuditSeal.objects.all()] == [(1, 9, 9)]


def test_sealing_again_seals_only_what_is_new() -> None:
    three_objects()
    chain.seal(now=NOW)
    assert chain.seal(now=NOW) == {"sealed": 0}

    write(make_user(), 2)
    assert chain.seal(now=NOW) == {"sealed": 2}

    assert [(seal.last_entry, seal.entries) for seal in AuditSeal.objects.order_by("pk")] == [(9, 9), (11, 2)]
    assert found() == []


def test_a_seal_holds_a_bounded_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "MOST", 4)
    three_objects()

    assert chain.seal(now=NOW) == {"sealed": 9}

    assert [seal.entries for seal in AuditSeal.objects.order_by("pk")] == [4, 4, 1]
    assert found() == []


DAMAGES = {
    "a changed reason": ("UPDATE audit_log SET reason = 'another' WHERE id = 5", ("entry_broken", 5)),
    "a changed actor": (
        "UPDATE audit_log SET actor_id = (SELECT min(id) FROM users) WHERE id = 5",
        ("entry_broken", 5),
    ),
    "a changed value": ("""UPDATE audit_log SET after = '{"number": 7}' WHERE id = 5""", ("entry_broken", 5)),
    "another time": ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE id = 5", ("entry_broken", 5)),
    "another address": ("UPDATE audit_log SET address = '192.0.2.9' WHERE id = 5", ("entry_broken", 5)),
    "a row removed in the middle": ("DELETE FROM audit_log WHERE id = 5", ("entry_broken", 8)),
}  # fmt: skip


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found(name: str, sealed: bool) -> None:
    statement, expected = DAMAGES[name]
    three_objects()
    if sealed:
        chain.seal(now=NOW)

    plant(statement)

    broken = [("seal_broken", 1)] if sealed and statement.startswith("DELETE") else []
    assert found() == [*broken, expected]


def test_swapped_rows_are_found() -> None:
    three_objects()

    plant("UPDATE audit_log SET id = CASE id WHEN 2 THEN -5 ELSE 2 END WHERE id IN (2, 5)")
    plant("UPDATE audit_log SET id = 5 WHERE id = -5")

    assert found() == [("entry_broken", 2), ("entry_broken", 5), ("entry_broken", 8)]


def test_a_row_put_in_is_found_although_its_digest_is_right() -> None:
    people = [make_user(), make_user()]
    write(people[0], 2)
    plant("SELECT setval('audit_log_id_seq', 5)")
    write(people[1], 2)
    chain.seal(now=NOW)

    plant("""
        INSERT INTO audit_log (id, at, action, object_type, object_id, before, after, reason, request_id, door, digest)
        VALUES (3, now(), 'test.done', 'user', '0', '{}', '{}', '', '', '', '')
    """)
    plant("UPDATE audit_log e SET digest = audit_log_digest(NULL, e) WHERE id = 3")

    assert found() == [("seal_broken", 1)]


def test_a_removed_tail_is_found() -> None:
    three_objects()
    chain.seal(now=NOW)

    plant("DELETE FROM audit_log WHERE id > 7")

    assert found() == [("seal_broken", 1)]


def test_a_removed_chain_is_found() -> None:
    three_objects()
    chain.seal(now=NOW)

    plant("DELETE FROM audit_log WHERE object_id = (SELECT object_id FROM audit_log WHERE id = 1)")

    assert found() == [("seal_broken", 1)]


def test_a_removed_seal_is_found() -> None:
    for _ in range(3):
        three_objects()
        chain.seal(now=NOW)

    plant("DELETE FROM audit_seals WHERE id = 2")

    assert found() == [("seal_broken", 3)]


def test_digests_that_were_made_anew_are_found_by_the_key() -> None:
    person = make_user()
    write(person, 3)
    chain.seal(now=NOW)

    plant("UPDATE audit_log SET reason = 'another' WHERE id = 1")
    for number in (1, 2, 3):
        plant(
            "UPDATE audit_log e SET digest = audit_log_digest((SELECT digest FROM audit_log WHERE id = %s), e) WHERE id = %s",
            number - 1,
            number,
        )
    plant(
        "UPDATE audit_seals SET digest = (SELECT sha256(string_agg(digest, '' ORDER BY id)) FROM audit_log)"
    )

    assert found() == [("seal_forged", 1)]


def test_only_what_is_new_is_verified_again_and_a_part_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "AGAIN", 9)
    three_objects()
    chain.seal(now=NOW)
    assert found(full=False) == []
    three_objects()
    chain.seal(now=NOW)
    assert found(full=False) == []
    plant("UPDATE audit_log SET reason = 'another' WHERE id IN (5, 14)")
    plant("UPDATE audit_seals SET verified_at = verified_at + interval '1 day' WHERE id = 1")

    assert found(full=False) == [("entry_broken", 14)]
    assert found(full=True) == [("entry_broken", 5), ("entry_broken", 14)]


def test_check_books_tells_what_is_wrong() -> None:
    three_objects()
    plant("UPDATE audit_log SET reason = 'another' WHERE id = 5")

    broken = {each.check.name: each for each in books.check_books(Clock(NOW, NOW)) if each.count}

    key = AuditEntry.objects.get(pk=5).object_id
    assert list(broken) == ["audit_log_is_whole"]
    assert broken["audit_log_is_whole"].violations == [
        {"problem": "entry_broken", "entry": 5, "object": f"user {key}"}
    ]


def test_the_nightly_sweep_counts_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    three_objects()
    assert chain.verify(now=NOW) == {"problems": 0}
    plant("UPDATE audit_log SET reason = 'another' WHERE id IN (4, 5)")

    assert chain.verify(now=NOW) == {"problems": 2}

    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_check_books_finds_a_log_that_is_not_chained() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_chain")
        try:
            assert [each.check.name for each in books.check_books(Clock(NOW, NOW)) if each.count] == [
                "audit_log_is_chained"
            ]
        finally:
            cursor.execute("ALTER TABLE audit_log ENABLE TRIGGER audit_log_chain")


def test_addresses_can_be_forgotten_without_breaking_the_chain() -> None:
    one, other = make_user(), make_user()

    with structlog.contextvars.bound_contextvars(address="2001:db8::7"):
        write(one, actor=one)
        write(one, actor=other)
    chain.seal(now=NOW)

    assert audit.forget_addresses(user_id=one.pk) == 1

    assert list(AuditEntry.objects.order_by("pk").values_list("address", "salt")) == [
        (None, None),
        ("2001:db8::7", AuditEntry.objects.get(pk=2).salt),
    ]
    assert found() == []
    assert audit.forget_addresses(user_id=one.pk) == 0


@pytest.mark.parametrize(
    "change",
    [
        "address = '192.0.2.1'",
        "address = NULL",
        "address = NULL, salt = NULL, reason = 'x'",
        "address = NULL, salt = NULL, digest = ''",
    ],
)
def test_an_entry_may_lose_its_address_and_nothing_else(change: str) -> None:
    with structlog.contextvars.bound_contextvars(address="192.0.2.7"):
        write(make_user())
    before = AuditEntry.objects.values().get()

    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"SET LOCAL ROLE {UNBOUND_ROLE}; UPDATE audit_log SET {change}")  # noqa: S608 - from above

    assert AuditEntry.objects.values().get() == before


@pytest.mark.parametrize("change", ["entries = 1", "digest = ''", "mac = ''", "sealed_at = now()"])
def test_a_seal_is_written_once(change: str) -> None:
    three_objects()
    chain.seal(now=NOW)
    before = AuditSeal.objects.values().get()

    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE audit_seals SET {change}")  # noqa: S608 - from above

    assert AuditSeal.objects.values().get() == before


def test_entries_of_many_threads_about_one_object_make_one_chain() -> None:
    listing, people = make_listing(), [make_user() for _ in range(4)]

    def work(number: int) -> None:
        try:
            for _ in range(10):
                with transaction.atomic():
                    audit.record(actor=SYSTEM, action="test.done", subject=listing, now=NOW)
                    audit.record(actor=SYSTEM, action="test.done", subject=people[number], now=NOW)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert AuditEntry.objects.count() == 80
    assert found() == []


def test_without_the_lock_two_threads_would_break_the_chain() -> None:
    """The control: the same race with the lock taken away."""
    listing = make_listing()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('audit_log_chain'::regproc)")
        whole = cursor.fetchone()[0]
        lock = next(line for line in whole.splitlines() if "pg_advisory_xact_lock" in line)
        cursor.execute(whole.replace(lock, ""))
    together = threading.Barrier(2)

    def work(_number: int) -> None:
        try:
            with transaction.atomic():
                audit.record(actor=SYSTEM, action="test.done", subject=listing, now=NOW)
                together.wait()
        finally:
            connections.close_all()

    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, range(2)))
    finally:
        with connection.cursor() as cursor:
            cursor.execute(whole)

    assert found() == [("entry_broken", 2)]


def test_an_entry_that_is_still_being_written_is_not_sealed_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "PATIENCE_S", 0.2)
    one, other = make_user(), make_user()
    written, sealed = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                write(one)
                written.set()
                assert sealed.wait(30)
        finally:
            connections.close_all()

    thread = threading.Thread(target=slow)
    thread.start()
    assert written.wait(30)
    write(other)
    assert chain.seal(now=NOW) == {"sealed": 0}
    sealed.set()
    thread.join()

    assert chain.seal(now=NOW) == {"sealed": 2}
    assert found() == []


def test_sealing_refuses_to_wait_inside_a_transaction() -> None:
    with pytest.raises(ProviderCallInTransaction), transaction.atomic():
        chain.seal(now=NOW)


def test_a_seal_of_a_former_key_is_followed_by_one_of_the_present(settings: Any) -> None:
    three_objects()
    chain.seal(now=NOW)
    former = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "k" * 60, [former]
    assert found() == []

    assert chain.seal(now=NOW) == {"sealed": 0}
    settings.SECRET_KEY_FALLBACKS = []

    assert [(seal.pk, seal.entries, seal.last_entry) for seal in AuditSeal.objects.order_by("pk")] == [
        (1, 9, 9),
        (2, 0, 9),
    ]
    assert found() == []


def test_an_entry_says_through_which_door_and_in_whose_stead() -> None:
    host, cohost = make_user(), make_user()
    cohost.session_id = None
    with structlog.contextvars.bound_contextvars(door="api"):
        write(make_listing(host), actor=cohost, in_stead_of=host.pk)
        write(make_listing(host), actor=host, in_stead_of=host.pk)
        write(make_listing(host), actor=SYSTEM, in_stead_of=host.pk)

    assert list(AuditEntry.objects.order_by("pk").values_list("door", "in_stead_of")) == [
        ("api", host.pk),
        ("api", None),
        ("api", None),
    ]
