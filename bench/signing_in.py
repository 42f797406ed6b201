"""``python3 -m bench.signing_in``: how long signing in takes, how many a second, and what its time gives away."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.booking import latencies, processor
from bench.world import percentile, web, world

PASSWORD, WRONG = "correct-horse-9", "battery-staple-7"
CLIENTS = 16
ASKED = 200
"""Known and unknown accounts that are asked for, each once, in a random order."""

BARS = {"p95 ms": 200, "a second": 80, "AUC": 0.6}


class Client:
    """One connection to the API."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path: str, body: dict[str, Any], *statuses: int) -> float:
        """Milliseconds until the answer, which must have one of ``statuses``."""
        raw = json.dumps(body)
        start = time.perf_counter()
        self.connection.request(
            "POST", path, raw, {"Content-Type": "application/json", "User-Agent": "bench"}
        )
        answer = self.connection.getresponse()
        content = answer.read()
        spent = (time.perf_counter() - start) * 1000
        if answer.status not in statuses:
            raise RuntimeError(f"{path} {answer.status} {content[:300]!r}")
        return spent

    def login(self, name: str, password: str, *statuses: int) -> float:
        return self.post("/api/login/", {"username": name, "password": password}, *statuses)


def people(kind: str, count: int, password: str | None) -> list[str]:
    """Names of new accounts; without a password they sign in through another provider."""
    from django.contrib.auth.hashers import make_password

    from backend.accounts.models import Profile, User

    # One hash for all: what is measured is checking it.
    hashed = make_password(password)
    users = User.objects.bulk_create(
        User(username=f"{kind}_{number}", email=f"{kind}_{number}@example.com", password=hashed)
        for number in range(count)
    )
    Profile.objects.bulk_create(Profile(user=user) for user in users)
    return [user.username for user in users]


def lift_limits() -> None:
    """A benchmark signs in more often than people do; what a limit costs stays in."""
    from backend.core import platform

    for name in ("limit_sign_in_address", "limit_register_address", "limit_letters_address"):
        platform.put(name, platform.DECLARED[name].high)


def one_client(port: int, names: list[str]) -> None:
    """What one person waits for."""
    client = Client(port)
    for number in range(5):
        client.login(names[number], PASSWORD, 200)
    signing_in = [client.login(name, PASSWORD, 200) for name in names]
    registering = [
        client.post(
            "/api/register/",
            {"username": f"new_{number}", "email": f"new_{number}@example.com", "password": PASSWORD},
            201,
        )
        for number in range(100)
    ]
    for what, times in (("signing in", signing_in), ("registering", registering)):
        verdict = "" if percentile(times, 0.95) < BARS["p95 ms"] else " **missed**"
        print(f"- {what}, one client: {latencies(times)}{verdict}")


def throughput(port: int, names: list[str], seconds: float, postmaster: int) -> None:
    """``CLIENTS`` sign in as fast as they are answered."""
    deadline = time.perf_counter() + seconds
    times: list[float] = []
    counter = iter(range(10**9))
    lock = threading.Lock()

    def work(_number: int) -> None:
        client = Client(port)
        while time.perf_counter() < deadline:
            with lock:
                name = names[next(counter) % len(names)]
            times.append(client.login(name, PASSWORD, 200))

    before, start = processor(postmaster), time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS)))
    spent, after = time.perf_counter() - start, processor(postmaster)
    rate = len(times) / spent
    verdict = "" if rate >= BARS["a second"] else " **missed**"
    print(f"- at {CLIENTS} clients: **{rate:.0f} a second**{verdict}, {latencies(times)}")
    each = ", ".join(f"{part} {(after[part] - before[part]) / len(times) * 1000:.1f} ms" for part in after)
    busy = (sum(after.values()) - sum(before.values())) / spent
    print(f"- processor time a sign-in: {each}; {busy:.2f} of {os.cpu_count()} cores were ours")


def huge_pages() -> str:
    """Who is given huge pages by the kernel; libsodium, which does not ask, only where it is ``always``."""
    try:
        words = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "unknown"
    return words.partition("[")[2].partition("]")[0]


def hashing() -> None:
    """The part that is meant to take long."""
    from django.contrib.auth.hashers import check_password, make_password

    hashed, times = make_password(PASSWORD), []
    for _round in range(20):
        start = time.perf_counter()
        check_password(PASSWORD, hashed)
        times.append((time.perf_counter() - start) * 1000)
    print(f"- checking a hash alone: p50 {median(times):.0f} ms")


def auc(first: list[float], second: list[float]) -> float:
    """How surely one time tells the two apart: 0.5 not at all, 1 always. Either may be the slower one."""
    wins = sum((a > b) + (a == b) / 2 for a in first for b in second)
    share = wins / (len(first) * len(second))
    return max(share, 1 - share)


def timing(port: int, known: list[str], social: list[str], rounds: int) -> None:
    """Whether a stopwatch tells who has an account. The control compares unknown ones with each other."""
    client, luck = Client(port), random.Random(7)
    for number in range(rounds):
        unknown = [f"nobody_{number}_{each}" for each in range(ASKED)]
        others = [f"no_one_{number}_{each}" for each in range(ASKED)]
        ask = {
            "unknown": (unknown, lambda name: client.login(name, WRONG, 401)),
            "control": (others, lambda name: client.login(name, WRONG, 401)),
            "known, wrong password": (known, lambda name: client.login(name, WRONG, 401)),
            "known, no password": (social, lambda name: client.login(name, WRONG, 401)),
        }
        _compare(ask, "unknown", luck)
        reset = {
            "reset, unknown": (unknown, lambda name: _reset(client, name)),
            "reset, control": (others, lambda name: _reset(client, name)),
            "reset, known": (known, lambda name: _reset(client, name)),
            "reset, no password": (social, lambda name: _reset(client, name)),
        }
        _compare(reset, "reset, unknown", luck)


def _reset(client: Client, name: str) -> float:
    return client.post("/api/password/reset/", {"email": f"{name}@example.com"}, 202)


def _compare(ask: dict[str, Any], base: str, luck: random.Random) -> None:
    order = [(kind, name) for kind, (names, _ask) in ask.items() for name in names[:ASKED]]
    luck.shuffle(order)
    times: dict[str, list[float]] = {kind: [] for kind in ask}
    for kind, name in order:
        times[kind].append(ask[kind][1](name))
    for kind, found in times.items():
        if kind != base:
            value = auc(times[base], found)
            verdict = "" if value <= BARS["AUC"] else " **missed**"
            print(
                f"- {base} against {kind}: AUC **{value:.2f}**{verdict}"
                f" (p50 {median(times[base]):.1f} and {median(found):.1f} ms)"
            )


def main() -> None:
    """Print the figures beside their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="length of the throughput run")
    parser.add_argument("--workers", type=int, default=2, help="web processes on the port")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of the comparison of times")
    options = parser.parse_args()
    with world() as made:
        lift_limits()
        members = people("member", ASKED, PASSWORD)
        known, social = people("known", ASKED, PASSWORD), people("social", ASKED, None)
        print(f"{datetime.now(UTC):%Y-%m-%d}, {options.workers} web processes,", end=" ")
        print(f"huge pages: {huge_pages()}, load of the machine before: {os.getloadavg()[0]:.1f}\n")
        hashing()
        with web(made, workers=options.workers) as port:
            one_client(port, members)
            throughput(port, members, options.seconds, made.state.servers()["postgres"]["pid"])
        # One process: which of two answers would say more than what was asked.
        with web(made) as port:
            timing(port, known, social, options.rounds)


if __name__ == "__main__":
    main()
