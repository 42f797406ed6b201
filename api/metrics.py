"""``/metrics``: figures in Prometheus' text format, for a monitoring system in the same network and for nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from itertools import accumulate

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from backend.availability import gauges as feeds
from backend.core import addresses, rate_book
from backend.core.gauges import Counter, Figure, Histogram
from backend.jobs import gauges as jobs
from backend.notifications import gauges as notices
from backend.payments.gauges import gauges
from backend.telemetry import gauges as telemetry
from backend.webhooks import gauges as webhooks

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(request: HttpRequest) -> HttpResponse:
    """All gauges as they are now. To others than machines of the own network there is nothing here (404)."""
    if not _is_own(request):
        raise Http404
    now = timezone.now()
    shown = [
        *(*gauges(now), *notices.gauges(now), *rate_book.gauges(now)),
        *(*jobs.gauges(now), *telemetry.gauges(now), *webhooks.gauges(now), *feeds.gauges()),
    ]
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


def _lines(shown: Iterable[Figure]) -> Iterator[str]:
    for figure in shown:
        kind = (
            "histogram"
            if isinstance(figure, Histogram)
            else "counter"
            if isinstance(figure, Counter)
            else "gauge"
        )
        yield f"# HELP {figure.name} {figure.help}\n# TYPE {figure.name} {kind}\n"
        if isinstance(figure, Histogram):
            yield from _spans(figure)
            continue
        for labels, value in figure.samples:
            yield _line(figure.name, labels, value)


def _spans(figure: Histogram) -> Iterator[str]:
    """A histogram's lines: how many lay within each bound, all of them, and their sum."""
    for labels, counts, total in figure.samples:
        ends = [*(f"{bound:g}" for bound in figure.bounds), "+Inf"]
        for end, within in zip(ends, accumulate(counts), strict=True):
            yield _line(f"{figure.name}_bucket", {**labels, "le": end}, within)
        yield _line(f"{figure.name}_sum", labels, total)
        yield _line(f"{figure.name}_count", labels, sum(counts))


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    # Python writes NaN as nan, which Prometheus takes too.
    inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
