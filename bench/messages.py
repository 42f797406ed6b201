"""``python3 -m bench.messages``: a storm that must lose nothing, bad neighbours, and a thousand sockets on one process.

Ends with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median
from typing import Any

import psutil

from backend.local.state import ROOT, open_state
from backend.local.valkey import Valkey, find_server
from bench.world import World, percentile, web, world

P99_MS = 250
"""From the commit of a message to its frame, at 1,000 sockets that get four a second each."""

TIMES = 2
"""How much slower slow readers and floods may make the others' p99."""

EVERYBODY = 10
"""In a conversation: a guest, a host and eight co-hosts."""

SOCKETS = 5
STORING = 4
"""Threads that store messages; what they take of the processor is not the server's."""

LEAD_S = 1.0

PARTS = ["thousand", "neighbours", "storm"]


@dataclass(frozen=True)
class Talk:
    """A conversation and the people in it, with their sessions."""

    conversation_id: int
    people: list[Any]
    sessions: list[str]

    def ears(self, sockets: int) -> list[tuple[int, str, int]]:
        """What ``bench.ears`` is to open."""
        return [(user.pk, session, sockets) for user, session in zip(self.people, self.sessions, strict=True)]


def lift_limits() -> None:
    """A benchmark writes more than people do; what a limit costs stays in."""
    from backend.core import platform

    for name in ("limit_messages_user", "limit_messages_new_user"):
        platform.put(name, platform.DECLARED[name].high)


def make_talk(people: int) -> Talk:
    """A conversation of so many people, all of them signed in."""
    from django.utils import timezone

    from backend.identity.sessions import Device, open_session
    from backend.listings import cohosts
    from backend.messaging import services as messaging
    from tests.factories import make_listing, make_user

    now, listing, guest = timezone.now(), make_listing(), make_user()
    keepers = [make_user() for _ in range(people - 2)]
    for keeper in keepers:
        cohosts.add(actor=listing.host, listing=listing, user_id=keeper.pk, grants=["messages"], now=now)
    message, _made = messaging.start(guest=guest, listing_id=listing.pk, body="Hello", now=now)
    everybody = [guest, listing.host, *keepers]
    device = Device(address="127.0.0.1", user_agent="bench")
    sessions = [str(open_session(user=user, device=device, now=now).user.session_id) for user in everybody]
    return Talk(message.conversation_id, everybody, sessions)


