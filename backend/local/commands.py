"""``run.py manage``, ``test``, ``check`` and ``lock``."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from backend.local import chromium
from backend.local.errors import LocalError
from backend.local.servers import DEFAULT_PUBLIC_URL, Servers, environment, running_urls
from backend.local.state import ROOT, State, open_state, say

THROWAWAY_PREFIX = "karibu-test-"

MOST_PROCESSES = 4
"""Test processes side by side at the most; each has a database of its own and starts servers."""


def call(command: Sequence[str | Path], env: dict[str, str], *, cwd: Path | None = None) -> int:
    """Run a command in the foreground and return its exit code as a shell would.

    It shares our terminal, so a Ctrl-C reaches it directly and we only wait; other signals are handed on.
    """
    child = subprocess.Popen([str(part) for part in command], env=env, cwd=cwd)
    kept = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGQUIT)}
    for number in (signal.SIGTERM, signal.SIGHUP):
        kept[number] = signal.signal(number, lambda got, _: child.send_signal(got))
    try:
        code = child.wait()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def manage(state: State, arguments: Sequence[str]) -> int:
    """Run manage.py with the state's servers: those that run already, else for as long as it takes.

    Returns the exit code of manage.py.
    """
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    while True:
        with state.lock("servers", who=f"run.py manage (process {os.getpid()})") as ours:
            if ours:
                with Servers(state) as servers:
                    code = call(command, environment(state, servers.urls()))
                    # Other commands may have joined in the meantime; each holds "users" for as long as it needs them.
                    with state.lock("users", wait_s=math.inf):
                        return code
        with state.lock("users", shared=True, wait_s=60):
            if (urls := running_urls(state)) is not None:
                public_url = state.servers().get("public_url", DEFAULT_PUBLIC_URL)
                return call(command, environment(state, urls, public_url=public_url))


def test(arguments: Sequence[str]) -> int:
    """Run pytest on a throw-away PostgreSQL and Valkey; returns its exit code.

    All tests are shared among one process more than there are processors, since many wait for servers and browsers; chosen
    ones run in a single one.
    """
    everything = (
        () if arguments else ("-n", str(min(MOST_PROCESSES, (os.cpu_count() or 1) + 1)), "--dist", "loadfile")
    )
    side_by_side = "-n" in (*everything, *arguments)
    browser = chromium.find_or_install()
    with throwaway_state() as state, Servers(state, throwaway=True) as servers:
        env = environment(state, servers.urls())
        env["ENVIRONMENT"] = os.environ.get("ENVIRONMENT") or "test"
        if browser:
            env["CHROMIUM"] = browser
        if side_by_side:
            # Every process copies this database, which takes no time; migrating its own one would take each a minute.
            if code := call([sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"], env):
                return code
            env["TEST_TEMPLATE"] = "1"
        return call([sys.executable, "-m", "pytest", *everything, *arguments], env, cwd=ROOT)


@contextlib.contextmanager
def throwaway_state() -> Iterator[State]:
    """A state in the temporary folder that is gone afterwards; also clears those whose runs were killed."""
    _sweep_throwaways()
    folder = Path(tempfile.mkdtemp(prefix=THROWAWAY_PREFIX))
    with open(folder / "alive", "w", encoding="utf-8") as alive, _signals_end_us():
        fcntl.flock(alive, fcntl.LOCK_EX)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        try:
            yield open_state(folder / "state")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _signals_end_us() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an orderly exit, so that every ``finally`` runs."""
    kept = {
        number: signal.signal(number, lambda got, _: sys.exit(128 + got))
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _sweep_throwaways() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{THROWAWAY_PREFIX}*"):
        with contextlib.suppress(OSError), open(folder / "alive", "r+", encoding="utf-8") as alive:
            if folder.stat().st_uid != os.geteuid():
                continue
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def check() -> int:
    """Run every check of the code that is no test; returns 1 when one of them fails."""
    python = [sys.executable, "-m"]
    manage_py = [sys.executable, str(ROOT / "manage.py")]
    production = {
        "ENVIRONMENT": "production",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "ALLOWED_HOSTS": "example.com",
        "PUBLIC_URL": "https://example.com",
        "ENCRYPTION_KEYS": secrets.token_urlsafe(32),
        "EMAIL_URL": "smtp+tls://mail.example.com",
        "STORAGE_BUCKET": "karibu",
        "TRUSTED_PROXIES": "10.0.0.1",
    }
    lint_imports = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    steps: list[tuple[str, list[str], dict[str, str]]] = [
        ("ruff check", [*python, "ruff", "check", "."], {}),
        ("ruff format", [*python, "ruff", "format", "--check", "."], {}),
        ("mypy", [*python, "mypy"], {}),
        ("import rules", [sys.executable, "-c", lint_imports], {}),
        ("migrations", [*manage_py, "makemigrations", "--check", "--dry-run"], {}),
        ("deployment", [*manage_py, "check", "--deploy", "--fail-level", "WARNING"], production),
    ]
    results: list[tuple[str, int, float]] = []
    with throwaway_state() as state, Servers(state, throwaway=True) as servers:
        env = environment(state, servers.urls())
        for name, command, more in steps:
            say(f"== {name}")
            started = time.monotonic()
            code = call(command, {**env, **more}, cwd=ROOT)
            results.append((name, code, time.monotonic() - started))
    say("")
    for name, code, seconds in results:
        say(f"{'ok    ' if code == 0 else 'FAILED'}  {name} ({seconds:.1f} s)")
    return 1 if any(code for _, code, _ in results) else 0


def lock(uv: str, arguments: Sequence[str]) -> int:
    """Resolve pyproject.toml into both lock files: all Pythons, all platforms, hashes, and no addresses.

    Pins are kept where they still fit; ``arguments`` such as ``--upgrade`` go to uv. Returns uv's exit code.

    Raises: LocalError when there is no uv for this machine.
    """
    if not Path(uv).exists():
        raise LocalError(
            "uv could not be fetched for this machine, and only uv can resolve for all platforms."
        )
    common = [
        *(uv, "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"),
        *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", *arguments),
    ]
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for name, source in (
        ("requirements.lock", ["pyproject.toml"]),
        ("requirements-dev.lock", ["--group", "pyproject.toml:dev", "--constraints", "requirements.lock"]),
    ):
        say(f"Resolving {name} …")
        if code := call([*common, *source, "--output-file", name], env, cwd=ROOT):
            return code
    return 0
