"""A mail as people read it: plain text and HTML in their language, with the facts that it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email import encoders, policy
from email.message import EmailMessage
from email.mime.base import MIMEBase
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.translation import get_language_info, override
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.core import platform
from backend.core.errors import Text
from backend.notifications import attachments, unsubscribing
from backend.notifications.attachments import Attachment
from backend.notifications.kinds import EMAIL, KINDS, category
from backend.notifications.models import Delivery, Notification
from backend.notifications.rendering import Notice, render, supported
from backend.notifications.rendering import subject as subject_of

LONGEST_SUBJECT = 180
"""Characters; mail programs show fewer, and servers dislike headers of several lines."""

LONGEST_PREHEADER = 120
PREFERENCES = "/notifications/preferences"

SCHEMES = {"": "(prefers-color-scheme: dark)", "light": "not all", "dark": "all"}
"""When the dark colours count: as the reader's device says, or for pictures never or always."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a mail is about, beside its sentences: a name, rows of label and value, and an absolute address of a picture.

    Texts are in the reader's language already.
    """

    heading: str
    rows: Sequence[tuple[str, str]]
    picture: str = ""


FACTS: dict[str, Callable[[Notification, str], Facts | None]] = {}
"""What stands before the dot of a kind → the facts of a notice in a language. Packages above fill it; asked for each
mail, outside of transactions."""

SAMPLES: dict[str, Callable[[Notification, str], Facts]] = {}
"""The same → facts of a notice about nothing real, for staff who look at a mail before there is anything to tell."""

BUTTONS: dict[str, Text] = {
    "booking": _("See the booking"),
    "booking.requested": _("Accept or decline"),
    "booking.accepted": _("Pay now"),
    "booking.change_accepted": _("Pay now"),
    "booking.change_proposed": _("Accept or decline"),
    "booking.change_requested": _("Accept or decline"),
    "message": _("Read and answer"),
    "payment": _("See the booking"),
    "payment.failed": _("Pay now"),
    "payout": _("See your payouts"),
    "review": _("Read the review"),
    "review.invited": _("Write a review"),
    "review.received": _("Write a review"),
    "review.reminder": _("Write a review"),
}
"""The words of a mail's button, by kind or by what stands before its dot."""

WHY_MANDATORY = _(
    "You receive this mail because it is about your bookings or your account. It cannot be switched off."
)
WHY_CHOSEN = _(
    "You receive this mail because you want to be told of such things. You choose what you are told of."
)
WHY_ASKED = _("You receive this mail because this address was given to us for an account.")


@dataclass(frozen=True, slots=True)
class Sheet:
    """What surrounds the sentences of a mail.

    ``button`` is the word on the link, ``why`` says why somebody gets the mail, ``unsubscribe`` is an absolute address,
    ``scheme`` one of ``SCHEMES``.
    """

    button: str = ""
    why: str = ""
    facts: Facts | None = None
    unsubscribe: str = ""
    scheme: str = ""


def mail(
    *,
    to: str,
    name: str,
    language: str,
    title: str,
    body: str,
    link: str = "",
    message_id: str,
    sheet: Sheet | None = None,
    headers: Mapping[str, str] | None = None,
    subject: str = "",
) -> EmailMultiAlternatives:
    """The mail to ``to``, not sent yet; its title is its subject unless it is given one. ``message_id`` is unique for what is sent once: sent again it is the same mail."""
    language, sheet = supported(language), sheet or Sheet()
    sides = ("right", "left") if get_language_info(language)["bidi"] else ("left", "right")
    with override(language):
        context = {
            "title": title,
            "body": body,
            "preheader": " ".join(body.split())[:LONGEST_PREHEADER],
            "name": name,
            "link": _absolute(link),
            "button": sheet.button,
            "facts": sheet.facts,
            "why": sheet.why or str(WHY_ASKED),
            "unsubscribe": sheet.unsubscribe,
            "preferences": _absolute(PREFERENCES) if sheet.why else "",
            "brand": platform.get("issuer_name"),
            "address": [each for each in str(platform.get("issuer_address")).splitlines() if each.strip()],
            "language": language,
            "direction": "rtl" if sides[0] == "right" else "ltr",
            "start": sides[0],
            "dark": SCHEMES[sheet.scheme],
            "scheme": sheet.scheme or "light dark",
        }
        text = render_to_string("notifications/mail.txt", context)
        html = render_to_string("notifications/mail.html", context)
    message = EmailMultiAlternatives(
        # A header is one line, whatever a listing is called.
        subject=" ".join((subject or title).split())[:LONGEST_SUBJECT],
        body=text,
        to=[to],
        reply_to=[settings.EMAIL_REPLY_TO] if settings.EMAIL_REPLY_TO else None,
        headers={
            "Message-ID": f"<{message_id}@{urlsplit(settings.PUBLIC_URL).hostname}>",
            "Content-Language": language,
            "Auto-Submitted": "auto-generated",
            # Exchange answers with absence notes all the same unless it is told so in its own words.
            "X-Auto-Response-Suppress": "All",
            **(headers or {}),
        },
    )
    message.attach_alternative(html, "text/html")
    return message


