"""Ask the database from the event loop: in a few threads of its own, with connections of the shared pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from django.db import close_old_connections

R = TypeVar("R")

THREADS = 4
"""Beside the 16 threads of HTTP they use up the pool of 20 connections and never wait for one."""

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="realtime")


async def ask(question: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Run a synchronous question to the database without holding up the sockets."""
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(_run, question, args, kwargs))


def _run(question: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    close_old_connections()
    try:
        return question(*args, **kwargs)
    finally:
        close_old_connections()
