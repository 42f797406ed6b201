"""Too much of something: connections, locks, jobs that kill, clients that take their time."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import psycopg

from bench.faults.place import Place, until
from bench.faults.trial import Fault

SLOW_CLIENTS = 150
DEATHS = 3
"""How often a job may take its worker along before it is enough to know."""


@contextmanager
def locked_tables(place: Place) -> Iterator[None]:
    """Somebody holds the bookings' table: every request for it waits with a connection in its hand."""
    with place.connection() as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE bookings IN ACCESS EXCLUSIVE MODE")
        with asking(place, "/api/bookings/", threads=30):
            yield
        connection.execute("ROLLBACK")


@contextmanager
def asking(place: Place, path: str, *, threads: int) -> Iterator[None]:
    """So many anonymous readers more, over and over."""
    stopped = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=place.url, trust_env=False, timeout=30) as client:
            while not stopped.is_set():
                with suppress(httpx.HTTPError):
                    client.get(path)

    readers = [threading.Thread(target=ask, daemon=True) for _ in range(threads)]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        stopped.set()
        for reader in readers:
            reader.join(60)


@contextmanager
def no_connections_left(place: Place) -> Iterator[None]:
    """Somebody else has taken every connection that the server gives to ordinary roles, and ours were ended."""
    taken: list[psycopg.Connection[object]] = []
    stopped = threading.Event()

    def take() -> None:
        while not stopped.is_set():
            try:
                taken.append(psycopg.connect(place.database_url, connect_timeout=3))
            except psycopg.OperationalError:
                stopped.wait(0.05)

    with ExitStack() as stack:
        overseer = stack.enter_context(place.connection())
        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        time.sleep(1)
        overseer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'karibu'"
            " AND pid <> ALL (%s)",
            [[each.info.backend_pid for each in list(taken)]],
        )
        try:
            yield
        finally:
            stopped.set()
            taker.join(10)
            for connection in taken:
                connection.close()


@contextmanager
def poisoned_queue(place: Place) -> Iterator[None]:
    """Jobs that nobody can do: of an unknown kind, with arguments that do not fit, and of a thing that is gone."""
    with place.connection() as connection:
        for task, given in POISON:
            connection.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, scheduled_at)"
                " VALUES ('poison', %s, NULL, NULL, %s::jsonb, 'todo', NULL)",
                [task, given],
            )
    yield


POISON = [
    ("nobody.knows_this", "{}"),
    ("listings.make_photo_sizes", '{"photo": "?"}'),
    ("listings.make_photo_sizes", '{"photo_id": 999999999}'),
    ("notifications.deliver", '{"nothing": null}'),
    *([("nobody.knows_this", '{"again": true}')] * 200),
]


def left_poison(place: Place) -> list[str]:
    """Poisonous jobs that are neither done nor given up, nor wait for another try, after a minute."""

    def left() -> list[str]:
        rows = place.rows(
            "SELECT task_name, status::text, attempts FROM procrastinate_jobs WHERE queue_name = 'poison'"
            " AND (status = 'doing' OR (status = 'todo' AND attempts = 0))"
        )
        return [f"job {task} is {status} after {attempts} tries" for task, status, attempts in rows]

    with suppress(TimeoutError):
        until(lambda: not left(), "the poison is gone", every_s=0.5)
    return left()


@contextmanager
def deadly_job(place: Place) -> Iterator[None]:
    """A job that takes its worker along, each time that one has begun it: it waits for a table, and dies waiting."""
    with place.connection() as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE saved_searches IN ACCESS EXCLUSIVE MODE")
        with place.connection() as queue:
            (job,) = queue.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)"
                " VALUES ('deadly', 'sweep.saved_searches', '{\"timestamp\": 0}', 'todo') RETURNING id"
            ).fetchone() or (0,)
            for _ in range(DEATHS):
                until(lambda: _status(queue, job) == "doing", "the job has begun", within_s=60, every_s=0.02)
                place.kill("worker")
                # As the worker that is missed for a minute; there is no time to miss it here.
                queue.execute("UPDATE procrastinate_jobs SET status = 'todo' WHERE id = %s", [job])
        connection.execute("ROLLBACK")
    yield


def _status(connection: psycopg.Connection[Any], job: int) -> str:
    row = connection.execute("SELECT status::text FROM procrastinate_jobs WHERE id = %s", [job]).fetchone()
    return row[0] if row else ""


@contextmanager
def slow_clients(place: Place) -> Iterator[None]:
    """Connections that send a byte a second, that never read what they asked for, and sockets that never listen."""
    stopped = threading.Event()
    lines = [_dawdler(place, number) for number in range(SLOW_CLIENTS)]

    def drip() -> None:
        while not stopped.wait(1.0):
            for line in lines:
                with suppress(OSError):
                    line.send(b"x")

    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    try:
        yield
    finally:
        stopped.set()
        dripping.join(10)
        for line in lines:
            line.close()


def _dawdler(place: Place, number: int) -> socket.socket:
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    line.settimeout(5)
    line.connect(("127.0.0.1", place.port))
    host = f"Host: 127.0.0.1:{place.port}\r\n"
    if number % 3 == 0:
        line.sendall(f"GET /api/properties/ HTTP/1.1\r\n{host}X-Slow: ".encode())
    elif number % 3 == 1:
        line.sendall(
            f"POST /api/login/ HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{{".encode()
        )
    else:
        # As much as there is to be had, many times over on one connection, and nothing of it is read.
        line.sendall(f"GET /api/openapi.json HTTP/1.1\r\n{host}\r\n".encode() * 20)
    return line


@contextmanager
def frozen(place: Place, name: str) -> Iterator[None]:
    """A process that is there and does nothing, as on a machine that hangs."""
    pid = place.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


GOES_ON = ("search", "book", "pay", "message", "read")

POISONED = Fault("poison jobs", poisoned_queue, unharmed=GOES_ON, check=left_poison)

PRESSURE = [
    Fault("pool exhausted", locked_tables, unharmed=()),
    Fault("no connections", no_connections_left),
    Fault("deadly job", deadly_job, seconds=0.0),
    POISONED,
    Fault("slow clients", slow_clients, unharmed=GOES_ON),
    Fault("valkey frozen", lambda place: frozen(place, "valkey"), unharmed=GOES_ON),
]
