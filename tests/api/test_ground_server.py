"""The API's ground on a real server: raw bytes, bodies without end, a database that comes and goes."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from django.db import connections

from tests.conftest import Server

MEGABYTE = 1024 * 1024


def chunks(size: int, piece: int = 64 * 1024) -> Iterator[bytes]:
    for _ in range(size // piece):
        yield b" " * piece


def raw(server: Server, request: bytes) -> bytes:
    """Everything that the server says to these bytes until it closes or falls silent."""
    with closing(socket.create_connection(("127.0.0.1", server.port), 5)) as connection:
        connection.settimeout(3)
        connection.sendall(request)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
                if b"\r\n\r\n" in answer and b'"request_id"' in answer:
                    break
        except TimeoutError:
            return answer
    return answer


def problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["request_id"] == response.headers["x-request-id"]


def test_body_that_is_too_large_is_refused_declared_or_chunked(server: Server) -> None:
    json_type = {"content-type": "application/json", "x-request-id": "big-1"}
    form = {"content-type": "multipart/form-data; boundary=x"}
    url = f"{server.url}/api/login/"

    problem(httpx.post(url, content=b" " * (2 * MEGABYTE), headers=json_type), 413, "too_large")
    problem(httpx.post(url, content=chunks(2 * MEGABYTE), headers=json_type), 413, "too_large")
    problem(httpx.post(url, content=b" " * (13 * MEGABYTE), headers=form), 413, "too_large")
    problem(httpx.post(url, content=chunks(13 * MEGABYTE), headers=form), 413, "too_large")
    # What is within the bound is read, chunked or not.
    within = httpx.post(url, content=b" " * (MEGABYTE - 2) + b"{}", headers=json_type)
    problem(within, 422, "invalid")
    in_chunks = httpx.post(url, content=iter([b'{"na', b'me": 1}']), headers=json_type)
    problem(in_chunks, 422, "invalid")
    assert {error["field"] for error in in_chunks.json()["errors"]} >= {"name"}


@pytest.mark.parametrize(
    "line",
    [
        b"GET /api/locations/?q=\xff\xfe HTTP/1.1",
        b"GET /api/locations/?q=%ff%fe HTTP/1.1",
        b"GET /api/%ff%fe/ HTTP/1.1",
        b"GET /api/nothing/%00 HTTP/1.1",
        b"GET /api/nothing/%0d%0aX:y HTTP/1.1",
        b"GET //api//nothing HTTP/1.1",
        b"DELETE /api/nothing HTTP/1.1",
        b"BREW /api/currencies/ HTTP/1.1",
    ],
)
def test_bytes_of_any_kind_are_no_defect(server: Server, line: bytes) -> None:
    answer = raw(server, line + b"\r\nHost: localhost\r\nX_Forwarded_For: 1.2.3.4\r\n\r\n")

    status = int(answer.split(b" ", 2)[1])
    assert 200 <= status < 500, answer


def test_documents_and_files_are_served(server: Server) -> None:
    docs = httpx.get(f"{server.url}/api/docs")

    assert docs.status_code == 200
    assert "http://" not in docs.text.replace(server.url, "")
    assert "https://" not in docs.text
    script = httpx.get(f"{server.url}/static/ninja/swagger-ui-bundle.js")
    assert script.status_code == 200
    assert len(script.content) > 100_000
    assert httpx.get(f"{server.url}/api/openapi.json").json()["openapi"].startswith("3.1")


def test_head_and_keep_alive_work_together(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        assert client.head("/api/currencies/").status_code in (200, 404)
        assert client.get("/health/live").json() == {"status": "ok"}
        assert client.head("/health/live").content == b""
        assert client.get("/health/live").json() == {"status": "ok"}


def test_ready_tells_every_part(server: Server) -> None:
    response = httpx.get(f"{server.url}/health/ready")

    assert response.status_code == 200
    parts = response.json()["parts"]
    assert set(parts) == {"database", "migrations", "cache", "channel_layer", "storage", "queue"}
    assert parts["migrations"]["status"] == "ok"
    assert parts["database"]["status"] == "ok"
    assert parts["queue"]["status"] == "degraded"
    assert response.json()["status"] == "degraded"


class Wire:
    """A cable between the server and PostgreSQL that can be pulled and put back."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.listener: socket.socket | None = None
        self.ends: list[socket.socket] = []
        self.port = 0
        self.plug()

    def plug(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self.port = listener.getsockname()[1]
        self.listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def pull(self) -> None:
        assert self.listener is not None
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.ends.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            self.ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
        for end in (source, sink):
            # A plain close would leave the other direction's thread waiting on it, and the line up.
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def wire(db: None) -> Iterator[Wire]:
    at = connections["default"].settings_dict
    wire = Wire(at["HOST"], int(at["PORT"]))
    yield wire
    wire.pull()


def test_database_away_is_unavailable_and_recovers_without_a_restart(
    wire: Wire, start_server: Callable[..., Server]
) -> None:
    at = connections["default"].settings_dict
    url = f"postgresql://{at['USER']}:{at['PASSWORD']}@127.0.0.1:{wire.port}/{at['NAME']}"
    server = start_server(env={"DATABASE_URL": url})
    login = {"email": "a@example.com", "password": "nothing-right-1"}
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert client.post("/api/login/", json=login).status_code == 401

        wire.pull()
        away = client.post("/api/login/", json=login)
        problem(away, 503, "unavailable")
        assert away.headers["retry-after"] == "5"
        problem(client.get("/api/currencies/"), 503, "unavailable")
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["parts"]["database"]["status"]) == (503, "down")
        assert client.get("/health/live").status_code == 200
        assert client.get("/admin/login/").status_code < 600

        wire.plug()
        deadline = time.monotonic() + 15
        while client.get("/health/ready").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert client.post("/api/login/", json=login).status_code == 401


