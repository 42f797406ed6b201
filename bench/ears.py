"""``python3 -m bench.ears``: a process of its own that holds sockets and notes when which message arrives.

It reads one line of JSON from its input: ``url``, ``users`` ([id, session, sockets]) and ``manner``. ``listen`` notes
every message; ``slow`` never reads; ``flood`` says more than it may and comes back. It says ``ready`` when all are open,
and at the next line of its input what it noted: [id of the message, moment] of the clock that all processes share.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import time
import uuid
from contextlib import suppress
from typing import Any

import django
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

MESSAGE = re.compile(r'^\{"type":"message",.*?"data":\{"id":(\d+)')
FRAMES = re.compile(r'^\{"type":"(?:message|notification)"')
OPENING = 20
"""Sockets that are opened at a time."""

PAUSE_S = 1.0
"""Before somebody who was closed comes back."""

FAILURES = (ConnectionClosed, InvalidHandshake, OSError, TimeoutError)


class Ears:
    """All sockets of this process."""

    def __init__(self, url: str) -> None:
        self.url = url.replace("http", "ws", 1)
        self.heard: list[tuple[int, float]] = []
        self.frames = self.lost = self.closed = 0
        self._opening = asyncio.Semaphore(OPENING)

    def _ticket(self, user_id: int, session_id: str) -> str:
        from django.db import close_old_connections
        from django.utils import timezone

        from backend.accounts.models import User
        from backend.notifications import tickets

        close_old_connections()
        try:
            session = uuid.UUID(session_id)
            return tickets.issue(user=User(pk=user_id), session_id=session, now=timezone.now())
        finally:
            close_old_connections()

    async def open(self, user_id: int, session_id: str, **options: Any) -> ClientConnection:
        """A socket that was greeted."""
        async with self._opening:
            ticket = await asyncio.to_thread(self._ticket, user_id, session_id)
            connection = await connect(
                f"{self.url}/ws/?ticket={ticket}",
                compression=None,
                max_size=2**24,
                open_timeout=60,
                ping_interval=None,
                **options,
            )
            await connection.recv()
            return connection

    async def listen(self, connection: ClientConnection) -> None:
        """Note every message until the end."""
        try:
            async for text in connection:
                now = time.monotonic()
                if FRAMES.match(str(text)):
                    self.frames += 1
                if found := MESSAGE.match(str(text)):
                    self.heard.append((int(found[1]), now))
        except ConnectionClosed:
            self.lost += 1

    async def be_slow(self, user_id: int, session_id: str) -> None:
        """Ask for events and take none; come back when the server has had enough."""
        while True:
            with suppress(*FAILURES):
                narrow = socket.socket()
                narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                narrow.setblocking(False)
                host, _, port = self.url.removeprefix("ws://").partition(":")
                await asyncio.get_running_loop().sock_connect(narrow, (host, int(port)))
                connection = await self.open(user_id, session_id, sock=narrow, max_queue=1)
                connection.transport.pause_reading()  # type: ignore[attr-defined]
                await connection.send('{"type": "resume", "data": {"last_event_id": 0}}')
                # It would not see the end: it does not read.
                await asyncio.sleep(8)
                connection.transport.abort()
                self.closed += 1
            await asyncio.sleep(PAUSE_S)

    async def flood(self, user_id: int, session_id: str) -> None:
        """Say more than is taken, over and over."""
        while True:
            with suppress(*FAILURES):
                connection = await self.open(user_id, session_id)
                for _ in range(40):
                    await connection.send('{"type": "typing", "data": {"conversation_id": 1}}')
                    await connection.send('{"type": "message.send", "data": {"body": "x"}}')
                    await connection.send("nonsense" * 500)
                async for _text in connection:
                    pass
            self.closed += 1
            await asyncio.sleep(PAUSE_S)


async def serve(job: dict[str, Any]) -> None:
    """Open what is asked for, say so, and listen until told to stop."""
    ears = Ears(job["url"])
    wanted = [(user, session) for user, session, sockets in job["users"] for _ in range(sockets)]
    if job["manner"] == "listen":
        opened = await asyncio.gather(*(ears.open(user, session) for user, session in wanted))
        tasks = [asyncio.create_task(ears.listen(connection)) for connection in opened]
    else:
        behave = ears.be_slow if job["manner"] == "slow" else ears.flood
        tasks = [asyncio.create_task(behave(user, session)) for user, session in wanted]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    found = {"heard": ears.heard, "frames": ears.frames, "lost": ears.lost, "closed": ears.closed}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    django.setup()
    asyncio.run(serve(json.loads(sys.stdin.readline())))
