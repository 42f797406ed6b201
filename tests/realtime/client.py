"""A websocket client that speaks frames, for tests against a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from django.utils import timezone
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from backend.accounts.models import User
from backend.identity.sessions import Device, open_session
from backend.notifications import services as notifications
from backend.notifications import tickets
from backend.notifications.frames import SERVER
from backend.notifications.services import Event
from tests.conftest import Server
from tests.factories import NOW


def ticket_for(user: User) -> str:
    """A ticket of a fresh session of the user."""
    now = timezone.now()
    signed_in = open_session(user=user, device=Device(address="127.0.0.1", user_agent="tests"), now=now)
    return tickets.issue(user=user, session_id=signed_in.user.session_id, now=now)


def push(user: User, *numbers: int, title: str = "Flat") -> None:
    """Tell a user of bookings with these ids, each in a transaction of its own."""
    for number in numbers:
        booking = {
            "id": number,
            "reference": "KB7Q2M9X",
            "status": "confirmed",
            "pending_reason": None,
            "property_id": 1,
            "property": title,
            "check_in": "2027-05-03",
            "check_out": "2027-05-05",
        }
        notifications.push_on_commit([Event(user.pk, "booking", booking)], now=NOW)


def numbers_of(frames: Sequence[dict[str, Any]]) -> list[int]:
    """What ``push`` was given."""
    return [frame["data"]["id"] for frame in frames]


def validated(text: str | bytes) -> dict[str, Any]:
    """A frame that the published document describes."""
    frame: dict[str, Any] = json.loads(text)
    SERVER[frame["type"]].frame.model_validate_json(text, strict=True)
    return frame


class Live:
    """An open socket. ``frame()`` is the next frame, ``frames(n)`` the next n; a context manager."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    @classmethod
    def open(
        cls,
        server: Server,
        user: User | None = None,
        *,
        ticket: str | None = None,
        path: str = "/ws/",
        subprotocols: Sequence[str] | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Live:
        """Connect as ``user`` with a ticket, or as the arguments say. Raises: what websockets raises."""
        ticket = ticket or (ticket_for(user) if user else None)
        query = f"?ticket={ticket}" if ticket else ""
        url = f"{server.url.replace('http', 'ws', 1)}{path}{query}"
        return cls(
            connect(
                url,
                subprotocols=subprotocols,  # type: ignore[arg-type]
                additional_headers=headers,
                max_size=2**24,
                open_timeout=20,
                **options,
            )
        )

    def __enter__(self) -> Self:
        self.connection.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.__exit__(kind, error, trace)

    def frame(self, timeout: float = 10) -> dict[str, Any]:
        """The next frame. Raises: TimeoutError, ConnectionClosed."""
        frame = validated(self.connection.recv(timeout=timeout))
        assert set(frame) == {"type", "id", "at", "data"}
        assert frame["at"].endswith("Z")
        return frame

    def until(self, type_: str, timeout: float = 10, **data: Any) -> dict[str, Any]:
        """The next frame of this type whose data has these values; those before it are skipped."""
        deadline = time.monotonic() + timeout
        while True:
            frame = self.frame(max(0.0, deadline - time.monotonic()))
            if frame["type"] == type_ and all(frame["data"].get(key) == data[key] for key in data):
                return frame

    def frames(self, count: int, timeout: float = 10) -> list[dict[str, Any]]:
        """The next ``count`` frames."""
        return [self.frame(timeout) for _ in range(count)]

    def quiet(self, seconds: float = 0.4) -> bool:
        """Whether nothing arrives for a while."""
        try:
            self.connection.recv(timeout=seconds)
        except TimeoutError:
            return True
        return False

    def say(self, type_: str, **data: Any) -> None:
        """Send a frame."""
        self.connection.send(json.dumps({"type": type_, "data": data}))

    def close_code(self, timeout: float = 10) -> int | None:
        """The code that the server closes with; frames before it are skipped."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                self.connection.recv(timeout=timeout)
            except ConnectionClosed:
                return self.connection.close_code
        raise AssertionError("the socket stayed open")
