"""An export as a page that people read and print: one file without anything from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from babel import dates
from django.utils.functional import Promise
from django.utils.html import escape
from django.utils.text import capfirst
from django.utils.translation import get_language_info, gettext

from backend.core import formats
from backend.privacy.reading import Row, Section

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h2{margin-top:3rem;border-bottom:1px solid #ccc}"
    "article{border:1px solid #ddd;border-radius:.4rem;padding:.5rem 1rem;margin:.8rem 0;break-inside:avoid}"
    "dl{display:grid;grid-template-columns:minmax(8rem,14rem) 1fr;gap:.2rem 1rem;margin:.3rem 0}"
    "dt{color:#666}dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}ul{margin:0;padding-inline-start:1.2rem}"
    "@media print{body{font-size:11px;margin:0}}"
)
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The page's Content-Security-Policy: its own style and nothing else."""


def page(parts: Iterator[tuple[Section, Iterator[Row]]], now: datetime, language: str) -> Iterator[bytes]:
    """The page in the active language, piece by piece. ``now`` is UTC."""
    direction = "rtl" if get_language_info(language)["bidi"] else "ltr"
    title = escape(gettext("All of your data"))
    said = escape(gettext("What we know of you as of %(at)s.") % {"at": _text(now, language)})
    yield (
        f'<!doctype html><html lang="{language}" dir="{direction}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1><p>{said}</p>"
    ).encode()
    for section, rows in parts:
        opening = f"<section><h2>{escape(capfirst(str(section.title)))}</h2>"
        for row in rows:
            yield f"{opening}<article>{_of(row, section.labels, language)}</article>".encode()
            opening = ""
        if not opening:
            yield b"</section>"
    yield b"</body></html>"


def _of(row: Mapping[str, Any], labels: Mapping[str, Any], language: str) -> str:
    """A row as a list of names and values; what is empty is left out."""
    lines = "".join(
        f"<dt>{escape(capfirst(str(labels.get(key, key.replace('_', ' ')))))}</dt><dd>{_value(value, language)}</dd>"
        for key, value in row.items()
        if value not in (None, "", [], {})
    )
    return f"<dl>{lines}</dl>"


def _value(value: Any, language: str) -> str:
    if isinstance(value, Mapping):
        return _of(value, {}, language)
    if isinstance(value, (list, tuple)):
        return "<ul>" + "".join(f"<li>{_value(each, language)}</li>" for each in value) + "</ul>"
    return escape(_text(value, language))


def _text(value: Any, language: str) -> str:
    locale = formats.locale(language)
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, datetime):
        moment = dates.format_datetime(value.astimezone(UTC), format="medium", tzinfo=UTC, locale=locale)
        return f"{moment} UTC"
    if isinstance(value, date):
        return dates.format_date(value, format="medium", locale=locale)
    return str(value)
