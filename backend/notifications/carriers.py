"""Who carries mails and short messages: of those that the server is set up for, the one that the operator has chosen.

A second one may stand in. One that failed is left alone for ``REST_S`` seconds, in all processes, while there is a
stand-in: what is to be sent then goes to that one at once. What may have been taken is never handed to another one by
itself: the next try decides.
"""

from __future__ import annotations

from typing import NamedTuple

import structlog
from django.conf import settings
from django.core.cache import cache

from backend.core import platform
from backend.core.declared import mail_carriers, sms_carriers
from backend.notifications.kinds import EMAIL, SMS

REST_S = 60

FILES = "files"
"""Who carries what becomes files of the state folder."""

log = structlog.get_logger(__name__)


class Taken(NamedTuple):
    """Who has taken a mail or a short message, and the number under which they report on it."""

    carrier: str
    number: str


def of_mails() -> list[str]:
    """The names of who carries mails, in the order in which they are asked."""
    return _in_turn(EMAIL, platform.get("mail_provider") or settings.EMAIL_PROVIDER, "mail_stand_in")


def of_sms() -> list[str]:
    """The same of short messages; files where the server is set up for nobody."""
    first = platform.get("sms_provider") or next(iter(sms_carriers()), FILES)
    return [FILES] if first == FILES else _in_turn(SMS, first, "sms_stand_in")


def rest(channel: str, name: str, why: str) -> None:
    """Leave one that failed alone for a while, where another one can be asked instead."""
    if _stand_in(channel) not in ("", name):
        cache.set(_key(channel, name), 1, REST_S)
        log.warning("carrier_rests", channel=channel, carrier=name, error=why, pause_s=REST_S)


def resting() -> dict[tuple[str, str], bool]:
    """Channel and name of everybody that the server is set up for → whether they are left alone at the moment."""
    known = [*((EMAIL, name) for name in mail_carriers()), *((SMS, name) for name in sms_carriers())]
    down = cache.get_many([_key(*each) for each in known])
    return {each: _key(*each) in down for each in known}


def _in_turn(channel: str, first: str, setting: str) -> list[str]:
    second = platform.get(setting)
    if second in ("", first):
        return [first]
    return [second, first] if cache.get(_key(channel, first)) else [first, second]


def _stand_in(channel: str) -> str:
    return str(platform.get("mail_stand_in" if channel == EMAIL else "sms_stand_in"))


def _key(channel: str, name: str) -> str:
    return f"carrier-rests:{channel}:{name}"
