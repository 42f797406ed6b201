"""The page behind the link at the end of a mail: one button, which does without the mails of one kind.

Looking at it changes nothing, since programs that check mails look at every link. Mail programs press the button
themselves (RFC 8058): what they post needs neither a session nor a token of a form.
"""

from __future__ import annotations

import base64
import hashlib

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, get_language_info, gettext, override
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from backend.core.errors import NotFound
from backend.notifications import unsubscribing
from backend.notifications.rendering import supported

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1.2rem;color:#222;"
    "background:#fff}button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:.4rem;background:#0f766e;"
    "color:#fff;cursor:pointer}@media (prefers-color-scheme:dark){body{background:#18181b;color:#eee}}"
)
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: its own style, and its own button."""


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, word: str) -> HttpResponse:
    """GET asks, POST does it; both in the language of whose mails they are."""
    try:
        is_done = request.method == "POST"
        wish = unsubscribing.unsubscribe(word) if is_done else unsubscribing.read(word)
    except NotFound:
        title = gettext("This link is not valid.")
        return _page(title, gettext("Choose in your profile what you would like to be told."), status=404)
    with override(supported(wish.user.profile.language)):
        if is_done:
            title = gettext("Done")
            said = gettext("We send you no more mails of this kind. You can change it in your profile.")
            return _page(title, said)
        title = gettext("No more mails of this kind?")
        said = gettext("You still find in the app what happened. Mails about other things still come.")
        return _page(title, said, button=gettext("Send me no more"))


def _page(title: str, said: str, *, button: str = "", status: int = 200) -> HttpResponse:
    """A page in the active language; its button posts to where it came from."""
    language = get_language() or "en"
    form = SafeString("")
    if button:
        form = format_html(
            '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
            "<button>{}</button></form>",
            button,
        )
    page = format_html(
        '<!doctype html><html lang="{}" dir="{}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        "<title>{}</title><style>{}</style></head><body><h1>{}</h1><p>{}</p>{}</body></html>",
        language,
        "rtl" if get_language_info(language)["bidi"] else "ltr",
        title,
        mark_safe(STYLE),  # noqa: S308 - a constant of ours
        title,
        said,
        form,
    )
    response = HttpResponse(page, status=status)
    response["Content-Security-Policy"] = POLICY
    response["Cache-Control"] = "no-store"
    response["Content-Language"] = language
    response["Referrer-Policy"] = "no-referrer"
    return response