def compose(delivery: Delivery) -> EmailMultiAlternatives:
    """The mail of a delivery in the language of its reader, with the facts and files that belong to its notice.

    Raises: attachments.NotReady.
    """
    notification = delivery.notification
    user = notification.user
    language = supported(user.profile.language if hasattr(user, "profile") else "")
    ask = FACTS.get(notification.kind.partition(".")[0])
    message = letter(
        notification,
        user=user,
        language=language,
        facts=ask(notification, language) if ask else None,
        message_id=f"delivery-{delivery.pk}",
    )
    for each in attachments.of(notification):
        message.attach(_part(each))
    return message


def letter(
    notification: Notification,
    *,
    user: User,
    language: str,
    facts: Facts | None,
    message_id: str,
    scheme: str = "",
    drafts: Mapping[str, str] | None = None,
) -> EmailMultiAlternatives:
    """The mail about a notice, without its files. The notice may be stored nowhere, its texts be ``drafts``."""
    kind = notification.kind
    group = kind.partition(".")[0]
    title, body = render(notification, language, drafts)
    optional = not KINDS[kind].must_go_by(EMAIL)
    with override(language):
        sheet = Sheet(
            button=str(BUTTONS.get(kind) or BUTTONS.get(group) or ""),
            why=str(WHY_CHOSEN if optional else WHY_MANDATORY),
            facts=facts,
            unsubscribe=unsubscribing.link(user, kind),
            scheme=scheme,
        )
    return mail(
        to=user.email,
        name=user.get_short_name(),
        language=language,
        title=title,
        subject=subject_of(notification, language, drafts),
        body=body,
        link=notification.url,
        message_id=message_id,
        sheet=sheet,
        headers={
            # What a mailbox provider counts complaints by: the kind, its group, and who sends.
            "Feedback-ID": f"{kind}:{category(kind)}:karibu",
            **unsubscribing.headers(user, kind),
        },
    )


def plain_letter(
    notice: Notice,
    *,
    to: str,
    name: str,
    language: str,
    message_id: str,
    scheme: str = "",
    drafts: Mapping[str, str] | None = None,
) -> EmailMultiAlternatives:
    """The mail of one of ``letter_kinds``, which answers what somebody asked for. Its title is the word on its button."""
    title, body = render(notice, language, drafts)
    return mail(
        to=to,
        name=name,
        language=language,
        title=title,
        subject=subject_of(notice, language, drafts),
        body=body,
        link=notice.url,
        message_id=message_id,
        sheet=Sheet(button=title, scheme=scheme),
    )


def _absolute(link: str) -> str:
    return f"{settings.PUBLIC_URL}{link}" if link.startswith("/") else link


def _part(attachment: Attachment) -> MIMEBase:
    """A file as a part of a mail, byte for byte, whatever its media type says about text."""
    given = EmailMessage(policy=policy.default)
    given["Content-Type"] = attachment.media_type
    kind = given["Content-Type"]
    part = MIMEBase(kind.maintype, kind.subtype, **dict(kind.params))
    part.set_payload(attachment.content)
    encoders.encode_base64(part)
    part.add_header("Content-Disposition", "attachment", filename=attachment.name)
    return part
