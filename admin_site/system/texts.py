"""What people are told, in the platform's own words: every kind of notice in every language, with what is shipped beside it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

from admin_site.frame import fields
from admin_site.frame.custom import CustomPage, register_page
from admin_site.system import setting_rows
from backend.administration import services as administration
from backend.core import platform
from backend.core.errors import DomainError
from backend.notifications import preview, wording
from backend.notifications.kinds import category

AREAS = {
    "bookings": _("Bookings"),
    "messages": _("Messages"),
    "reviews": _("Reviews"),
    "money": _("Money"),
    "hosting": _("Hosting"),
    "searches": _("Searches"),
    "account": _("Account"),
}
"""What people choose notices by, in words."""


class TextsForm(forms.Form):
    """The own texts of a kind in a language; what is empty is as shipped."""

    reason = fields.words(_("Reason"), 500, required=False)
    effective_from = fields.moment(_("In force from (UTC)"), required=False, help_text=_("Empty: at once."))
    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, kind: str, language: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = wording.own(kind, language)
        self.fields["seen"].initial = administration.number_of(wording.key_of(kind, language))
        direction = "rtl" if get_language_info(language)["bidi"] else "ltr"
        for part in wording.parts_of(kind):
            many = part in (wording.BODY, wording.WITH_REASON)
            made = (
                fields.text(wording.PARTS[part], wording.LONGEST[part], rows=3, required=False)
                if many
                else fields.words(wording.PARTS[part], wording.LONGEST[part], required=False)
            )
            made.initial = own.get(part, "")
            made.widget.attrs |= {
                "placeholder": wording.shipped(kind, part, language),
                "dir": direction,
                "lang": language,
            }
            self.fields[part] = made
        self.order_fields([*wording.parts_of(kind), "effective_from", "reason", "seen"])


def text_url(setting: wording.Wording) -> str:
    """The page of the texts that a setting holds."""
    return ONE.url(setting.notice, setting.language)


def listed(request: HttpRequest) -> HttpResponseBase:
    """Every kind with its title, and the languages in which its words are the platform's own."""
    words = request.GET.get("q", "").strip()[:100].lower()
    language = _language(request.GET.get("language", ""))
    rows: dict[str, list[dict[str, Any]]] = {}
    for kind in wording.WORDED:
        first = wording.parts_of(kind)[0]
        title = wording.own(kind, language).get(first) or wording.shipped(kind, first, language)
        if words not in f"{kind} {title}".lower():
            continue
        rows.setdefault(category(kind), []).append(
            {
                "kind": kind,
                "title": title,
                "languages": [
                    {
                        "code": code,
                        "name": name,
                        "url": ONE.url(kind, code),
                        "is_own": bool(wording.own(kind, code)),
                    }
                    for code, name in settings.LANGUAGES
                ],
            }
        )
    areas = [{"key": key, "title": AREAS.get(key, key), "rows": found} for key, found in rows.items()]
    return PAGE.render(
        request,
        "admin_site/texts.html",
        {"areas": areas, "words": words, "language": language, "languages": settings.LANGUAGES},
    )


def edited(request: HttpRequest, kind: str, language: str) -> HttpResponseBase:
    """The texts of a kind in a language: GET shows them, POST tries them or puts them in force."""
    if kind not in wording.WORDED or language not in dict(settings.LANGUAGES):
        raise Http404
    setting: Any = platform.find(wording.key_of(kind, language))
    form = TextsForm(request.POST or None, kind=kind, language=language)
    drafts, status = wording.own(kind, language), 200
    if request.method == "POST":
        given = form.cleaned_data if form.is_valid() else {}
        drafts = {part: given.get(part, "") for part in wording.parts_of(kind)}
        try:
            drafts = setting.parse(drafts)
            if "save" in request.POST and not form.errors:
                administration.change(
                    actor=request.user,
                    key=setting.key,
                    value=drafts,
                    effective_from=given["effective_from"],
                    reason=given["reason"],
                    seen=given["seen"],
                    now=timezone.now(),
                )
                messages.success(request, _("The texts are changed."))
                return HttpResponseRedirect(ONE.url(kind, language))
        except DomainError as refused:
            drafts, status = wording.own(kind, language), 200
            for error in refused.errors or ():
                form.add_error(error.field if error.field in form.fields else "reason", str(error.message))
            if not refused.errors:
                form.add_error("reason", str(refused.detail))
    shown = preview.show(
        actor=request.user, kind=kind, language=language, now=timezone.now(), scheme="light", drafts=drafts
    )
    return ONE.render(
        request,
        "admin_site/text.html",
        {
            "title": setting.title,
            "form": form,
            "kind": kind,
            "language": language,
            "languages": [
                {"code": code, "name": name, "url": ONE.url(kind, code)} for code, name in settings.LANGUAGES
            ],
            "values": [f"{{{name}}}" for name in wording.values_of(kind)],
            "shipped": [
                {"title": wording.PARTS[part], "text": wording.shipped(kind, part, language)}
                for part in wording.parts_of(kind)
            ],
            "shown": shown,
            "setting": setting_rows.one(setting, now=timezone.now()),
            "list_url": PAGE.url(),
        },
        status=status,
    )


def _language(asked: str) -> str:
    return asked if asked in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


PAGE = register_page(CustomPage("texts", _("Texts and mails"), "edit_note", listed, rule="platform.settings"))
ONE = register_page(
    CustomPage(
        "text",
        _("Texts and mails"),
        "edit_note",
        edited,
        rule="platform.settings",
        route="texts/<str:kind>/<str:language>/",
        methods=("GET", "POST"),
    )
)