@contextmanager
def ears(
    made: World, port: int, users: Sequence[tuple[int, str, int]], manner: str = "listen"
) -> Iterator[Callable[[], dict[str, Any]]]:
    """A process with these sockets; gives what ends it and answers what it heard."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.ears"],
        cwd=ROOT,
        env=made.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    job = {"url": f"http://127.0.0.1:{port}", "users": list(users), "manner": manner}
    try:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the listening process did not come up")

        def stop() -> dict[str, Any]:
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            found: dict[str, Any] = json.loads(process.stdout.readline())
            return found

        yield stop
    finally:
        process.terminate()
        process.wait(20)


def store(talks: Sequence[Talk], a_second: float, seconds: float, body: str = "") -> dict[int, float]:
    """Store messages at this pace, in turn in each conversation; id → the moment at which it was committed."""
    from django.db import connection
    from django.utils import timezone

    from backend.messaging import services as messaging

    stored: dict[int, float] = {}
    start, lock = time.monotonic(), threading.Lock()
    numbers = iter(range(int(a_second * seconds)))
    chance = random.Random(5)

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                connection.close()
                return
            talk = talks[number % len(talks)]
            time.sleep(max(0.0, start + number / a_second - time.monotonic()))
            message, _new = messaging.send(
                sender=chance.choice(talk.people),
                conversation_id=talk.conversation_id,
                body=body or f"No. {number}",
                now=timezone.now(),
            )
            stored[message.pk] = time.monotonic()

    with ThreadPoolExecutor(STORING) as threads:
        for done in [threads.submit(work) for _ in range(STORING)]:
            done.result()
    return stored


def latencies(stored: dict[int, float], heard: Sequence[tuple[int, float]]) -> list[float]:
    """Milliseconds from commit to frame, of every frame; a frame may come before its sender knows of the commit."""
    return [max(0.0, moment - stored[id_]) * 1000 for id_, moment in heard if id_ in stored]


def thousand(made: World, talks: int, a_second: float, seconds: float) -> bool:
    """``talks`` × 10 people with five sockets each on one process; whether the bar is met."""
    groups = [make_talk(EVERYBODY) for _ in range(talks)]
    users = [each for talk in groups for each in talk.ears(SOCKETS)]
    count = len(users) * SOCKETS
    with web(made) as port, ears(made, port, users) as stop:
        time.sleep(LEAD_S * 3)
        began, spent = time.monotonic(), _spent_ms(port)
        stored = store(groups, a_second * talks, seconds)
        took = time.monotonic() - began
        time.sleep(LEAD_S)
        spent = _spent_ms(port) - spent
        found = stop()
    times = latencies(stored, found["heard"])
    expected = len(stored) * EVERYBODY * SOCKETS
    p99 = percentile(times, 0.99) if times else float("inf")
    is_met = p99 < P99_MS and len(times) == expected
    print(
        f"\n| sockets on one process | messages stored a second | frames a second | a socket | p50 | p99 |{'':1}"
    )
    print("|---|---|---|---|---|---|")
    print(
        f"| {count} | {len(stored) / took:.0f} | {len(times) / took:.0f} | {len(times) / took / count:.1f} |"
        f" {spent / max(1, len(times)) * 1000:.0f} µs |"
        f" {median(times) if times else 0:.0f} ms | **{p99:.0f} ms**{'' if is_met else ' **missed**'} |"
    )
    print(f"\n{len(times)} of {expected} frames came, {found['lost']} sockets were closed")
    return is_met


def _spent_ms(port: int) -> float:
    """Milliseconds of processor time of the web process on this port."""
    for process in psutil.Process().children():
        if any(
            each.status == psutil.CONN_LISTEN and each.laddr.port == port
            for each in process.net_connections()
        ):
            times = process.cpu_times()
            return (times.user + times.system) * 1000
    raise RuntimeError("nobody listens there")


def neighbours(made: World, pairs: int, bad: int, a_second: float, seconds: float) -> bool:
    """The p99 of quiet people, alone and beside slow readers and floods; whether the bar is met."""
    quiet = [make_talk(2) for _ in range(pairs)]
    noisy, loud = make_talk(2 + bad), [make_talk(2) for _ in range((bad + 1) // 2)]
    users = [each for talk in quiet for each in talk.ears(1)]
    found: dict[str, list[float]] = {}
    closed: dict[str, int] = {}
    for name in ("alone", "slow readers", "floods"):
        with web(made) as port, ExitStack() as stack:
            stop = stack.enter_context(ears(made, port, users))
            disturb: Callable[[], dict[str, Any]] | None = None
            if name == "slow readers":
                disturb = stack.enter_context(ears(made, port, noisy.ears(1), "slow"))
            elif name == "floods":
                disturb = stack.enter_context(
                    ears(made, port, [each for talk in loud for each in talk.ears(1)][:bad], "flood")
                )
            time.sleep(LEAD_S)
            with ThreadPoolExecutor(1) as beside:
                # The same is stored each time; only who reads it differs.
                large = beside.submit(store, [noisy], 10, seconds, "word " * 900)
                stored = store(quiet, a_second, seconds)
                large.result()
            time.sleep(LEAD_S)
            found[name] = latencies(stored, stop()["heard"])
            closed[name] = disturb()["closed"] if disturb else 0
    base = percentile(found["alone"], 0.99)
    is_met = True
    print("\n| beside | frames | p50 | p99 | against alone | closed |")
    print("|---|---|---|---|---|---|")
    for name, times in found.items():
        p99 = percentile(times, 0.99)
        is_good = p99 <= TIMES * base
        is_met &= is_good
        print(
            f"| {name} | {len(times)} | {median(times):.1f} ms | {p99:.1f} ms |"
            f" **{p99 / base:.1f}**{'' if is_good else ' **missed**'} | {closed[name]} |"
        )
    return is_met


def storm(made: World, clients: int, messages: int, seed: int) -> bool:
    """The storm of ``tests/realtime/storm.py`` on two processes; whether everybody holds the same in the end."""
    from tests.realtime import storm as storms

    binary = find_server()
    if binary is None:
        raise RuntimeError("there is no Valkey for this machine")
    valkey = Valkey(open_state(made.folder / "storm"), binary)
    valkey.start()
    people = storms.make_clients(clients, messages, random.Random(seed))
    sent = [data["client_id"] for client in people for data in client.outbox]
    deaths: list[float] = []

    def meanwhile(share: float) -> None:
        """Valkey dies at each fifth, and comes back at the next moment."""
        alive = valkey.process is not None and valkey.process.poll() is None
        if alive and share > (len(deaths) + 1) / 5 and len(deaths) < 4:
            deaths.append(share)
            assert valkey.process
            valkey.process.kill()
            valkey.process.wait()
        elif not alive:
            valkey.start()

    started = time.monotonic()
    try:
        with web(replace(made, env={**made.env, "REDIS_URL": valkey.url}), workers=2) as port:
            url = f"http://127.0.0.1:{port}"
            asyncio.run(storms.storm(people, [url], seed=seed, lives=(50, 200), meanwhile=meanwhile))
    finally:
        valkey.stop()
    took = time.monotonic() - started
    wrong = storms.differences(people, sent)
    frames = sum(len(client.told) for client in people)
    print("\n| clients | messages | frames | connections | sent again | Valkey died | seconds | wrong |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {clients} | {messages} | {frames} | {sum(client.connections for client in people)} |"
        f" {sum(client.repeated for client in people)} | {len(deaths)} | {took:.0f} |"
        f" **{len(wrong)}**{'' if not wrong else ' **missed**'} |"
    )
    for each in wrong[:20]:
        print(f"- {each}")
    return not wrong


def main() -> int:
    """Print the figures beside their bars."""
    parser = argparse.ArgumentParser(prog="bench.messages", description=__doc__)
    parser.add_argument("--clients", type=int, default=20, help="of the storm, in fours")
    parser.add_argument("--messages", type=int, default=10_000, help="of the storm")
    parser.add_argument("--talks", type=int, default=20, help="of ten people with five sockets each")
    parser.add_argument("--pairs", type=int, default=20, help="quiet people with bad neighbours")
    parser.add_argument("--bad", type=int, default=8, help="slow readers, and floods")
    parser.add_argument("--seconds", type=float, default=15, help="length of each measurement")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    with world() as made:
        lift_limits()
        print(f"{datetime.now(UTC):%Y-%m-%d}, load of the machine before: {os.getloadavg()[0]:.1f}")
        parts: dict[str, Callable[[], bool]] = {
            "thousand": lambda: thousand(made, options.talks, 4, options.seconds),
            "neighbours": lambda: neighbours(made, options.pairs, options.bad, 20, options.seconds),
            "storm": lambda: storm(made, options.clients, options.messages, options.seed),
        }
        met = [parts[name]() for name in options.parts]
    return 0 if all(met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
