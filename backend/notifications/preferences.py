"""Who wants which notices by which channel: a user's own choice over the defaults of each kind.

The choices stand in ``Profile.notification_preferences`` as ``{kind: {channel: true or false}}``; what nobody chose is
not in there, so that a default may change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import Profile, User
from backend.core import access, db
from backend.core.errors import FieldError, Invalid
from backend.notifications.kinds import CHANNELS, KINDS, SMS, category

Choices = Mapping[str, Mapping[str, Any]]


class MandatoryNotice(Invalid):
    """422: what people must learn of is shown and mailed to all."""

    code = "mandatory_notice"
    title = _("This notice cannot be switched off.")


class UnknownNotice(Invalid):
    """422: a kind or a channel that does not exist."""

    code = "unknown_notice"
    title = _("A kind of notice takes email, sms and in_app, each true or false.")


@access.rule("notices.choose")
def may_choose(actor: Any, user: User) -> bool:
    """Everybody for themselves."""
    return bool(actor.pk == user.pk)


def wants(chosen: Choices, kind: str, channel: str) -> bool:
    """Whether a notice of ``kind`` goes by ``channel`` to somebody whose choices these are."""
    found = KINDS[kind]
    if found.must_go_by(channel):
        return True
    own = chosen.get(kind)
    wish = own.get(channel) if isinstance(own, Mapping) else None
    return wish if isinstance(wish, bool) else found.goes_by(channel)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one user has chosen, and whether they have proved a phone number."""

    chosen: Choices
    has_phone: bool

    def wants(self, kind: str, channel: str) -> bool:
        """Whether a notice of ``kind`` goes to them by ``channel``: by SMS only where they have proved a number."""
        return (channel != SMS or self.has_phone) and wants(self.chosen, kind, channel)


def of(
    user_ids: Collection[int], besides: str = "NULL", values: Sequence[Any] = ()
) -> tuple[dict[int, Wishes], Any]:
    """The wishes of these users; one question, and no number is unsealed for it.

    ``besides`` is an SQL value, with its parameters, that is asked along: what it is, None where no user has a profile.
    """
    found, told = dict.fromkeys(user_ids, Wishes({}, has_phone=False)), None
    if found:
        with db.prepared() as cursor:
            has_phone = "phone <> '' AND phone_verified_at IS NOT NULL"
            asked = f"SELECT user_id, notification_preferences, {has_phone}, {besides}"
            cursor.execute(f"{asked} FROM profiles WHERE user_id = ANY(%s)", [*values, sorted(found)])
            for user_id, chosen, is_proved, told in cursor.fetchall():  # noqa: B007 - the same in every row
                found[user_id] = Wishes(json.loads(chosen), is_proved)
    return found, told


def shown(user: User) -> dict[str, dict[str, Any]]:
    """Every kind with what is in force for ``user``: ``email``, ``sms``, ``in_app``, ``mandatory``, ``category``."""
    chosen = user.profile.notification_preferences
    return {
        kind: {
            **{channel: wants(chosen, kind, channel) for channel in CHANNELS},
            "mandatory": KINDS[kind].mandatory,
            "category": category(kind),
        }
        for kind in KINDS
    }


def choose(
    *,
    actor: User,
    user: User,
    choices: Choices,
    unchanged: Callable[[dict[str, dict[str, Any]]], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Let ``user`` have the kinds named in ``choices`` by the channels named there; the rest stays. Answers ``shown``.

    What ``shown`` says beside the channels may come back unchanged. ``unchanged`` is asked with what is in force
    before anything is written and refuses a lost update by raising.
    Raises: NotAllowed, UnknownNotice, MandatoryNotice, each with every refused field and nothing changed, and what
    ``unchanged`` raises.
    """
    access.require(actor, "notices.choose", user)
    unknown = list(_unknown(choices))
    if unknown:
        raise UnknownNotice(errors=unknown)
    refuse_mandatory(choices)
    with transaction.atomic():
        profile = db.lock(Profile.objects.all(), pk=user.pk)
        user.profile = profile
        if unchanged is not None:
            unchanged(shown(user))
        _merge(profile, choices)
        profile.save(update_fields=["notification_preferences"])
    return shown(user)


def switch_off(*, user: User, kind: str, channel: str) -> bool:
    """Take a kind away from one channel of a user, as asked by a link that only they have; whether that was possible."""
    if kind not in KINDS or KINDS[kind].must_go_by(channel):
        return False
    with transaction.atomic():
        profile = db.lock(Profile.objects.all(), pk=user.pk)
        _merge(profile, {kind: {channel: False}})
        profile.save(update_fields=["notification_preferences"])
    return True


def refuse_mandatory(choices: Choices, *, path: str = "") -> None:
    """Refuse choices that switch a mandatory notice off; ``path`` is what stands before the names of their fields.

    Raises: MandatoryNotice.
    """
    errors = [
        FieldError(f"{path}{kind}.{channel}", MandatoryNotice.code, MandatoryNotice.title)
        for kind, channels in choices.items()
        if kind in KINDS
        for channel in CHANNELS
        if channels.get(channel) is False and KINDS[kind].must_go_by(channel)
    ]
    if errors:
        raise MandatoryNotice(errors=errors)


def _unknown(choices: Choices) -> Iterator[FieldError]:
    for kind, channels in choices.items():
        if kind not in KINDS:
            yield FieldError(kind, UnknownNotice.code, _("There is no such kind of notice."))
            continue
        for name, value in channels.items():
            unchanged = {"mandatory": KINDS[kind].mandatory, "category": category(kind)}
            if name in unchanged:
                if value != unchanged[name]:
                    yield FieldError(f"{kind}.{name}", "read_only", _("This is not yours to change."))
            elif name not in CHANNELS or not isinstance(value, bool):
                yield FieldError(f"{kind}.{name}", UnknownNotice.code, UnknownNotice.title)


def _merge(profile: Profile, choices: Choices) -> None:
    merged = {**profile.notification_preferences}
    for kind, channels in choices.items():
        own = merged.get(kind)
        before = own if isinstance(own, dict) else {}
        merged[kind] = {**before, **{name: channels[name] for name in CHANNELS if name in channels}}
    profile.notification_preferences = merged
