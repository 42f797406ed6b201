"""Starting, recognising and ending processes, and never those of a stranger."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import psutil

from backend.local.errors import LocalError

MARKER = "KARIBU_STATE"
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def die_with_parent(number: int) -> Callable[[], None] | None:
    """A hook that asks the kernel to send ``number`` to the child when its parent is killed (Linux only).

    Without it a killed supervisor leaves a web server on its port; the next start would find it, a person would not.
    """
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def hook() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return hook


def start(
    command: Sequence[str | Path],
    *,
    env: dict[str, str],
    log: Path | None = None,
    cwd: Path | None = None,
    death_signal: int = signal.SIGTERM,
    user: tuple[int, int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process of its own session, whose output is added to ``log``.

    ``user`` is the (uid, gid) it changes to, with no other groups. ``death_signal`` reaches it if this process dies.
    """
    output = open(log, "ab") if log else None  # noqa: SIM115
    try:
        return subprocess.Popen(
            [str(part) for part in command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
        )
    finally:
        if output:
            output.close()


def alive(pid: int) -> psutil.Process | None:
    """The running process of that id, or None; a zombie has ended."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def marked(marker: str) -> Iterator[psutil.Process]:
    """The running processes that carry this state's marker in their environment.

    Process ids are used again by the system; an environment with our random id is not.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARKER) == marker:
                yield process


def stop(
    processes: Iterable[psutil.Process], *, signals: Sequence[tuple[int, float]] = ((signal.SIGTERM, 10.0),)
) -> int:
    """End processes: each signal of ``signals`` is given its seconds, then they are killed.

    Returns how many there were.
    """
    waiting = list(processes)
    count = len(waiting)
    for number, seconds in (*signals, (signal.SIGKILL, 5.0)):
        for process in waiting:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _, waiting = psutil.wait_procs(waiting, timeout=seconds)
        if not waiting:
            break
    return count


def stop_child(child: subprocess.Popen[bytes], *, number: int = signal.SIGTERM, wait_s: float = 10.0) -> None:
    """End a process that we started: ask, wait, kill."""
    if child.poll() is not None:
        return
    child.send_signal(number)
    try:
        child.wait(wait_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def require_free_port(host: str, port: int) -> None:
    """Raises: LocalError when ``port`` cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            # Binding with SO_REUSEADDR succeeds beside a bound socket on some systems; listening does not.
            probe.listen(1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LocalError(
            f"Port {port} on {host} cannot be used ({reason}); choose another one: run.py serve --port N."
        ) from error


def came_up(process: subprocess.Popen[bytes], answers: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until a process answers; False when it ended before that or the time is up."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        if answers():
            return process.poll() is None
        time.sleep(0.05)
    return False


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log, for an error message."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
