"""The page behind the link of a letter that tells of a decision: what was decided, and room to say something against it.

Whoever has the link may: it is signed, says one thing alone, and somebody who is suspended has no other way in. Looking
at it changes nothing.
"""

from __future__ import annotations

import base64
import hashlib

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, get_language_info, gettext, override
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from api import throttling
from backend.core.errors import DomainError, NotFound, Throttled
from backend.moderation import appeals, letters
from backend.moderation.case_models import APPEAL_LONGEST
from backend.moderation.models import Decision

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:8vh auto;padding:0 1.2rem;color:#222;"
    "background:#fff}textarea{box-sizing:border-box;width:100%;font:inherit;padding:.6rem;border:1px solid #767676;"
    "border-radius:.4rem;background:inherit;color:inherit}button{font:inherit;margin-top:.8rem;padding:.6rem 1.2rem;"
    "border:0;border-radius:.4rem;background:#0f766e;color:#fff;cursor:pointer}"
    "blockquote{margin:1rem 0;padding-inline-start:1rem;border-inline-start:3px solid #0f766e}"
    "@media (prefers-color-scheme:dark){body{background:#18181b;color:#eee}}"
)
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: its own style, and its own button."""


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def appeal_page(request: HttpRequest, word: str) -> HttpResponse:
    """GET shows the decision and a form, POST appeals; in the language of whom it is about."""
    try:
        throttling.count_address(request, throttling.BY_ADDRESS["appeals.appeal_by_token"])
        decision = appeals.by_link(word)
    except NotFound:
        return _page(
            gettext("This link is not valid."), gettext("Use the link of the letter as it is."), status=404
        )
    except Throttled as error:
        return _page(str(error.title), "", status=429)
    with override(letters.language_of(decision.person)):
        if request.method == "POST":
            return _take(decision, word, request.POST.get("words", ""))
        try:
            appeals.require_appealable(decision, timezone.now())
        except DomainError as error:
            return _page(gettext("Appeal"), str(error.title), decision=decision)
        until = date_format(decision.appeal_until, "DATE_FORMAT") if decision.appeal_until else ""
        said = gettext(
            "You may appeal once, until %(until)s. Somebody else than who decided will look at it."
        )
        return _page(gettext("Appeal"), said % {"until": until}, decision=decision, form=True)


def _take(decision: Decision, word: str, words: str) -> HttpResponse:
    if "\0" in words:
        return _page(gettext("Appeal"), gettext("Say why."), decision=decision, form=True)
    try:
        appeals.appeal_by_link(word=word, words=words, now=timezone.now())
    except DomainError as error:
        again = error.status == 422
        return _page(gettext("Appeal"), str(error.detail), decision=decision, form=again, words=words)
    said = gettext("We have your appeal. You will hear from us by mail.")
    return _page(gettext("Thank you"), said)


def _page(
    title: str,
    said: str,
    *,
    decision: Decision | None = None,
    form: bool = False,
    words: str = "",
    status: int = 200,
) -> HttpResponse:
    """A page in the active language; its form posts to where it came from."""
    language = get_language() or "en"
    quoted = SafeString("")
    if decision is not None:
        why = letters.whole(decision.reason_code, decision.words, decision.person)
        quoted = format_html(
            '<p>{}</p><blockquote dir="auto">{}</blockquote>', decision.get_action_display(), why
        )
    field = SafeString("")
    if form:
        field = format_html(
            '<form method="post"><label>{}<textarea name="words" rows="8" maxlength="{}" required dir="auto">{}'
            "</textarea></label><button>{}</button></form>",
            gettext("Why should it be decided otherwise?"),
            APPEAL_LONGEST,
            words,
            gettext("Appeal"),
        )
    page = format_html(
        '<!doctype html><html lang="{}" dir="{}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        "<title>{}</title><style>{}</style></head><body><h1>{}</h1>{}<p>{}</p>{}</body></html>",
        language,
        "rtl" if get_language_info(language)["bidi"] else "ltr",
        title,
        mark_safe(STYLE),  # noqa: S308 - a constant of ours
        title,
        quoted,
        said,
        field,
    )
    response = HttpResponse(page, status=status)
    response["Content-Security-Policy"] = POLICY
    response["Cache-Control"] = "no-store"
    response["Content-Language"] = language
    response["Referrer-Policy"] = "no-referrer"
    return response
