"""Documents in the mail: attached to the notices that name them, and sent once more by staff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE, SUPPORT
from backend.audit import services as audit
from backend.core import access
from backend.core.db import retrying
from backend.core.errors import Invalid
from backend.notifications import attachments
from backend.notifications import services as notifications
from backend.notifications.attachments import Attachment
from backend.notifications.models import Notification
from backend.payments.documents import storing
from backend.payments.models import Document

NAMED = "document_ids"
"""Where a notice's ``data`` names its documents."""

SENT_AGAIN = "document.sent"


@access.rule("document.send")
def may_send(actor: Any, document: Document) -> bool:
    """Whoever helps people with their money."""
    return bool(actor.has_role(SUPPORT, FINANCE, ADMIN))


class Documents:
    """What the notices' mails carry. A document goes to its recipient only, whatever a notice names."""

    def load(self, notification: Notification) -> Sequence[Attachment]:
        if not notification.data.get(NAMED):
            return []
        return [
            Attachment(storing.filename(document), storing.content(document), "application/pdf")
            for document in self._of(notification)
        ]

    def sent(self, notification: Notification, *, now: datetime) -> None:
        if notification.data.get(NAMED):
            self._of(notification).filter(emailed_at=None).update(emailed_at=now)

    def _of(self, notification: Notification) -> Any:
        named = notification.data.get(NAMED) or []
        return Document.objects.filter(pk__in=named, recipient_id=notification.user_id).order_by("id")


attachments.register(Documents())


@retrying
def send_again(*, actor: Any, document: Document, reason: str, now: datetime) -> None:
    """Mail a document to its recipient once more, with a reason.

    Raises: NotAllowed, Invalid (no reason).
    """
    access.require(actor, "document.send", document)
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="document.send",
            subject=document,
            after={"number": document.reference},
            reason=reason.strip(),
            now=now,
        )
        notifications.notify(
            user=document.recipient,
            kind=SENT_AGAIN,
            object_key=f"document:{document.pk}:{now.isoformat()}",
            now=now,
            params={"number": document.reference},
            data={NAMED: [document.pk]},
            url="/documents",
        )
