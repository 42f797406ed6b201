"""Notices on their way by mail: composed in the reader's language, sent outside of any transaction, sent once."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db.models import F, Q

from backend.core.db import outside_transaction
from backend.notifications import attachments, mail
from backend.notifications.composing import compose
from backend.notifications.models import Delivery

LEASE = timedelta(minutes=5)
"""How long a job may take to hand a mail over; after that it counts as dead."""

log = structlog.get_logger(__name__)


class BeingSent(Exception):
    """Another job has this delivery at the moment; look again later whether it lived."""


class NotDelivered(Exception):
    """The mail could not be handed over this time."""


def deliver(delivery_id: int, *, now: datetime, last: bool = False) -> str:
    """Mail one notice and return the delivery's state; one that is already sent or failed stays as it is.

    At most one job at a time holds a delivery. A job that dies between the hand-over and its note leaves one
    that is sent again after the lease, under the same Message-ID. ``last`` says that nobody will try again.

    Raises: BeingSent; NotDelivered when it should be tried again, and after the last try.
    """
    outside_transaction("mail")
    taken = (
        Delivery.objects.filter(pk=delivery_id)
        .filter(Q(state=Delivery.QUEUED) | Q(state=Delivery.SENDING, attempted_at__lt=now - LEASE))
        .update(state=Delivery.SENDING, attempted_at=now, attempts=F("attempts") + 1)
    )
    delivery = Delivery.objects.select_related("notification__user__profile").filter(pk=delivery_id).first()
    if delivery is None:
        return Delivery.FAILED
    if not taken:
        if delivery.state == Delivery.SENDING:
            raise BeingSent
        return delivery.state
    if not delivery.notification.user.is_active:
        return _note(delivery, Delivery.FAILED, now, error="the account is closed")
    try:
        mail.send(compose(delivery))
    except mail.Refused as error:
        return _note(delivery, Delivery.FAILED, now, error=str(error))
    except (mail.NotSent, attachments.NotReady) as error:
        _note(
            delivery,
            Delivery.FAILED if last else Delivery.QUEUED,
            now,
            error=str(error),
        )
        raise NotDelivered(str(error)) from error
    attachments.sent(delivery.notification, now=now)
    return _note(delivery, Delivery.SENT, now)


def _note(delivery: Delivery, state: str, now: datetime, *, error: str = "") -> str:
    delivery.state, delivery.error = state, error[:300]
    delivery.sent_at = now if state == Delivery.SENT else None
    # Only the holder writes: a lease that was lost in the meantime belongs to somebody else.
    Delivery.objects.filter(
        pk=delivery.pk, state=Delivery.SENDING, attempted_at=delivery.attempted_at
    ).update(state=delivery.state, error=delivery.error, sent_at=delivery.sent_at)
    if error:
        log.warning("mail_not_delivered", delivery=delivery.pk, state=state, error=error)
    return state
