"""Notices on their way by mail and SMS: composed in the reader's language, sent outside of any transaction, sent once.

A delivery goes through these states; the job that has it in ``sending`` holds it for ``LEASE`` at most::

    queued → sending → sent → delivered | bounced | failed     (what comes after "sent" is what its carrier reports)
       └────────┴────→ skipped    (nobody wants it any more, its reader has seen it, the cost guard)
                  ├──→ suppressed (the address is dead)
                  ├──→ failed     (refused, or tried too often)
                  └──→ unknown    (SMS only: the carrier may or may not have it)

A mail whose job died goes out again, under the same Message-ID, by which programs and services know it. A short message
has nothing like that, and carriers keep no key of ours: one whose job died, or whose carrier did not answer, is never
sent again. What became of it is learned when the carrier reports.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from procrastinate.contrib.django import app

from backend.accounts.models import Profile, User
from backend.core.db import Columns, outside_transaction, prepared
from backend.core.errors import WrongState
from backend.notifications import attachments, guard, mail, preferences, sms, suppressions, texting
from backend.notifications.composing import compose
from backend.notifications.kinds import EMAIL, KINDS, SMS
from backend.notifications.models import Delivery, DeliveryStep, Notification
from backend.telemetry import gauges
from backend.telemetry.recorder import recorder

LEASE = timedelta(minutes=5)
"""How long a job may take to hand a delivery over; after that it counts as dead."""

REPORT_PATH = "/api/webhooks/sms/twilio/?delivery={}"
"""Where a carrier that takes an address with each message is told to report."""

QUEUE = "mail"
JOBS = {EMAIL: "notifications.deliver_email", SMS: "notifications.deliver_sms"}
"""Channel → the job that hands a delivery over."""

RETRYABLE = (Delivery.FAILED, Delivery.BOUNCED, Delivery.SUPPRESSED, Delivery.SKIPPED, Delivery.UNKNOWN)
"""What staff may send again."""

_RANK = {Delivery.SENT: 1, Delivery.DELIVERED: 2, Delivery.BOUNCED: 3, Delivery.FAILED: 3}
"""Reports come in any order: a later state does not give way to an earlier one."""

log = structlog.get_logger(__name__)


class BeingSent(Exception):
    """Another job has this delivery at the moment; look again later whether it lived."""


class NotDelivered(Exception):
    """It could not be handed over this time."""


def deliver(delivery_id: int, *, now: datetime, last: bool = False) -> str:
    """Mail one notice and return the delivery's state; one that is already settled stays as it is.

    At most one job at a time holds a delivery. A job that dies between the hand-over and its note leaves one
    that is sent again after the lease, under the same Message-ID. ``last`` says that nobody will try again.

    Raises: BeingSent; NotDelivered when it should be tried again, and after the last try.
    """
    outside_transaction("mail")
    delivery, is_mine = _take_mail(delivery_id, now)
    if delivery is None:
        return Delivery.FAILED
    if not is_mine:
        if delivery.state == Delivery.SENDING:
            raise BeingSent
        return delivery.state
    if settled := _needless(delivery, delivery.notification.user.email):
        return _note(delivery, settled[0], now, error=settled[1])
    try:
        taken = mail.send(compose(delivery))
    except mail.Refused as error:
        if error.address:
            _suppress(delivery, delivery.notification.user.email, str(error), now)
        return _note(delivery, Delivery.FAILED, now, error=str(error))
    except (mail.NotSent, attachments.NotReady) as error:
        _note(delivery, Delivery.FAILED if last else Delivery.QUEUED, now, error=str(error))
        raise NotDelivered(str(error)) from error
    attachments.sent(delivery.notification, now=now)
    return _note(delivery, Delivery.SENT, now, carrier=taken.carrier, provider_id=taken.number)


def text(delivery_id: int, *, now: datetime, last: bool = False) -> str:
    """Text one notice and return the delivery's state; one that is already settled stays as it is.

    Handed over at most once: where it is not known whether the carrier has it, the state is ``unknown`` and stays so
    until the carrier reports. ``last`` says that nobody will try again.

    Raises: BeingSent; NotDelivered when it should be tried again, and after the last try.
    """
    outside_transaction("SMS")
    with transaction.atomic():
        delivery = _take_text(delivery_id, now)
    if delivery is None:
        return Delivery.FAILED
    if delivery.state != Delivery.SENDING:
        return delivery.state
    user = delivery.notification.user
    words = texting.text(delivery.notification, user.profile.language)
    report_to = settings.PUBLIC_URL + REPORT_PATH.format(delivery.pk)
    try:
        taken = sms.send(to=user.profile.phone, text=words, report_to=report_to)
    except sms.Unclear as error:
        return _note(delivery, Delivery.UNKNOWN, now, error=str(error), carrier=error.carrier)
    except sms.Refused as error:
        if error.number:
            _suppress(delivery, user.profile.phone, str(error), now)
        return _note(delivery, Delivery.FAILED, now, error=str(error))
    except sms.NotSent as error:
        _note(delivery, Delivery.FAILED if last else Delivery.QUEUED, now, error=str(error))
        raise NotDelivered(str(error)) from error
    return _note(delivery, Delivery.SENT, now, carrier=taken.carrier, provider_id=taken.number)


def learn(
    *,
    channel: str,
    provider_id: str,
    state: str,
    reason: str = "",
    now: datetime,
    delivery_id: int | None = None,
) -> bool:
    """Note what a mail service or carrier reports of a delivery: ``sent``, ``delivered``, ``bounced`` or ``failed``.

    It is found by what they call it, or by our own number where they give it back. A report that was heard before, or
    says less than a former one, changes nothing. False when there is no such delivery.
    """
    found = Delivery.objects.filter(channel=channel)
    if delivery_id is not None:
        found = found.filter(pk=delivery_id)
    elif provider_id:
        found = found.filter(provider_id=provider_id)
    else:
        return False
    with transaction.atomic():
        delivery = found.select_for_update().first()
        if delivery is None:
            return False
        if provider_id and delivery.provider_id and delivery.provider_id != provider_id:
            return False
        if _RANK[state] <= _RANK.get(delivery.state, 0):
            return True
        delivery.state, delivery.settled_at = state, now
        delivery.error = reason[:300]
        delivery.sent_at = delivery.sent_at or now
        delivery.provider_id = delivery.provider_id or provider_id[:200]
        delivery.save(update_fields=["state", "settled_at", "error", "sent_at", "provider_id"])
        if state in (Delivery.BOUNCED, Delivery.FAILED):
            _step(delivery, state, reason, now)
            log.warning("notice_not_delivered", delivery=delivery.pk, state=state, error=reason[:300])
    return True


def requeue(*, delivery_id: int, reason: str, now: datetime, at: datetime | None = None) -> Delivery:
    """Have a delivery that went astray sent once more, at once or ``at`` an instant. Raises: WrongState."""
    with transaction.atomic():
        again = Delivery.objects.filter(pk=delivery_id, state__in=RETRYABLE)
        forgotten = {"error": "", "sent_at": None, "settled_at": None, "carrier": "", "provider_id": ""}
        if not again.update(state=Delivery.QUEUED, **forgotten):
            raise WrongState
        delivery = Delivery.objects.get(pk=delivery_id)
        _step(delivery, Delivery.QUEUED, reason, now)
        app.configure_task(JOBS[delivery.channel], queue=QUEUE, schedule_at=at).defer(delivery_id=delivery_id)
    return delivery


_COLUMNS: tuple[Columns[Any], ...] = (
    *(Columns(Delivery), Columns(Notification)),
    *(Columns(User), Columns(Profile)),
)
# One statement, planned once: a worker hands many mails over a second. The rows are those from before the update.
# Neither this nor _NOTE waits for the disk: the end of the job, which follows on both, does so for all. If the database
# falls down in between, the mail goes out again under its Message-ID.
_TAKE_MAIL = f"""
    WITH taken AS (
        UPDATE deliveries SET state = 'sending', attempted_at = %s, attempts = attempts + 1
        WHERE id = %s AND (state = 'queued' OR (state = 'sending' AND attempted_at < %s))
            AND set_config('synchronous_commit', 'off', true) = 'off'
        RETURNING id
    )
    SELECT EXISTS (SELECT FROM taken), {", ".join(columns.of(f"t{place}") for place, columns in enumerate(_COLUMNS))}
    FROM deliveries t0 JOIN notifications t1 ON t1.id = t0.notification_id JOIN users t2 ON t2.id = t1.user_id
    JOIN profiles t3 ON t3.user_id = t2.id
    WHERE t0.id = %s
