"""A notice as a short message: what it says in the reader's language, cut to what one message holds. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings

from backend.notifications import places, wording
from backend.notifications.models import Notification
from backend.notifications.rendering import Notice, notice_of, supported, values

GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The letters of 3GPP TS 23.038 that take one place each; a message that has others holds 70 instead of 160."""

GSM_TWICE = frozenset("^{}\\[~]|€\f")

_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\u00a0": " ", "\u202f": " ", "œ": "oe", "Œ": "OE"})  # fmt: skip
_LONG = ("listing", "feed", "guest", "host", "sender")
_SHORTEST = 12


def text(notice: Notification | Notice, language: str, drafts: Mapping[str, str] | None = None) -> str:
    """The short message in ``language``: names are shortened until one message holds it, as far as that goes.

    Letters beyond the carriers' alphabet lose their accents where that makes it fit that alphabet: otherwise one
    ``ê`` would make three messages of one.
    """
    given, language = (notice if isinstance(notice, Notice) else notice_of(notice)), supported(language)
    given = replace(given, params=places.spoken(given.params, language))
    room = {name: len(str(value)) for name, value in given.params.items() if name in _LONG}
    while True:
        written = _written(given, language, room, drafts)
        longest = max(room, key=lambda name: room[name], default="")
        if messages(written) <= 1 or not longest or room[longest] <= _SHORTEST:
            return written
        room[longest] = max(_SHORTEST, room[longest] - 8)


def messages(words: str) -> int:
    """How many messages a carrier makes, and charges, of a text."""
    if all(letter in GSM or letter in GSM_TWICE for letter in words):
        places = sum(2 if letter in GSM_TWICE else 1 for letter in words)
        return 1 if places <= 160 else -(-places // 153)
    places = len(words.encode("utf-16-be")) // 2
    return 1 if places <= 70 else -(-places // 67)


def _written(
    notice: Notice, language: str, room: Mapping[str, int], drafts: Mapping[str, str] | None = None
) -> str:
    params: dict[str, Any] = {
        name: _shortened(str(value), room[name]) if name in room else value
        for name, value in notice.params.items()
    }
    part = wording.SHORT if wording.WORDED[notice.kind].short else wording.TITLE
    said = wording.said(notice.kind, part, language, values(params, language), drafts)
    address = f"{settings.PUBLIC_URL}{notice.url}" if notice.url.startswith("/") else notice.url
    with_link = f"{said} {address}".rstrip()
    return _plain(with_link if messages(_plain(with_link)) <= 1 else said)


def _shortened(words: str, length: int) -> str:
    return words if len(words) <= length else words[: max(length - 2, 1)].rstrip() + ".."


def _plain(words: str) -> str:
    """The text in the carriers' alphabet where it can be written in it, else as it is; always in one line."""
    line = re.sub(r"\s+", " ", words).strip()
    line = "".join(letter for letter in line if unicodedata.category(letter) not in ("Cc", "Cf"))
    plain = "".join(
        letter if letter in GSM or letter in GSM_TWICE else unicodedata.normalize("NFKD", letter)[:1]
        for letter in line.translate(_PLAIN)
    )
    return plain if all(letter in GSM or letter in GSM_TWICE for letter in plain) else line
