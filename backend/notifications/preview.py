"""What a notice or a letter looks like before, or after, anybody gets it: for staff, with nothing sent and nothing stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from backend.accounts.models import ADMIN, SUPPORT, Profile, User
from backend.core import access
from backend.core.errors import NotFound
from backend.notifications import composing, texting, wording
from backend.notifications.composing import SAMPLES, Facts
from backend.notifications.letter_kinds import LETTERS
from backend.notifications.models import Notification
from backend.notifications.rendering import AMOUNTS, DATES, notice_of

_WORDS: dict[str, Any] = {
    "account": "•••• 4242",
    "address": "203.0.113.7",
    "amount": 34_500,
    "code": "048213",
    "count": 3,
    "currency": "EUR",
    "device": "Firefox",
    "feed": "Airbnb",
    "guest": "Ana",
    "guests": 2,
    "host": "Amina",
    "key": "MTc:1vKarib:made-up",
    "listing": "Flat over the river",
    "listings": 3,
    "message": "Is there a cot for our daughter?",
    "name": "ana",
    "number": "KRB-I-2027-000042",
    "place": "Rua da Bica 12, Lisboa",
    "points": 3,
    "provider": "Stripe",
    "reason": "The roof leaks",
    "reference": "KB7Q2M",
    "search": "Lisbon, 2 guests",
    "sender": "Ana",
    "time": "15:00",
    "token": "h-made-up",
    "total": 34_500,
}


@dataclass(frozen=True, slots=True)
class Preview:
    """A notice as it would go out. ``is_made_up`` says whether it is about nothing real; what is texted only has no
    ``html``."""

    subject: str
    html: str
    text: str
    sms: str
    headers: dict[str, str]
    is_made_up: bool


EXAMPLES: dict[str, Callable[[str, str], tuple[dict[str, Any], Facts] | None]] = {}
"""What stands before the dot of a kind → (reference, language) → the values of the texts and the facts of the real thing
of that reference; None where there is none. Packages above fill it, and leave out what staff see masked."""


@access.rule("notice.preview")
def may_preview(actor: Any, kind: Any = None) -> bool:
    """Whoever answers people's questions about what they were told."""
    return bool(actor.has_role(SUPPORT, ADMIN))


def show(
    *,
    actor: Any,
    kind: str,
    language: str,
    now: datetime,
    scheme: str = "",
    reference: str = "",
    drafts: Mapping[str, str] | None = None,
) -> Preview:
    """A notice of ``kind`` in ``language``, about a made-up stay or about the real one of ``reference``.

    ``scheme`` is one of ``composing.SCHEMES``; ``drafts`` are texts to try (``wording.PARTS``), with values in braces. The links in it lead nowhere that would change something.
    Raises: NotAllowed; NotFound for an unknown kind or reference.
    """
    access.require(actor, "notice.preview", kind)
    if kind not in wording.WORDED or (reference and kind in LETTERS):
        raise NotFound
    group = kind.partition(".")[0]
    notice = made_up(kind, now=now)
    if kind in LETTERS:
        return _letter(notice, language=language, scheme=scheme, drafts=drafts)
    if reference:
        found = EXAMPLES[group](reference, language) if group in EXAMPLES else None
        if found is None:
            raise NotFound
        notice.params.update(found[0])
        facts: Facts | None = found[1]
    else:
        facts = SAMPLES[group](notice, language) if group in SAMPLES else None
    reader = User(pk=0, username="ana", first_name="Ana", email="ana@example.com")
    reader.profile = Profile(user=reader, language=language)
    notice.user = reader
    message = composing.letter(
        notice,
        user=reader,
        language=language,
        facts=facts,
        message_id="preview",
        scheme=scheme,
        drafts=drafts,
    )
    return Preview(
        subject=str(message.subject),
        html=_unmarked(str(message.alternatives[0][0])),
        text=_unmarked(str(message.body)),
        sms=texting.text(notice, language, drafts),
        headers={name: str(value) for name, value in message.extra_headers.items()},
        is_made_up=not reference,
    )


def _letter(
    notification: Notification, *, language: str, scheme: str, drafts: Mapping[str, str] | None
) -> Preview:
    """A letter as it would go out; one that is no mail has no other side than its SMS."""
    notice = notice_of(notification)
    if not LETTERS[notice.kind].title:
        return Preview("", "", "", texting.text(notice, language, drafts), {}, is_made_up=True)
    message = composing.plain_letter(
        notice,
        to="ana@example.com",
        name="Ana",
        language=language,
        message_id="preview",
        scheme=scheme,
        drafts=drafts,
    )
    return Preview(
        subject=str(message.subject),
        html=_unmarked(str(message.alternatives[0][0])),
        text=_unmarked(str(message.body)),
        sms="",
        headers={name: str(value) for name, value in message.extra_headers.items()},
        is_made_up=True,
    )


def _unmarked(rendered: str) -> str:
    """A template's outcome without its mark of being safe: what is safe in a mail is not on a page."""
    return rendered + ""


def made_up(kind: str, *, now: datetime) -> Notification:
    """A notice of ``kind`` about nothing real, with a value for each name in its texts; stored nowhere."""
    texts = wording.WORDED[kind]
    names = set(
        re.findall(r"%\((\w+)\)s", f"{texts.title} {texts.body} {texts.body_with_reason} {texts.short}")
    )
    first = (now + timedelta(days=30)).date()
    stay = dict(zip(DATES, (first, first + timedelta(days=3)), strict=False))
    params: dict[str, Any] = {name: _WORDS.get(name, f"[{name}]") for name in names}
    params |= {name: day.isoformat() for name, day in stay.items()}
    params |= {name: (first + timedelta(days=14)).isoformat() for name in names & set(DATES) - stay.keys()}
    params |= {name: _WORDS["amount"] for name in names & set(AMOUNTS)}
    return Notification(
        kind=kind, object_key="preview", params={**params, "currency": "EUR"}, url="/preview", created_at=now
    )