def test_valkey_away_is_degraded_and_answers_go_on(start_server: Callable[..., Server]) -> None:
    server = start_server(env={"REDIS_URL": "redis://127.0.0.1:1/0"})

    ready = httpx.get(f"{server.url}/health/ready")

    assert ready.status_code == 200
    assert ready.json()["status"] == "degraded"
    assert ready.json()["parts"]["cache"]["status"] == "down"
    login = {"email": "a@example.com", "password": "nothing-right-1"}
    problem(httpx.post(f"{server.url}/api/login/", json=login), 401, "invalid_credentials")


def test_forwarding_headers_do_not_move_the_limit(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        left = [
            int(
                client.get(
                    "/api/openapi-nothing/", headers={"x-forwarded-for": f"1.2.3.{number}"}
                ).status_code
            )
            for number in range(2)
        ]
        reads = [
            client.get("/api/currencies/", headers={"x-forwarded-for": f"1.2.3.{number}"}).headers.get(
                "ratelimit", ""
            )
            for number in range(2)
        ]

    assert left == [404, 404]
    remaining = [int(each.split("r=")[1].split(";")[0]) for each in reads]
    assert remaining[0] - remaining[1] == 1


def test_logs_are_json_lines_without_secrets(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server()
    login = {"email": "ann@example.com", "password": "nothing-right-1"}
    httpx.post(f"{server.url}/api/login/", json=login, headers={"authorization": "Bearer eyJa.eyJb.c"})
    httpx.post(f"{server.url}/api/login/", content=b"{")

    text = next(iter(tmp_path.glob("web-*.log"))).read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert [line["route"] for line in lines if line["event"] == "request"][-2:] == [
        "/api/login/",
        "/api/login/",
    ]
    tried = [line for line in lines if line["event"] == "request"][-2]
    assert tried["statements"] >= 1
    assert 0 < tried["sql_ms"] < tried["ms"]
    assert "ann@example.com" not in text
    assert "nothing-right-1" not in text
    assert "eyJa" not in text
