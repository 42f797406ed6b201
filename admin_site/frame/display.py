"""How values are shown: money, people, states as coloured words, links, small tables. Everything is escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from django.db.models import Model
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, get_language_bidi, gettext

from backend.accounts.models import ADMIN, MODERATOR
from backend.core import formats

LISTING_COLOURS = {
    "draft": "default",
    "pending_review": "warning",
    "published": "success",
    "paused": "info",
    "flagged": "danger",
    "rejected": "danger",
    "archived": "default",
}
BOOKING_COLOURS = {
    "pending": "warning",
    "confirmed": "success",
    "completed": "info",
    "canceled": "danger",
    "declined": "default",
    "expired": "default",
}
PAYMENT_COLOURS = {
    "pending": "warning",
    "completed": "success",
    "failed": "danger",
    "refunded": "info",
    "partially_refunded": "info",
    "unpaid": "default",
}
ALTERATION_COLOURS = {
    "proposed": "warning",
    "accepted": "success",
    "declined": "danger",
    "withdrawn": "default",
    "expired": "default",
}
INQUIRY_COLOURS = {
    "open": "warning",
    "pre_approved": "info",
    "offered": "info",
    "declined": "danger",
    "withdrawn": "default",
    "expired": "default",
    "booked": "success",
}
FEED_COLOURS = {"ok": "success", "stale": "warning", "failing": "danger"}
REFUND_COLOURS = {"waiting": "warning", "approved": "success", "declined": "danger", "withdrawn": "default"}
DISPUTE_COLOURS = {"needs_response": "danger", "under_review": "warning", "won": "success", "lost": "default"}
OP_COLOURS = {
    "created": "default",
    "sending": "info",
    "succeeded": "success",
    "failed": "danger",
    "unknown": "warning",
}
DELIVERY_COLOURS = {
    "queued": "default",
    "sending": "info",
    "sent": "success",
    "delivered": "success",
    "bounced": "danger",
    "failed": "danger",
    "suppressed": "warning",
    "skipped": "default",
    "unknown": "warning",
}
JOB_COLOURS = {
    "todo": "default",
    "doing": "info",
    "succeeded": "success",
    "failed": "danger",
    "cancelled": "default",
    "aborted": "warning",
}


def money(minor: int | None, currency: str) -> str:
    """An amount behind its currency, as the reader writes numbers: ``EUR 1,234.50``; "–" for none."""
    return "–" if minor is None else formats.money_with_code(minor, currency, get_language() or "")


def signed(minor: int | None, currency: str) -> str:
    """As ``money``, with a plus where it is more: ``EUR +50.00``."""
    text = money(minor, currency)
    return text.replace(" ", " +", 1) if minor is not None and minor > 0 else text


def side(minor: int, currency: str) -> str:
    """A balance in the accountants' words: debit or credit instead of a sign; "–" for nothing."""
    if not minor:
        return "–"
    words = gettext("debit") if minor > 0 else gettext("credit")
    return f"{money(abs(minor), currency)} {words}"


def number(value: int | Decimal) -> str:
    """A number as the reader writes it: ``12,345``."""
    language = get_language() or ""
    return formats.digits(format_decimal(value, "#,##0.######", formats.locale(language)), language)


def day(value: date | None) -> str:
    """A date: ``06 May 2027``, in the reader's months and digits; "–" for none."""
    return "–" if value is None else _dated(value, "dd MMM y")


def days(first: date | None, last: date | None, *, years: bool = False) -> str:
    """From one date to another: ``06 May → 10 May 2027``, or with both ``years``; "…" where an end is open."""
    short = not years and first is not None and last is not None and first.year == last.year
    begin = "…" if first is None else _dated(first, "dd MMM" if short else "dd MMM y")
    arrow = "←" if get_language_bidi() else "→"
    return f"{begin} {arrow} {'…' if last is None else _dated(last, 'dd MMM y')}"


def short_day(value: date) -> str:
    """A date without its year, for axes: ``06 May``."""
    return _dated(value, "dd MMM")


def month(value: date) -> str:
    """A month: ``May 2027``."""
    return _dated(value, "MMM y")


def instant(value: datetime | None, *, seconds: bool = False) -> str:
    """A moment on the clock that it is given in: ``06 May 2027, 15:00``; "–" for none."""
    return "–" if value is None else _dated(value, "dd MMM y, HH:mm:ss" if seconds else "dd MMM y, HH:mm")


def clock(value: datetime) -> str:
    """A moment with its weekday, to the second: ``Thu 06 May 2027, 15:00:00``."""
    return _dated(value, "EEE dd MMM y, HH:mm:ss")


def _dated(value: date | datetime, pattern: str) -> str:
    language = get_language() or ""
    made = format_datetime if isinstance(value, datetime) else format_date
    return formats.digits(made(value, pattern, locale=formats.locale(language)), language)


def percent(value: Decimal | None) -> str:
    """A percentage without needless decimals: ``12.5 %``; "–" for none."""
    return "–" if value is None else f"{number(value)} %"


def share(value: Decimal) -> str:
    """A percentage with all the decimals that it was counted to: ``10.0 %``."""
    language = get_language() or ""
    pattern = f"0.{'0' * max(0, -int(value.as_tuple().exponent))}".rstrip(".")
    return f"{formats.digits(format_decimal(value, pattern, formats.locale(language)), language)} %"


def weekdays(days: Sequence[int]) -> str:
    """ISO weekdays (1 is Monday) as short words; "–" for none."""
    return ", ".join(str(WEEKDAYS_ABBR[day - 1]) for day in days) or "–"


def url_of(row: Model) -> str:
    """The page of a row, "" where there is none."""
    meta = row._meta
    try:
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=(row.pk,))
    except NoReverseMatch:
        return ""


def link(row: Model | None, text: Any = None) -> SafeString | str:
    """A link to the row's page with ``text`` (default: the row's own name)."""
    if row is None:
        return "–"
    words = row if text is None else text
    url = url_of(row)
    return format_html('<a href="{}" class="text-link">{}</a>', url, words) if url else str(words)


def dialog_links(row: Model, actions: Sequence[tuple[str, Any]]) -> SafeString:
    """Links that open dialogs of the page of ``row``: (name of the action, words)."""
    meta = row._meta
    urls = [
        (reverse(f"admin:{meta.app_label}_{meta.model_name}_{name}", args=(row.pk,)), words)
        for name, words in actions
    ]
    links = [(url, url, words) for url, words in urls]
    return format_html_join(
        " ",
        '<a class="text-link ko-act" href="{}" hx-get="{}" hx-target="#modal-content" hx-select="#dialog" '
        'x-on:htmx:after-on-load="openModal = true">{}</a>',
        links,
    )


def pretty(value: Any) -> SafeString | str:
    """JSON on several lines."""
    if value in ({}, [], None):
        return "–"
    return format_html('<pre class="ko-json">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))


def label(text: Any, colour: str) -> SafeString:
    """A coloured word, for tables; lists have ``@display(label=…)``."""
    return SafeString(
        render_to_string("unfold/helpers/label.html", {"text": text, "type": colour, "size": "md"}).strip()
    )


def table(headers: Sequence[Any], rows: Sequence[Sequence[Any]]) -> SafeString:
    """A small table inside a page. Cells are escaped unless they are made by the helpers here."""
    return SafeString(render_to_string("admin_site/table.html", {"headers": headers, "rows": rows}).strip())


def sees_phones(reader: Any) -> bool:
    """Whether ``reader`` may see network addresses: moderators and administrators."""
    return bool(reader.has_role(MODERATOR, ADMIN))
