"""From a notice's kind and values to what people read and clients receive. Pure but for the active translations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from babel import dates
from django.conf import settings
from django.utils.translation import get_supported_language_variant, override

from backend.core import formats
from backend.core.errors import Text
from backend.notifications import places, wording
from backend.notifications.models import LiveEvent, Notification

DATES = ("check_in", "check_out", "until")
AMOUNTS = ("total", "amount")

BODIES: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {}
"""Type of a live event → its ``data`` on the wire, from what is stored and the reader's language. Packages above this
one fill it for events whose texts are not the same in all languages; the others are told as they are stored."""

REASONS: dict[str, Text] = {}
"""A notice's ``reason_code`` → what it says, before the words of its ``reason``. Packages above fill it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a text is made from, whether it comes from the table or from a live event."""

    id: int
    kind: str
    params: Mapping[str, Any]
    data: Mapping[str, Any]
    url: str
    created_at: str
    read_at: str | None = None


class _Values(dict[str, str]):
    """A text that names a value which was not given shows a dash; an old notice must not break a list."""

    def __missing__(self, key: str) -> str:
        return "–"


def supported(language: str) -> str:
    """The language of ours that serves ``language``, else the platform's."""
    try:
        return get_supported_language_variant(language)
    except LookupError:
        return settings.LANGUAGE_CODE


def instant(value: datetime) -> str:
    """RFC 3339 in UTC with ``Z``."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def render(
    notification: Notification | Notice, language: str, drafts: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Title and body in ``language``. ``drafts`` are tried in the place of the platform's own texts."""
    kind, language = notification.kind, supported(language)
    shown = values(notification.params, language)
    has_reason = notification.params.get("reason") or notification.params.get("reason_code")
    body = wording.WITH_REASON if wording.WORDED[kind].body_with_reason and has_reason else wording.BODY
    return (
        wording.said(kind, wording.TITLE, language, shown, drafts),
        wording.said(kind, body, language, shown, drafts),
    )


def subject(
    notification: Notification | Notice, language: str, drafts: Mapping[str, str] | None = None
) -> str:
    """What stands over a mail: its own words where the platform has any, else the title."""
    kind, language = notification.kind, supported(language)
    words = wording.own(kind, language) if drafts is None else drafts
    part = wording.SUBJECT if wording.SUBJECT in words else wording.TITLE
    return wording.said(kind, part, language, values(notification.params, language), drafts)


def payload(notification: Notification | Notice, language: str) -> dict[str, Any]:
    """The notice as the API and the sockets show it."""
    notice = notification if isinstance(notification, Notice) else notice_of(notification)
    title, body = render(notice, language)
    return {
        "id": notice.id,
        "kind": notice.kind,
        "title": title,
        "body": body,
        "data": dict(notice.data),
        "url": notice.url,
        "read_at": notice.read_at,
        "created_at": notice.created_at,
    }


def notice_of(row: Notification) -> Notice:
    """The plain values of a row."""
    return Notice(
        id=row.pk,
        kind=row.kind,
        params=row.params,
        data=row.data,
        url=row.url,
        created_at=instant(row.created_at),
        read_at=instant(row.read_at) if row.read_at else None,
    )


def event_data(type_: str, data: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What a frame's ``data`` shows of a stored live event to a reader of ``language``."""
    if type_ == "notification":
        return payload(Notice(**data), language)
    return BODIES[type_](data, language) if type_ in BODIES else dict(data)


def event_message(event: LiveEvent) -> dict[str, Any]:
    """A stored live event in the form in which processes hand it to each other."""
    return {
        "type": event.type,
        "user_id": event.user_id,
        "seq": event.seq,
        "at": instant(event.created_at),
        "data": event.data,
    }


def values(params: Mapping[str, Any], language: str) -> dict[str, str]:
    """What stands in a text for its ``%(names)s``, as people of ``language`` write it; a dash for what is not there."""
    locale, written = formats.locale(language), _Values()
    for name, value in places.spoken(params, language).items():
        if name in AMOUNTS and isinstance(value, int) and params.get("currency"):
            written[name] = formats.money(value, str(params["currency"]), language)
        elif name in DATES and isinstance(value, str):
            written[name] = dates.format_date(date.fromisoformat(value), format="medium", locale=locale)
        else:
            written[name] = str(value)
    if params.get("reason_code") in REASONS:
        with override(language):
            sentence = str(REASONS[params["reason_code"]])
        written["reason"] = f"{sentence} {written.get('reason', '')}".strip()
    return written
