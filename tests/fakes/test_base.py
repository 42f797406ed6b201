"""The fakes' own ground: what a test relies on when it says that money moved once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.base import Call, Fake, Fault, Plan, Refused, Reply, Webhook, act, on
from tests.fakes.process import serve, started


class Till(Fake):
    """Takes coins. Runs as a process of its own, too: ``python -m tests.fakes.test_base``."""

    name = "till"

    @on("POST", "/coins/{slot}")
    def take(self, call: Call, slot: str) -> Reply:
        given = call.json()
        if given["amount"] <= 0:
            raise Refused(422, "too_little")
        self.move("coin", key=self.key_of(call), reference=slot, amount_minor=given["amount"], currency="eur")
        self.emit(f"evt_{len(self.movements)}", {"n": len(self.movements)})
        return Reply({"n": len(self.movements)})

    def sign(self, webhook: Webhook, *, forged: bool = False) -> dict[str, str]:
        return {"Signature": "wrong" if forged else f"right {webhook.id}"}

    @act
    def shake(self, times: int) -> int:
        return times * len(self.movements)


class Ear(Fake):
    """Listens to webhooks and keeps their signatures."""

    name = "ear"

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    @on("POST", "/hook")
    def hear(self, call: Call) -> Reply:
        self.heard.append(call.headers["signature"])
        return Reply(None)


@pytest.fixture
def till() -> Iterator[Till]:
    with Till() as fake:
        yield fake


def drop(till: Till, key: str, amount: int = 100) -> httpx.Response:
    return httpx.post(
        f"{till.url}/coins/a", json={"amount": amount}, headers={"Idempotency-Key": key}, timeout=0.5
    )


def test_the_same_key_moves_money_once_and_another_order_under_it_is_refused(till: Till) -> None:
    first, again, other = drop(till, "k"), drop(till, "k"), drop(till, "k", 200)

    assert (first.json(), again.json(), other.status_code) == ({"n": 1}, {"n": 1}, 400)
    assert till.moved() == [("k", 100, "EUR")]
    assert [request.replayed for request in till.asked("/coins/")] == [False, True, True]


def test_a_forgotten_key_moves_money_again(till: Till) -> None:
    drop(till, "k")

    till.forget_keys()

    assert drop(till, "k").json() == {"n": 2}


@pytest.mark.parametrize(
    ("fault", "heard", "moved", "then"),
    [
        (Fault.TIMEOUT_BEFORE, httpx.ReadTimeout, 0, 200),
        (Fault.TIMEOUT_AFTER, httpx.ReadTimeout, 1, 200),
        (Fault.RESET_BEFORE, httpx.NetworkError, 0, 200),
        (Fault.RESET_AFTER, httpx.NetworkError, 1, 200),
        (Fault.ERROR_BEFORE, 500, 0, 200),
        (Fault.ERROR_AFTER, 500, 1, 200),
        (Fault.ERROR_KEPT, 500, 1, 500),
        (Fault.THROTTLED, 429, 0, 200),
        (Fault.SLOW, 200, 1, 200),
    ],
)
def test_a_fault_strikes_once_and_the_key_knows_what_was_done(
    till: Till, fault: Fault, heard: type[Exception] | int, moved: int, then: int
) -> None:
    till.faults.script(fault, on="POST /coins")

    if isinstance(heard, int):
        assert drop(till, "k").status_code == heard
    else:
        with pytest.raises(heard):
            drop(till, "k")

    assert len(till.moved()) == moved
    assert drop(till, "k").status_code == then
    assert till.moved() == [("k", 100, "EUR")]
    assert [request.fault for request in till.requests] == [fault.value, "none"]


def test_garbage_is_no_json(till: Till) -> None:
    till.faults.script(Fault.GARBAGE)

    answer = drop(till, "k")

    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_the_same_seed_gives_the_same_luck(till: Till) -> None:
    lucks = []
    for _run in range(2):
        till.faults.clear()
        till.faults.at_random({Fault.ERROR_BEFORE: 0.3, Fault.THROTTLED: 0.2}, seed=5)
        lucks.append([till.faults.take("POST /coins/a") for _call in range(200)])

    assert lucks[0] == lucks[1]
    assert set(lucks[0]) == {Fault.NONE, Fault.ERROR_BEFORE, Fault.THROTTLED}


def test_webhooks_wait_and_are_delivered_doubled_and_shuffled(till: Till) -> None:
    with Ear() as ear:
        till.webhooks = f"{ear.url}/hook"
        for key in "abc":
            drop(till, key)
        assert ear.heard == []

        statuses = till.deliver(doubled=True, shuffled=True, seed=1)

    assert statuses == [200] * 6
    assert sorted(ear.heard) == sorted([f"right evt_{n}" for n in (1, 2, 3)] * 2)
    assert ear.heard != sorted(ear.heard)


def test_webhooks_travel_by_themselves_until_they_are_answered(till: Till) -> None:
    with Ear() as ear:
        ear.faults.script(Fault.ERROR_BEFORE, Fault.RESET_BEFORE)
        till.webhooks = f"{ear.url}/hook"
        till.travel(Plan(again_s=0.01, doubled=1.0))
        drop(till, "a")
        deadline = time.monotonic() + 20
        while not till.settled():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    assert ear.heard == ["right evt_1"] * 2
    assert sorted(till.sent) == [("evt_1", 0), ("evt_1", 200), ("evt_1", 200), ("evt_1", 500)]


def test_a_forged_webhook_comes_beside_the_real_one_and_is_not_repeated(till: Till) -> None:
    with Ear() as ear:
        till.webhooks = f"{ear.url}/hook"
        drop(till, "a")
        till.deliver(forged=True)

    assert ear.heard == ["wrong"]


def test_a_process_of_its_own_is_steered_from_outside() -> None:
    with started("tests.fakes.test_base") as remote:
        remote.faults(script=["reset_after"], on="POST /coins")
        with pytest.raises(httpx.NetworkError):
            httpx.post(f"{remote.url}/coins/b", json={"amount": 5}, headers={"Idempotency-Key": "k"})

        assert [(each.key, each.amount_minor, each.reference) for each in remote.movements()] == [
            ("k", 5, "b")
        ]
        assert [(each.line, each.fault) for each in remote.requests()] == [("POST /coins/b", "reset_after")]
        assert remote.act("shake", 3) == 3
        with pytest.raises(httpx.HTTPStatusError):
            remote.act("close")


if __name__ == "__main__":
    serve(Till)
