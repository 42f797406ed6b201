"""``/metrics``: figures in Prometheus' text format, for a monitoring system in the same network and for nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from backend.core import addresses, rate_book
from backend.core.gauges import Gauge
from backend.notifications import gauges as notices
from backend.payments.gauges import gauges

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(request: HttpRequest) -> HttpResponse:
    """All gauges as they are now. To others than machines of the own network there is nothing here (404)."""
    if not _is_own(request):
        raise Http404
    now = timezone.now()
    shown = [*gauges(now), *notices.gauges(now), *rate_book.gauges(now)]
    response = HttpResponse("".join(_lines(shown)), content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    return response


def _is_own(request: HttpRequest) -> bool:
    """Whether a machine of the own network asks by itself: what came through any proxy came from outside."""
    remote = request.META.get("REMOTE_ADDR", "")
    through_a_proxy = "HTTP_X_FORWARDED_FOR" in request.META or addresses.is_trusted(
        remote, settings.TRUSTED_PROXIES
    )
    try:
        return ip_address(remote).is_private and not through_a_proxy
    except ValueError:
        return False


def _lines(shown: Iterable[Gauge]) -> Iterator[str]:
    for gauge in shown:
        yield f"# HELP {gauge.name} {gauge.help}\n# TYPE {gauge.name} gauge\n"
        for labels, value in gauge.samples:
            inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            # Python writes NaN as nan, which Prometheus takes too.
            yield f"{gauge.name}{{{inner}}} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
