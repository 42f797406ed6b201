"""What whom it concerns reads of a decision: the sentence of its reason in their language, the words of the moderator,
until when they may appeal and where."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from babel import dates
from django.conf import settings
from django.core import signing
from django.utils.translation import get_language_info, override
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.core import formats
from backend.core.errors import NotFound, Text
from backend.moderation.case_models import WORDS_LONGEST, Case, Decision
from backend.moderation.reasons import REASONS
from backend.notifications import composing
from backend.notifications.composing import Facts
from backend.notifications.models import Notification
from backend.notifications.rendering import supported

APPEAL_PATH = "/api/appeals/{}/"
"""The page behind the link of a letter, which needs no sign-in."""

_SALT = "karibu.moderation.appeal"

OUTCOMES: dict[str, Text] = {
    "appeal_upheld": _("We have looked at it again, and the decision stands."),
    "appeal_reversed": _("We have looked at it again, and have taken the decision back."),
}
"""What else a notice's ``reason_code`` may say."""

KINDS = {
    Decision.Action.APPROVE: "listing.approved",
    Decision.Action.CHANGES: "listing.changes_requested",
    Decision.Action.FLAG: "listing.flagged",
    Decision.Action.REJECT: "listing.rejected",
    Decision.Action.SUSPEND: "listing.suspended",
    Decision.Action.SUSPEND_PERSON: "account.suspended",
}
"""Decision → the kind of notice that tells of it. What is hidden has one of its own; nobody hears of what is dismissed."""

HIDDEN = {"message": "message.hidden", "review": "review.hidden"}


def kind_of(action: str, subject: str) -> str:
    """The kind of notice by which a decision about a ``subject`` is told; "" where nobody is told."""
    if action == Decision.Action.HIDE:
        return HIDDEN[subject]
    return KINDS.get(Decision.Action(action), "")


def language_of(user: User) -> str:
    """The language in which somebody is written to."""
    return supported(user.profile.language)


def sentence(code: str, language: str) -> str:
    """What a reason says in ``language``; "" for none."""
    with override(language):
        return str(REASONS[code].sentence) if code in REASONS else ""


def whole(code: str, words: str, user: User) -> str:
    """Sentence and words in one, in the language of ``user``, as they stand at the listing itself."""
    text = " ".join(part for part in (sentence(code, language_of(user)), words) if part)
    return text if len(text) <= WORDS_LONGEST else f"{text[: WORDS_LONGEST - 1]}…"


def told(code: str, words: str) -> dict[str, str]:
    """The values of a notice that say why, in whatever language it is read."""
    return {"reason": words, "reason_code": code}


def link(decision_id: int) -> str:
    """Where somebody may appeal against a decision without signing in: a path, signed."""
    return APPEAL_PATH.format(signing.Signer(salt=_SALT).sign(str(decision_id)))


def decision_of(word: str) -> int:
    """The id of the decision that a link's word is about. Raises: NotFound for a forged one."""
    try:
        return int(signing.Signer(salt=_SALT).unsign(word))
    except (signing.BadSignature, ValueError):
        raise NotFound from None


def facts(notice: Notification, language: str) -> Facts | None:
    """What a letter shows below its sentences: until when somebody may appeal, and where."""
    until, word = notice.params.get("appeal_until"), notice.params.get("appeal")
    if not until:
        return None
    with override(language):
        rows = [(str(_("You may appeal until")), _date(str(until), language))]
        if word:
            rows.append((str(_("Appeal here")), f"{settings.PUBLIC_URL}{word}"))
        return Facts(heading=str(notice.params.get("listing", "")), rows=rows)


def _date(iso: str, language: str) -> str:
    day = datetime.fromisoformat(iso).date()
    return formats.digits(dates.format_date(day, format="long", locale=formats.locale(language)), language)


def preview(
    case: Case, action: str, code: str, words: str, *, appeal_until: datetime | None, now: datetime
) -> dict[str, Any] | None:
    """The letter of a decision that nobody has taken yet, as its reader would get it; None where nobody is told.

    ``subject``, ``body``, ``language`` (its name) and ``direction``. Nothing is sent or kept.
    """
    kind = kind_of(action, case.kind)
    if not kind:
        return None
    person = case.person
    language = language_of(person)
    notice = Notification(
        kind=kind, user=person, object_key="preview", params=params(case, code, words), url="", created_at=now
    )
    if appeal_until:
        notice.params["appeal_until"] = appeal_until.isoformat()
    message = composing.letter(
        notice, user=person, language=language, facts=facts(notice, language), message_id="preview"
    )
    info = get_language_info(language)
    return {
        "subject": str(message.subject),
        "body": str(message.body),
        "language": info["name_local"],
        "code": language,
        "direction": "rtl" if info["bidi"] else "ltr",
    }


def params(case: Case, code: str, words: str) -> dict[str, Any]:
    """The values of the notice of a decision in ``case``."""
    named: Mapping[str, Any] = {}
    if case.listing is not None:
        named = {"listing": case.listing.title}
    elif case.review is not None:
        named = {"listing": case.review.listing.title, "reference": case.review.booking.reference}
    elif case.message is not None:
        named = {"listing": case.message.conversation.listing.title}
    return {**named, **told(code, words)}
