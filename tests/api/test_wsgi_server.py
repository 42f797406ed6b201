"""HTTP through granian, as on many machines: the same ground as through uvicorn (``test_ground_server``), and its own end."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import gate
from api.gate import Gate
from backend.core import draining
from tests.api.test_ground_server import MEGABYTE, chunks, problem, raw
from tests.conftest import ROOT, START_S, Server, _environment, _free_port

JSON = {"content-type": "application/json"}


class Node:
    """Starts granian on the test database, and ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []  # type: ignore[var-annotated]
        (folder / "static").mkdir()

    def __call__(self, *, drain_s: float = 0.1) -> Server:
        port = _free_port()
        command = [sys.executable, "-m", "backend.web", "--port", str(port), "--drain", str(drain_s)]
        log = self.folder / f"web-{port}.log"
        with log.open("wb") as output:
            web = subprocess.Popen(
                command, cwd=ROOT, env=_environment(port, self.folder), stdout=output, stderr=output
            )
        self.processes.append(web)
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{url}/health/live", timeout=1).status_code == 200:
                    return Server(url, port, web, None)
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError(log.read_text()[-3000:])

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)


@pytest.fixture(scope="module")
def granian(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    start = Node(tmp_path_factory.mktemp("granian"))
    yield start()
    start.end()


@pytest.fixture
def server(db: None, granian: Server) -> Server:
    return granian


def test_bodies_are_bounded_declared_or_chunked(server: Server) -> None:
    url, form = f"{server.url}/api/login/", {"content-type": "multipart/form-data; boundary=x"}

    problem(httpx.post(url, content=b" " * (2 * MEGABYTE), headers=JSON), 413, "too_large")
    problem(httpx.post(url, content=chunks(2 * MEGABYTE), headers=JSON), 413, "too_large")
    problem(httpx.post(url, content=chunks(13 * MEGABYTE), headers=form), 413, "too_large")
    problem(httpx.post(url, content=b" " * (MEGABYTE - 2) + b"{}", headers=JSON), 422, "invalid")
    in_chunks = httpx.post(url, content=iter([b'{"na', b'me": 1}']), headers=JSON)
    problem(in_chunks, 422, "invalid")
    assert {error["field"] for error in in_chunks.json()["errors"]} >= {"name"}


def test_bytes_of_any_kind_are_no_defect(server: Server) -> None:
    for line in (
        b"GET /api/locations/?q=\xff\xfe HTTP/1.1",
        b"GET /api/locations/?q=%ff%fe HTTP/1.1",
        b"GET /api/%ff%fe/ HTTP/1.1",
        b"GET /api/nothing/%00 HTTP/1.1",
        b"GET //api//nothing HTTP/1.1",
        b"BREW /api/currencies/ HTTP/1.1",
        b"GET /api/currencies/ HTTP/1.0",
    ):
        answer = raw(server, line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")

        assert 200 <= int(answer.split(b" ", 2)[1]) < 500, (line, answer)


def test_answers_carry_the_same_headers_as_anywhere(server: Server) -> None:
    answer = httpx.get(f"{server.url}/api/currencies/", headers={"X-Request-ID": "mine-1"})

    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    again = httpx.get(f"{server.url}/api/currencies/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = httpx.head(f"{server.url}/api/currencies/")
    assert (head.status_code, head.content) == (200, b"")
    script = httpx.get(f"{server.url}/static/ninja/swagger-ui-bundle.js")
    assert script.status_code == 200
    assert len(script.content) > 100_000


def test_senders_that_fall_silent_keep_nobody_else_waiting(server: Server) -> None:
    started = b"POST /api/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    with ExitStack() as stack:
        for _ in range(gate.THREADS // 2):
            silent = stack.enter_context(closing(socket.create_connection(("127.0.0.1", server.port), 5)))
            silent.sendall(started)
        assert httpx.get(f"{server.url}/health/live", timeout=5).json() == {"status": "ok"}

        busy = _until(lambda: httpx.post(f"{server.url}/api/login/", content=b"{}", headers=JSON), 503)
        problem(busy, 503, "unavailable")
        assert busy.headers["retry-after"] == "1"

    _until(lambda: httpx.post(f"{server.url}/api/login/", content=b"{}", headers=JSON), 422)


def test_a_process_that_is_told_to_end_says_so_and_ends_each_connection_with_its_answer(
    db: None, tmp_path: Path
) -> None:
    server = Node(tmp_path)(drain_s=600.0)
    assert "connection" not in httpx.get(f"{server.url}/health/live").headers

    server.web.send_signal(signal.SIGTERM)

    ready = _until(lambda: httpx.get(f"{server.url}/health/ready"), 503)
    while ready.json()["status"] != "draining":
        ready = httpx.get(f"{server.url}/health/ready")
    assert ready.json() == {"status": "draining", "parts": {}}
    live = httpx.get(f"{server.url}/api/currencies/")
    assert (live.status_code, live.headers["connection"]) == (200, "close")

    # One that is killed leaves nobody on its port, whatever it was doing.
    server.web.kill()
    server.web.wait(20)
    _until_refused(server)


def test_a_process_that_was_told_to_end_ends_well(db: None, tmp_path: Path) -> None:
    server = Node(tmp_path)()

    server.web.send_signal(signal.SIGTERM)

    assert server.web.wait(60) == 0
    _until_refused(server)


class Application:
    """Answers with what it was given, as Django's handler does."""

    def __init__(self, *chunks: bytes, streaming: bool = False) -> None:
        self.chunks, self.streaming, self.closed = chunks, streaming, False
        self.seen: dict[str, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Application:
        self.seen = environ
        start_response("200 OK", [("X-Name", "é")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def close(self) -> None:
        self.closed = True


def asked(application: Application, **changes: Any) -> tuple[str, dict[str, str], Any]:
    said: list[Any] = []
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/api/login/", "wsgi.input": io.BytesIO(), **changes}
    body = Gate(application)(environ, lambda *answer: said.append(answer))
    ((status, headers),) = said
    return status, dict(headers), body


def test_the_process_environment_does_not_reach_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "the key to everything")
    application = Application(b"a", b"b")

    status, headers, body = asked(application, SECRET_KEY="the key to everything", QUERY_STRING="q=é")

    assert (status, headers, body) == ("200 OK", {"X-Name": "?"}, [b"ab"])
    assert "SECRET_KEY" not in application.seen
    assert application.seen["QUERY_STRING"] == "q=%C3%A9"
    assert application.closed


def test_what_streams_is_passed_on_piece_by_piece() -> None:
    application = Application(b"a", b"b", streaming=True)

    _, _, body = asked(application)

    assert body is application
    assert not application.closed


def test_a_sender_of_drops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BODY_TIMEOUT_S", -1.0)
    application = Application()

    status, headers, (body,) = asked(application, CONTENT_LENGTH="2", **{"wsgi.input": io.BytesIO(b"{}")})

    assert (status, headers["connection"]) == ("408 Request Timeout", "close")
    assert b'"request_timeout"' in body
    assert application.seen == {}


def test_only_while_draining_connections_end_with_their_answer() -> None:
    draining.begin()
    try:
        assert asked(Application())[1]["Connection"] == "close"
    finally:
        draining.take_back()

    assert "Connection" not in asked(Application())[1]


def _until(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    deadline = time.monotonic() + 60
    while True:
        answer = ask()
        if answer.status_code == status:
            return answer
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)


def _until_refused(server: Server) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.port), 5).close()
        except (ConnectionRefusedError, TimeoutError):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)
