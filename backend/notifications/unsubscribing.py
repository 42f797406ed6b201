"""Doing without the mails of one kind by one click, without signing in (RFC 8058).

The word in the link is signed and says whose mails of which kind it is about. It never runs out, since a mail lies in a
box for years, and it can do nothing else: whoever finds it can only spare its reader a mail.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.core import signing

from backend.accounts.models import User
from backend.core.errors import NotFound
from backend.notifications import preferences
from backend.notifications.kinds import EMAIL, KINDS

PATH = "/api/unsubscribe/{}/"
_SALT = "karibu.notifications.unsubscribe"


@dataclass(frozen=True, slots=True)
class Wish:
    """Whose mails of which kind a link is about."""

    user: User
    kind: str


def link(user: User, kind: str) -> str:
    """The address where the mails of ``kind`` are switched off; "" for those that must be read."""
    if KINDS[kind].must_go_by(EMAIL):
        return ""
    word = signing.Signer(salt=_SALT).sign(f"{user.pk}:{kind}")
    return settings.PUBLIC_URL + PATH.format(word)


def headers(user: User, kind: str) -> dict[str, str]:
    """What mail programs make a button of; nothing for mandatory kinds."""
    address = link(user, kind)
    if not address:
        return {}
    return {"List-Unsubscribe": f"<{address}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def read(word: str) -> Wish:
    """What a link asks for. Raises: NotFound for a forged one, and for people and kinds that are no more."""
    try:
        user_id, _colon, kind = signing.Signer(salt=_SALT).unsign(word).partition(":")
    except signing.BadSignature:
        raise NotFound from None
    user = User.objects.select_related("profile").filter(pk=int(user_id), erased_at=None).first()
    if user is None or kind not in KINDS:
        raise NotFound
    return Wish(user, kind)


def unsubscribe(word: str) -> Wish:
    """Switch off what a link asks for; again changes nothing, and a kind that became mandatory meanwhile stays.

    Raises: NotFound as ``read``.
    """
    wish = read(word)
    preferences.switch_off(user=wish.user, kind=wish.kind, channel=EMAIL)
    return wish
