"""A storm of messages: clients that write, lose their connections, come back, and must all hold the same in the end.

Used by the tests at a small size and by ``bench.messages`` at its full one.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.db import close_old_connections
from django.utils import timezone
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from backend.accounts.models import User
from backend.identity.sessions import Device, open_session
from backend.listings import cohosts
from backend.messaging import services as messaging
from backend.messaging.models import Conversation, Message
from backend.notifications import feed, tickets
from tests.factories import make_listing, make_user

PACE_S = 1 / 15
"""Between two messages of a client: a hundred frames in five seconds are a flood."""

UNANSWERED = 8
"""Messages that a client sends without having seen the answers to those before."""

PATIENCE_S = 30.0
"""How long nothing may come while something is missing."""


@dataclass
class Client:
    """Somebody's device: what it wants to say, what it was told, and what it takes for wrong."""

    user: User
    session_id: Any
    conversations: list[int]
    outbox: deque[dict[str, Any]] = field(default_factory=deque)
    unanswered: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    connections: int = 0
    repeated: int = 0

    @property
    def is_done(self) -> bool:
        return not self.outbox and not self.unanswered

    @property
    def last(self) -> int:
        return len(self.told)

    def take(self, frame: dict[str, Any]) -> None:
        """Note a frame: events come without gaps, and one that comes again is the answer to what was sent again."""
        if frame["type"] == "error":
            self._take_error(frame["data"])
            return
        if frame["id"] is None:
            return
        if frame["id"] == self.last + 1:
            self.told.append(frame)
        elif frame["id"] > self.last:
            self.wrong.append(f"{frame['id']} came after {self.last}")
        elif (frame["type"], frame["data"]["id"]) != (
            self.told[frame["id"] - 1]["type"],
            self.told[frame["id"] - 1]["data"]["id"],
        ):
            self.wrong.append(f"{frame['id']} came again and is another one")
        else:
            self.repeated += 1
        if frame["type"] == "message":
            self.unanswered.pop(frame["data"].get("client_id", ""), None)

    def _take_error(self, problem: dict[str, Any]) -> None:
        refused = self.unanswered.pop(problem.get("client_id", ""), None)
        if refused is None or problem["code"] not in ("unavailable", "rate_limited"):
            self.wrong.append(str(problem))
        else:
            # Said again, after those that wait.
            self.outbox.append(refused)

    def ticket(self) -> str:
        """A ticket of this device, straight from where the API gets it."""
        close_old_connections()
        try:
            return tickets.issue(user=self.user, session_id=self.session_id, now=timezone.now())
        finally:
            close_old_connections()

    def newest(self) -> int:
        """The number of the user's newest event in the database."""
        close_old_connections()
        try:
            return feed.latest([self.user.pk])[self.user.pk]
        finally:
            close_old_connections()


def make_clients(count: int, messages: int, chance: random.Random) -> list[Client]:
    """Devices of hosts, co-hosts and guests, four around each place, who say ``messages`` in all."""
    clients: list[Client] = []
    now = timezone.now()
    for _ in range(count // 4):
        listing = make_listing()
        keeper, *guests = make_user(), make_user(), make_user()
        cohosts.add(actor=listing.host, listing=listing, user_id=keeper.pk, grants=["messages"], now=now)
        talks = [
            messaging.start(guest=guest, listing_id=listing.pk, body="Hello", now=now)[0].conversation_id
            for guest in guests
        ]
        theirs = [(listing.host, talks), (keeper, talks), (guests[0], talks[:1]), (guests[1], talks[1:])]
        for user, conversations in theirs:
            device = Device(address="127.0.0.1", user_agent="storm")
            session = open_session(user=user, device=device, now=now).user.session_id
            clients.append(Client(user, session, conversations))
    for number in range(messages):
        client = clients[number % len(clients)]
        client.outbox.append(
            {
                "conversation_id": chance.choice(client.conversations),
                "body": f"No. {number}",
                "client_id": uuid4().hex,
            }
        )
    return clients


async def storm(
    clients: Sequence[Client],
    urls: Sequence[str],
    *,
    seed: int,
    lives: tuple[int, int] = (20, 60),
    meanwhile: Callable[[float], None] = lambda _share: None,
) -> None:
    """Let everybody say everything, on connections that break after so many frames; then let them catch up.

    ``meanwhile`` is told in a thread of its own how much of all is said and answered, twice a second.
    """
    whole = sum(len(client.outbox) for client in clients)

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.5)
            left = sum(len(client.outbox) + len(client.unanswered) for client in clients)
            await asyncio.to_thread(meanwhile, 1 - left / whole)

    watching = asyncio.create_task(watch())
    try:
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(clients):
                group.create_task(_live(client, urls, random.Random(seed + number), lives))
    finally:
        watching.cancel()
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(_catch_up(client, urls[0]))