"""  # noqa: S608


def _take_mail(delivery_id: int, now: datetime) -> tuple[Delivery | None, bool]:
    """The delivery with its notice and reader, and whether it is this job's to hand over."""
    with prepared() as cursor:
        cursor.execute(_TAKE_MAIL, [now, delivery_id, now - LEASE, delivery_id])
        row = cursor.fetchone()
    if row is None:
        return None, False
    read: list[Any] = []
    start = 1
    for columns in _COLUMNS:
        read.append(columns.read(row[start : start + len(columns.names)]))
        start += len(columns.names)
    delivery, notification, user, profile = read
    user.profile, notification.user, delivery.notification = profile, user, notification
    if row[0]:
        delivery.state, delivery.attempted_at = Delivery.SENDING, now
        delivery.attempts += 1
    return delivery, bool(row[0])


def _take_text(delivery_id: int, now: datetime) -> Delivery | None:
    """The delivery, in ``sending`` when it is this job's to hand over. Raises: BeingSent."""
    rows = Delivery.objects.select_related("notification__user__profile").select_for_update(of=("self",))
    delivery = rows.filter(pk=delivery_id).first()
    if delivery is None:
        return None
    if delivery.state == Delivery.SENDING:
        if delivery.attempted_at is None or delivery.attempted_at >= now - LEASE:
            raise BeingSent
        _settle(delivery, Delivery.UNKNOWN, "the job that was sending it died", now)
        return delivery
    if delivery.state != Delivery.QUEUED:
        return delivery
    profile = delivery.notification.user.profile
    if settled := _needless(delivery, profile.phone):
        _settle(delivery, *settled, now)
    elif profile.phone_verified_at is None:
        _settle(delivery, Delivery.SKIPPED, "no verified number", now)
    elif stopped := guard.stops(user_id=delivery.notification.user_id, phone=profile.phone, now=now):
        _settle(delivery, Delivery.SKIPPED, stopped, now)
    else:
        delivery.state, delivery.attempted_at, delivery.attempts = (
            Delivery.SENDING,
            now,
            delivery.attempts + 1,
        )
        delivery.save(update_fields=["state", "attempted_at", "attempts"])
    return delivery


