"""The preview of notices: any kind in any language as a mail or an SMS, in light or dark. Nothing is sent.

The mail stands in a frame that is shut in twice, by its element and by its own policy: it runs nothing, and loads
pictures only.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.clickjacking import xframe_options_sameorigin

from admin_site.frame import fields
from backend.core.errors import NotFound
from backend.notifications import preview
from backend.notifications.kinds import KINDS
from backend.notifications.preview import Preview

HTML, TEXT, SMS = "html", "text", "sms"
CHANNELS = [(HTML, _("Mail")), (TEXT, _("Mail as plain text")), (SMS, _("SMS"))]
SCHEMES = [("light", _("Light")), ("dark", _("Dark"))]

SHEET_POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        f"img-src {settings.PUBLIC_URL}" + (" https:" if settings.ENV.storage_bucket else ""),
        "frame-ancestors 'self'",
        "sandbox",
    ]
)


class PreviewForm(forms.Form):
    """What to show."""

    kind = fields.choice(_("Kind"), [(kind, kind) for kind in sorted(KINDS)])
    language = fields.choice(_("Language"), settings.LANGUAGES)
    channel = fields.choice(_("As"), CHANNELS)
    scheme = fields.choice(_("Colours"), SCHEMES)
    reference = fields.words(
        _("Booking"), 12, required=False, help_text=_("The reference of a real one; empty: made up.")
    )


def page(request: HttpRequest, owner: Any) -> HttpResponse:
    """The form, and below it what was asked for."""
    form = PreviewForm(request.GET if "kind" in request.GET else None, initial={"kind": "booking.confirmed"})
    shown: Preview | None = None
    if form.is_bound and form.is_valid():
        try:
            shown = _show(request, form.cleaned_data)
        except NotFound:
            form.add_error("reference", _("There is no such booking, or this kind is about none."))
    given = form.cleaned_data if shown else {}
    context = {
        **owner.admin_site.each_context(request),
        "title": _("What people are told"),
        "opts": owner.opts,
        "form": form,
        "shown": shown,
        "channel": given.get("channel"),
        "headers": sorted(shown.headers.items()) if shown else [],
        "sheet": f"{reverse('admin:notifications_delivery_sheet')}?{urlencode(given)}",
    }
    return TemplateResponse(request, "admin_site/mail_preview.html", context)


@xframe_options_sameorigin
def sheet(request: HttpRequest) -> HttpResponse:
    """The mail by itself, under a policy that lets nothing run."""
    form = PreviewForm(request.GET)
    if not form.is_valid():
        raise Http404
    try:
        shown = _show(request, form.cleaned_data)
    except NotFound:
        raise Http404 from None
    return HttpResponse(shown.html, headers={"Content-Security-Policy": SHEET_POLICY})


def _show(request: HttpRequest, given: dict[str, Any]) -> Preview:
    return preview.show(
        actor=request.user,
        kind=given["kind"],
        language=given["language"],
        scheme=given["scheme"],
        reference=given["reference"].strip().upper(),
        now=timezone.now(),
    )
