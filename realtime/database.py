"""Ask the database from the event loop: in a few threads of its own, with connections of the shared pool.

What clients write has threads apart: a conversation that is held by somebody else must not hold up the pulse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from django.db import close_old_connections

R = TypeVar("R")

ASKING, WRITING = 2, 2
"""Threads. Beside the 16 of HTTP they use up the pool of 20 connections and never wait for one."""

_asking = ThreadPoolExecutor(ASKING, thread_name_prefix="realtime")
_writing = ThreadPoolExecutor(WRITING, thread_name_prefix="realtime-writing")


async def ask(question: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Run a synchronous question to the database without holding up the sockets."""
    return await asyncio.get_running_loop().run_in_executor(_asking, partial(_run, question, args, kwargs))


async def write(operation: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Run an operation of the domain without holding up the sockets or what they ask."""
    return await asyncio.get_running_loop().run_in_executor(_writing, partial(_run, operation, args, kwargs))


def _run(question: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    close_old_connections()
    try:
        return question(*args, **kwargs)
    finally:
        close_old_connections()