async def _live(client: Client, urls: Sequence[str], chance: random.Random, lives: tuple[int, int]) -> None:
    while not client.is_done:
        with suppress(ConnectionClosed, InvalidHandshake, OSError, TimeoutError):
            async with await _open(client, chance.choice(urls)) as connection:
                await _talk(client, connection, chance.randint(*lives))
        await asyncio.sleep(chance.random() * 0.2)


async def _open(client: Client, url: str) -> ClientConnection:
    ticket = await asyncio.to_thread(client.ticket)
    address = f"{url.replace('http', 'ws', 1)}/ws/?ticket={ticket}"
    connection = await connect(address, max_size=2**24, open_timeout=20, ping_interval=None)
    client.connections += 1
    hello = json.loads(await connection.recv())
    assert hello["type"] == "hello"
    await _say(connection, "resume", last_event_id=client.last)
    return connection


async def _talk(client: Client, connection: ClientConnection, frames: int) -> None:
    """Send and hear until so many frames have come; then the line is cut, whatever is on its way."""
    for data in list(client.unanswered.values()):
        await _say(connection, "message.send", **data)

    async def send() -> None:
        while True:
            if client.outbox and len(client.unanswered) < UNANSWERED:
                data = client.outbox.popleft()
                client.unanswered[data["client_id"]] = data
                await _say(connection, "message.send", **data)
            await asyncio.sleep(PACE_S)

    sending = asyncio.create_task(send())
    try:
        for _ in range(frames):
            client.take(json.loads(await asyncio.wait_for(connection.recv(), PATIENCE_S)))
            if client.is_done:
                break
    finally:
        sending.cancel()
        connection.transport.abort()


async def _catch_up(client: Client, url: str) -> None:
    newest = await asyncio.to_thread(client.newest)
    if client.last >= newest:
        return
    async with await _open(client, url) as connection:
        while client.last < newest:
            client.take(json.loads(await asyncio.wait_for(connection.recv(), PATIENCE_S)))


async def _say(connection: ClientConnection, type_: str, **data: Any) -> None:
    await connection.send(json.dumps({"type": type_, "data": data}))


def differences(clients: Sequence[Client], sent: Sequence[str]) -> list[str]:
    """Where what the clients hold, what was sent and what is stored are not the same; empty when they are."""
    wrong = [f"{client.user}: {each}" for client in clients for each in client.wrong]
    stored = Counter(Message.objects.exclude(client_id="").values_list("client_id", flat=True))
    wrong += [f"{word} is stored {stored[word]} times" for word in sent if stored[word] != 1]
    for conversation in Conversation.objects.order_by("pk"):
        rows = list(conversation.messages.order_by("seq").values_list("seq", "id"))
        if [seq for seq, _id in rows] != list(range(1, conversation.last_seq + 1)):
            wrong.append(f"conversation {conversation.pk} has gaps")
        for client in clients:
            if conversation.pk not in client.conversations:
                continue
            held = [
                (frame["data"]["seq"], frame["data"]["id"])
                for frame in client.told
                if frame["type"] == "message" and frame["data"]["conversation_id"] == conversation.pk
            ]
            if held != rows:
                wrong.append(f"{client.user} holds {len(held)} of {len(rows)} in {conversation.pk}")
    return wrong
