"""Who may come in at all, and how: judged before anything else is done for a request.

The firewall's rules judge the address. Health checks and metrics ask for no door: machines of the own network need
them. Neither do the payment providers' webhooks: they come from the networks of large data centres, where abuse comes
from too, and each proves itself by its signature. The style sheets and scripts serve both doors.

Where the platform is served over TLS, what changes something and comes without it is refused: a redirect would lose
its body, and the next token would be sent in the clear again. Pages and reads are sent on (``SecurityMiddleware``).
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware import common
from django.utils.translation import gettext_lazy as _

from api import faults, throttling
from backend.core import firewall
from backend.core.errors import NotAllowed

INTERNAL = ("/health/", "/metrics")
DOORLESS = (*INTERNAL, "/api/webhooks/")


class TlsRequired(NotAllowed):
    """403: what was sent could be read by anybody on the way."""

    code = "https_required"
    title = _("Use https.")


class EntranceMiddleware:
    """Turns away whom the firewall's rules do not admit, and what should have come over TLS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_admitted(request):
            return faults.answer(request, firewall.AddressBlocked())
        if settings.SECURE_SSL_REDIRECT and would_lose_its_body(request):
            return faults.answer(request, TlsRequired())
        return self.get_response(request)


class CommonMiddleware(common.CommonMiddleware):
    """As Django's, but health checks and metrics may ask for this machine by its address."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info.startswith(INTERNAL) else super().process_request(request)


def would_lose_its_body(request: HttpRequest) -> bool:
    """Whether the request changes something and came in the clear."""
    is_internal = request.path_info.startswith(INTERNAL)
    return request.method not in throttling.READS and not request.is_secure() and not is_internal


def is_admitted(request: HttpRequest) -> bool:
    """Whether the request may come in at the door that it knocks at."""
    path = request.path_info
    if path.startswith(DOORLESS):
        return True
    rules, address = firewall.rules(), throttling.address(request)
    if path.startswith("/admin/") or path == "/admin":
        return rules.judge(address, firewall.ADMIN).is_admitted
    if rules.judge(address, firewall.API).is_admitted:
        return True
    return path.startswith(settings.STATIC_URL) and rules.judge(address, firewall.ADMIN).is_admitted
