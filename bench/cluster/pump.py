"""``python3 -m bench.cluster.pump``: a process of its own that asks as quickly as it is answered, at little cost.

Its input is one line of JSON: ``port``, ``authority`` (a certificate), ``paths``, ``clients`` and ``seconds``. It prints one:
``answers``, ``failed``, ``seconds`` and the seconds of processor time that it took itself.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from typing import Any

PIECE = 65536


class Caller(threading.Thread):
    """One client on a kept connection. Reads no more of an answer than where it ends."""

    def __init__(self, job: dict[str, Any], number: int, until: float) -> None:
        super().__init__(daemon=True)
        self.answers = self.failed = 0
        self._job, self._number, self._until = job, number, until
        self._context = ssl.create_default_context(cafile=job["authority"])

    def run(self) -> None:
        while time.monotonic() < self._until:
            with suppress(OSError, ValueError):
                self._call()
                return
            self.failed += 1

    def _call(self) -> None:
        port = self._job["port"]
        asked = [
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: identity\r\n\r\n".encode()
            for path in self._job["paths"]
        ]
        turn = self._number
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
            self._context.wrap_socket(plain, server_hostname="127.0.0.1") as line,
        ):
            while time.monotonic() < self._until:
                line.sendall(asked[turn % len(asked)])
                turn += 1
                if read_answer(line) == 200:
                    self.answers += 1
                else:
                    self.failed += 1


def read_answer(line: ssl.SSLSocket) -> int:
    """The status of an answer that says its length, read to its end. Raises: ConnectionError, ValueError."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = line.recv(PIECE)
        if not piece:
            raise ConnectionError
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    fields = dict(each.lower().split(b": ", 1) for each in head.split(b"\r\n")[1:])
    left = int(fields.get(b"content-length", b"-1")) - len(body)
    while left > 0:
        piece = line.recv(min(left, PIECE))
        if not piece:
            raise ConnectionError
        left -= len(piece)
    return int(head.split(b" ", 2)[1])


def main() -> None:
    job = json.loads(sys.stdin.readline())
    began = time.monotonic()
    callers = [Caller(job, number, began + job["seconds"]) for number in range(job["clients"])]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    print(
        json.dumps(
            {
                "answers": sum(each.answers for each in callers),
                "failed": sum(each.failed for each in callers),
                "seconds": time.monotonic() - began,
                "cpu_s": time.process_time(),
            }
        )
    )


if __name__ == "__main__":
    main()
