"""The arguments of ``run.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from backend.local import commands, supervisor
from backend.local.errors import LocalError
from backend.local.state import ROOT, open_state, say

MAX_WORKERS = 5
"""Each web process may open 20 connections to a PostgreSQL that takes 120."""


def take_state(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Take ``--state DIR`` out of arguments that otherwise belong to manage.py; it may stand anywhere before ``--``.

    Raises: LocalError when the directory is missing.
    """
    state, rest, words = ROOT / "var", [], list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += [word, *words]
            break
        if word == "--state":
            if not words:
                raise LocalError("--state needs a directory.")
            state = Path(words.pop(0))
        elif word.startswith("--state="):
            state = Path(word.removeprefix("--state="))
        else:
            rest.append(word)
    return state, rest


def serve_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments of ``serve``."""
    parser = argparse.ArgumentParser(prog="run.py serve", description="Run Karibu on this machine.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=_port, default=8000, help="the port to listen on (default: 8000)")
    parser.add_argument(
        "--state", type=Path, default=ROOT / "var", help="where the data lives (default: var)"
    )
    parser.add_argument("--no-demo", action="store_true", help="start an empty world")
    parser.add_argument(
        "--workers",
        type=_workers,
        default=1,
        help="web processes on the port; more answer more on more cores, each takes 150 MB (default: 1)",
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; say a number from 1 to 65535")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of processes; say one from 1 to {MAX_WORKERS}"
        )
    return int(text)


def main(command: str, arguments: Sequence[str], *, uv: str) -> int:
    """Do what the arguments say; returns the exit code."""
    try:
        return _dispatch(command, list(arguments), uv)
    except LocalError as error:
        say(f"run.py: {error}")
        return 1


def _dispatch(command: str, arguments: list[str], uv: str) -> int:
    if command == "manage":
        path, rest = take_state(arguments)
        return commands.manage(open_state(path), rest)
    if command == "test":
        return commands.test(arguments)
    if command == "check":
        return commands.check()
    if command == "lock":
        return commands.lock(uv, arguments)
    options = serve_arguments(arguments)
    return supervisor.serve(
        open_state(options.state),
        host=options.host,
        port=options.port,
        demo=not options.no_demo,
        workers=options.workers,
    )
