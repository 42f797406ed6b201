"""A mail as people read it: plain text and HTML in their language, a subject of one line."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.translation import get_language_info, override

from backend.notifications import attachments
from backend.notifications.models import Delivery
from backend.notifications.rendering import render, supported


def mail(
    *, to: str, name: str, language: str, title: str, body: str, link: str = "", message_id: str
) -> EmailMultiAlternatives:
    """The mail to ``to``, not sent yet. ``message_id`` is unique for what is sent once: sent again it is the same mail."""
    language = supported(language)
    context = {
        "title": title,
        "body": body,
        "name": name,
        "link": f"{settings.PUBLIC_URL}{link}" if link.startswith("/") else link,
        "language": language,
        "direction": "rtl" if get_language_info(language)["bidi"] else "ltr",
    }
    with override(language):
        text = render_to_string("notifications/mail.txt", context)
        html = render_to_string("notifications/mail.html", context)
    message = EmailMultiAlternatives(
        # A header is one line, whatever a listing is called.
        subject=" ".join(title.split()),
        body=text,
        to=[to],
        headers={
            "Message-ID": f"<{message_id}@{urlsplit(settings.PUBLIC_URL).hostname}>",
            "Content-Language": language,
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(html, "text/html")
    return message


def compose(delivery: Delivery) -> EmailMultiAlternatives:
    """The mail of a delivery: plain text and HTML in the language of its reader, with what belongs to the notice.

    Raises: attachments.NotReady.
    """
    notification = delivery.notification
    user = notification.user
    language = supported(user.profile.language if hasattr(user, "profile") else "")
    title, body = render(notification, language)
    message = mail(
        to=user.email,
        name=user.get_short_name(),
        language=language,
        title=title,
        body=body,
        link=notification.url,
        message_id=f"delivery-{delivery.pk}",
    )
    for each in attachments.of(notification):
        message.attach(each.name, each.content, each.media_type)
    return message
