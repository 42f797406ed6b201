"""A mail as people read it: plain text and HTML in their language, a subject of one line."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.translation import get_language_info, override

from backend.notifications.rendering import supported


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
