"""SendGrid and Mailgun by their HTTP interfaces, as django-anymail speaks them; how they name a mail in their reports.

Both are given our own Message-ID, which is the same when a mail is sent again: a report can be told to its notice even
where the answer to the first try was lost.
"""

from __future__ import annotations

import warnings
from typing import Any

from anymail.backends import mailgun, sendgrid
from anymail.exceptions import AnymailNotSupportedWarning
from django.core.mail import EmailMessage

# Said of SendGrid at every connection: its own tests no longer run against the service. Ours speak with a pretend one.
warnings.filterwarnings("ignore", category=AnymailNotSupportedWarning)

# SendGrid would put a link of its own under every mail otherwise.
_NO_FOOTER = {"tracking_settings": {"subscription_tracking": {"enable": False}}}


class _SendGridMail(sendgrid.SendGridPayload):
    def set_anymail_id(self) -> None:
        """The Message-ID takes the place of an id that is new at every try."""
        message_id = self.message.extra_headers["Message-ID"]
        for each in self.data["personalizations"]:
            each["custom_args"] = {"anymail_id": message_id}
            for recipient in each["to"]:
                self.message_ids[recipient["email"]] = message_id


class SendGrid(sendgrid.EmailBackend):
    """Mails by ``POST {SENDGRID_API_BASE}mail/send``."""

    def build_message_payload(self, message: EmailMessage, defaults: dict[str, Any]) -> _SendGridMail:
        return _SendGridMail(message, {**defaults, "esp_extra": dict(_NO_FOOTER)}, self)


class Mailgun(mailgun.EmailBackend):
    """Mails by ``POST {MAILGUN_API_BASE}{MAILGUN_DOMAIN}/messages``."""
