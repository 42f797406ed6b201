"""How the platform is: its parts and what to do about them, its periodic jobs, its backups, what runs here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_site.frame.custom import CustomPage, register_page
from admin_site.frame.display import instant, label, number, pretty
from backend.core.errors import Text
from backend.core.health import DEGRADED, DOWN, LOCAL, OK
from backend.jobs import health, inventory
from backend.jobs.backups import standing as backups
from backend.jobs.health import Bytes, Milliseconds, Part, Percent, Seconds

COLOURS = {OK: "success", DEGRADED: "warning", DOWN: "danger", LOCAL: "info"}
WORST = (DOWN, DEGRADED, LOCAL, OK)
UNITS = ("B", "kB", "MB", "GB", "TB")


def words_of(state: str) -> Text:
    """The state of a part in a word."""
    return {
        OK: _("in order"),
        DEGRADED: _("needs a look"),
        DOWN: _("out of order"),
        LOCAL: _("in this process"),
    }[state]


def view(request: HttpRequest) -> HttpResponseBase:
    """Everything at one look, the parts that need something first."""
    now = timezone.now()
    parts = sorted(health.look(now), key=lambda part: WORST.index(part.state))
    unwell = sum(part.state in (DOWN, DEGRADED) for part in parts)
    return PAGE.render(
        request,
        "admin_site/system.html",
        {
            "read_at": instant(now, seconds=True),
            "verdict": _("Parts that need a look: %s.") % number(unwell) if unwell else _("All is in order."),
            "is_well": not unwell,
            "parts": [_card(part) for part in parts],
            "books": _books(),
            "job_headers": [_("Job"), _("When (UTC)"), _("Last run"), _("Next run"), _("What it did")],
            "jobs": [_job(each) for each in sorted(inventory.periodic(now), key=_is_well)],
            "drill": pretty(backups.standing(now).drill),
            "versions": [
                ["PostgreSQL", inventory.database_version()],
                *map(list, inventory.versions().items()),
            ],
            "pending": inventory.pending_migrations(),
            "unsafe": inventory.unsafe_settings(),
            "in_production": settings.PRODUCTION,
            "failed_url": f"{reverse('admin:procrastinate_procrastinatejob_changelist')}?status__exact=failed",
        },
    )


def _card(part: Part) -> dict[str, Any]:
    return {
        "key": part.key,
        "title": part.title,
        "state": part.state,
        "badge": label(words_of(part.state), COLOURS[part.state]),
        "facts": [(words, told(value)) for words, value in part.facts],
        "advice": part.advice,
    }


def _is_well(each: inventory.Periodic) -> bool:
    """What failed comes first."""
    return each.run is None or not each.run.failure


def _job(each: inventory.Periodic) -> list[Any]:
    run = each.run
    if run is None:
        done: Any = _("has not run yet")
    elif run.failure:
        done = label(run.failure, "danger")
    else:
        done = ", ".join(_flat(run.result)) or "–"
    return [
        each.name,
        each.cron,
        instant(run.ran_at if run else None, seconds=True),
        instant(each.next_at),
        done,
    ]


def _flat(result: dict[str, Any], above: str = "") -> Iterator[str]:
    """What a sweep did, without what it did not do."""
    for name, value in result.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        elif value:
            yield f"{above}{name} {value}"


def _books() -> dict[str, Any]:
    found = inventory.books()
    return {**found, "at": instant(found["ran_at"])} if found else {}


def told(value: Any) -> Any:
    """A fact as the reader writes it."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return instant(value, seconds=True)
    if isinstance(value, Milliseconds):
        return _("%s ms") % number(Decimal(str(round(value, 1))))
    if isinstance(value, Seconds):
        return length(float(value))
    if isinstance(value, Bytes):
        return size(value)
    if isinstance(value, Percent):
        return f"{number(round(100 * value))} %"
    return number(value) if isinstance(value, int) else value


def length(seconds: float) -> str:
    """A length of time in the unit that suits it: ``12 s``, ``5 min``, ``3 h``."""
    span = timedelta(seconds=round(seconds))
    if span < timedelta(minutes=2):
        return _("%s s") % number(span.seconds)
    if span < timedelta(hours=2):
        return _("%s min") % number(span.seconds // 60)
    return _("%s h") % number(span.days * 24 + span.seconds // 3600)


def size(value: int) -> str:
    """A size in the unit that suits it: ``3.4 GB``."""
    amount, power = float(value), 0
    while amount >= 1000 and power < len(UNITS) - 1:
        amount, power = amount / 1000, power + 1
    rounded = round(amount, 1) if power and amount < 100 else round(amount)
    return f"{number(Decimal(str(rounded)))} {UNITS[power]}"


PAGE = register_page(CustomPage("system", gettext_lazy("System"), "monitor_heart", view, rule="system.see"))
