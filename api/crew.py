"""Threads for the requests of an event loop; work goes to the one that rested last.

``ThreadPoolExecutor`` deals work out in turns, so that even one client at a time wakes sixteen threads one after the
other, each with its own connection to Valkey and its own memory, long out of the processor's caches.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

R = TypeVar("R")

Work = Callable[[], Callable[[], None]]
"""What to do; it gives back how to tell whoever waits for it."""


class Crew:
    """Up to ``size`` threads, begun when they are needed. What comes while all are busy waits its turn."""

    def __init__(self, size: int, *, name: str) -> None:
        self.size = size
        self.name = name
        self._lock = threading.Lock()
        self._hands: list[_Hand] = []
        self._idle: list[_Hand] = []
        self._waiting: deque[Work] = deque()
        self._closed = False

    async def run(self, function: Callable[..., R], *arguments: Any) -> R:
        """What ``function(*arguments)`` returns or raises, from a thread. Raises: RuntimeError after ``shutdown``."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def work() -> Callable[[], None]:
            try:
                result = function(*arguments)
            except BaseException as error:
                return partial(_tell, loop, future, partial(future.set_exception, error))
            return partial(_tell, loop, future, partial(future.set_result, result))

        self._submit(work)
        return await future

    def _submit(self, work: Work) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("no work is taken after the shutdown")
            if self._idle:
                hand = self._idle.pop()
            elif len(self._hands) < self.size:
                hand = _Hand(self, f"{self.name}_{len(self._hands)}")
                self._hands.append(hand)
                hand.start()
            else:
                self._waiting.append(work)
                return
        hand.inbox.put(work)

    def rest(self, hand: _Hand) -> Work | None:
        """The work that has waited longest; None: there is none, and ``hand`` is the first to be asked again."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(hand)
            return None

    def shutdown(self) -> None:
        """Take no more work and let what was taken end."""
        with self._lock:
            self._closed = True
            hands = list(self._hands)
        for hand in hands:
            hand.inbox.put(None)
        for hand in hands:
            hand.join()


class _Hand(threading.Thread):
    """One thread of a crew."""

    def __init__(self, crew: Crew, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.crew = crew
        self.inbox: SimpleQueue[Work | None] = SimpleQueue()

    def run(self) -> None:
        work = self.inbox.get()
        while work is not None:
            tell = work()
            # Idle before the answer is out: whoever asks again at once finds this thread.
            following = self.crew.rest(self)
            tell()
            del work, tell
            work = following or self.inbox.get()


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    def settled() -> None:
        # Whoever waited may have been cancelled meanwhile.
        if not future.done():
            settle()

    try:
        loop.call_soon_threadsafe(settled)
    except RuntimeError:
        # The loop was closed, and with it whoever waited.
        if not loop.is_closed():
            raise