def _needless(delivery: Delivery, address: str) -> tuple[str, str] | None:
    """The state and the reason of a delivery that should not go out any more; None when it should."""
    notice, channel = delivery.notification, delivery.channel
    user = notice.user
    if not user.is_active:
        return Delivery.FAILED, "the account is closed"
    if KINDS[notice.kind].wait and notice.read_at is not None:
        return Delivery.SKIPPED, "read in the meantime"
    if not preferences.wants(user.profile.notification_preferences, notice.kind, channel):
        return Delivery.SKIPPED, "switched off in the meantime"
    if dead := suppressions.holds(user_id=user.pk, channel=channel, address=address):
        return Delivery.SUPPRESSED, dead.reason
    return None


def _suppress(delivery: Delivery, address: str, reason: str, now: datetime) -> None:
    suppressions.suppress(channel=delivery.channel, address=address, reason=reason, now=now)


def _settle(delivery: Delivery, state: str, error: str, now: datetime) -> None:
    """Note what became of a delivery whose row is locked."""
    delivery.state, delivery.error = state, error[:300]
    delivery.save(update_fields=["state", "error"])
    _step(delivery, state, error, now)
    log.warning("notice_not_sent", delivery=delivery.pk, channel=delivery.channel, state=state, error=error)


_NOTE = """
    UPDATE deliveries SET state = %s, error = %s, sent_at = %s, carrier = %s, provider_id = %s
    WHERE id = %s AND state = 'sending' AND attempted_at = %s AND set_config('synchronous_commit', 'off', true) = 'off'
"""


def _note(
    delivery: Delivery,
    state: str,
    now: datetime,
    *,
    error: str = "",
    carrier: str = "",
    provider_id: str = "",
) -> str:
    recorder.count(gauges.DELIVERIES, channel=delivery.channel, state=state)
    delivery.state, delivery.error = state, error[:300]
    delivery.carrier, delivery.provider_id = carrier, provider_id[:200]
    delivery.sent_at = now if state == Delivery.SENT else None
    # Only the holder writes: a lease that was lost in the meantime belongs to somebody else, and a report may be first.
    values = [
        state,
        delivery.error,
        delivery.sent_at,
        delivery.carrier,
        delivery.provider_id,
        delivery.pk,
        delivery.attempted_at,
    ]
    if not error:
        with prepared() as cursor:
            cursor.execute(_NOTE, values)
        return state
    with transaction.atomic(), prepared() as cursor:
        cursor.execute(_NOTE, values)
        if cursor.rowcount:
            _step(delivery, state, error, now)
    log.warning("notice_not_sent", delivery=delivery.pk, channel=delivery.channel, state=state, error=error)
    return state


def _step(delivery: Delivery, state: str, reason: str, now: datetime) -> None:
    DeliveryStep.objects.create(delivery=delivery, at=now, state=state, reason=reason[:300])
