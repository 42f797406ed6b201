"""HTTP on many machines: granian with the WSGI application, behind a proxy. ``python -m backend.web --port 8000``.

Told to end (SIGTERM), it first goes on for ``--drain`` seconds: readiness is refused, and every connection ends with
the answer that it carries, so that the proxy keeps none that we would have to cut. Then no further connection is
taken, what has come in is answered, and the process ends.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.util import Finalize
from typing import Any

from granian import _signals
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from api.gate import THREADS
from backend.core import draining
from backend.local import processes

DRAIN_S = 4.0
"""Longer than the proxy keeps an idle connection to us (ops/nginx: 2 s)."""

GRACE_S = 10
"""How long running requests have to end after that."""

LAST_CALL_S = 0.05
"""From the moment when no connection can be made any more to the one when those that were made are all taken."""

SWITCH_S = 0.001
"""As in ``backend.local.web``: nobody who has only bytes to pass on waits for a request that is being worked on."""

SO_ATTACH_FILTER = 26


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="backend.web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1, help="processes on this port")
    parser.add_argument("--drain", type=float, default=DRAIN_S, metavar="SECONDS")
    parser.add_argument("--log-level", default="warning", choices=[level.value for level in LogLevels])
    options = parser.parse_args(arguments)
    server = Server(
        "backend.wsgi:application",
        address=options.host,
        port=options.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=128 * 1024),
        websockets=False,
        workers=options.workers,
        blocking_threads=THREADS,
        backlog=2048,
        log_level=LogLevels(options.log_level),
        log_access=False,
        workers_kill_timeout=int(options.drain) + GRACE_S,
        process_name=None,
    )
    load = partial(
        _load, port=options.port, drain_s=options.drain, bind=processes.die_with_parent(signal.SIGKILL)
    )
    server.serve(target_loader=load, wrap_loader=False)


def _load(*, port: int, drain_s: float, bind: Callable[[], None] | None) -> Any:
    """In each worker: the application, with our way to end in place of granian's, which ends at once.

    ``bind`` ties its life to granian's first process: one that was killed would leave us on the port for ever.
    """
    if bind is not None:
        bind()
    sys.setswitchinterval(SWITCH_S)
    set_signals = _signals.set_main_signals

    def ours(interrupt: Callable[..., None], reload: Callable[..., None] | None = None) -> None:
        set_signals(interrupt, reload)
        signal.signal(signal.SIGTERM, partial(_drain, interrupt, port, drain_s))

    _signals.set_main_signals = ours
    from backend import wsgi

    wsgi.start()
    # A worker process ends without what was registered with atexit.
    Finalize(None, wsgi.stop, exitpriority=100)
    return wsgi.application


def _drain(interrupt: Callable[..., None], port: int, drain_s: float, number: int, _frame: Any) -> None:
    if draining.has_begun():
        return
    draining.begin()

    def end() -> None:
        time.sleep(drain_s)
        close_door(port)
        time.sleep(LAST_CALL_S)
        interrupt(number, None)

    threading.Thread(target=end, name="draining", daemon=True).start()


def close_door(port: int) -> None:
    """Let nobody connect to ``port`` any more, while those who have are still taken.

    A server that closes its socket resets the connections that wait to be taken, with the requests that were sent on
    them. So the kernel drops the beginnings of new ones first; they are begun again a second later, and refused, which
    a proxy takes for what it is. Linux only; elsewhere nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    # One instruction of the classic packet filter: return 0, keep nothing.
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(nothing))
    for door in _listening(port):
        with door:
            door.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def _listening(port: int) -> Iterator[socket.socket]:
    """The sockets of this process that listen at ``port``."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            found = socket.socket(fileno=os.dup(int(name)))
            if (
                found.family in (socket.AF_INET, socket.AF_INET6)
                and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                and found.getsockname()[1] == port
            ):
                yield found
            else:
                found.close()


if __name__ == "__main__":
    main()
