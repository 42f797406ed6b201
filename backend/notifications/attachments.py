"""What mails carry beside their text. Packages above this one say what belongs to a notice; the mail job asks them.

A source is asked outside of any transaction, once for each try of a mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from backend.notifications.models import Notification


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    content: bytes = field(repr=False)
    media_type: str


class NotReady(Exception):
    """What belongs to a notice cannot be had this time."""


class Source(Protocol):
    """Somebody who knows what belongs to notices."""

    def load(self, notification: Notification) -> Sequence[Attachment]:
        """What belongs to the notice; nothing for most."""
        ...

    def sent(self, notification: Notification, *, now: datetime) -> None:
        """The notice's mail was handed over."""
        ...


_sources: list[Source] = []


def register(source: Source) -> None:
    """Ask ``source`` about every notice that is mailed."""
    _sources.append(source)


def of(notification: Notification) -> list[Attachment]:
    """All that belongs to a notice. Raises: NotReady, with the source's own error as its cause."""
    try:
        return [each for source in _sources for each in source.load(notification)]
    except Exception as error:
        # Storages and typesetters raise what they like; the mail waits in any case, and its delivery says why.
        raise NotReady(f"{type(error).__name__}: {error}") from error


def sent(notification: Notification, *, now: datetime) -> None:
    """Tell all sources that the notice's mail was handed over."""
    for source in _sources:
        source.sent(notification, now=now)
