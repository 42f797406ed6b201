"""Documents for tests: a folio's payment with its papers, as settling a booking issues them, and what stands in a PDF."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from backend.core import platform
from backend.payments.documents import issuing, rendering
from backend.payments.documents.contents import Line, Subject
from backend.payments.models import Document, DocumentKind, Folio, Payment
from tests.factories import NOW

MARKS = re.compile("[\u2066-\u2069\u200b\u200e\u200f]")
"""What steers direction and line breaks and is not seen."""

LANGUAGES = [code for code, _name in settings.LANGUAGES]

LINES = (
    Line("night", dict.fromkeys(LANGUAGES, "3 nights"), 3, 10_000, 30_000),
    Line("tax", dict.fromkeys(LANGUAGES, "VAT: 5%"), 1, 1_500, 1_500, 5, 30_000),
)
"""The guest's lines of ``tests.payments.desk``."""


def subject(lines: Sequence[Line] = LINES, **values: Any) -> Subject:
    """Three nights in Lisbon at the desk's price."""
    known: dict[str, Any] = {
        "reference": "KB7Q2M9X",
        "listing": "Flat over the river",
        "place": "Lisbon, Portugal",
        "host": "Ana",
        "check_in": date(2027, 5, 3),
        "check_out": date(2027, 5, 6),
        "guests": 2,
        "lines": tuple(lines),
    }
    return Subject(**{**known, **values})


def invoiced(payment: Payment, now: datetime = NOW, **values: Any) -> Document:
    """The invoice over ``payment``."""
    with transaction.atomic():
        return _issued(payment, DocumentKind.INVOICE, now, values)


def receipted(payment: Payment, now: datetime = NOW, **values: Any) -> Document:
    """The receipt of ``payment``."""
    with transaction.atomic():
        return _issued(payment, DocumentKind.RECEIPT, now, values)


def _issued(payment: Payment, kind: DocumentKind, now: datetime, values: dict[str, Any]) -> Document:
    (document,) = issuing.issue_for(payment=payment, kinds=[kind], subject=subject(**values), now=now)
    return document


def credited(refund: Payment, now: datetime = NOW, *, cause: str = "test", tax_due: int = 0) -> Document:
    """The credit note of ``refund``."""
    with transaction.atomic():
        return issuing.issue_credit_note(
            refund=refund, subject=subject(), cause=cause, tax_due_minor=tax_due, now=now
        )


def say(**settings_: Any) -> None:
    """Change platform settings."""
    for key, value in settings_.items():
        platform.put(key, value)


def written(folio: Folio) -> list[tuple[str, str, int]]:
    """The documents of a folio in the order of their issue: kind, number, total."""
    rows = Document.objects.filter(folio=folio).order_by("id")
    return list(rows.values_list("kind", "reference", "total_minor"))


def words_on(page: Any) -> list[str]:
    """Every text of a page model, in plain letters, in the order of the page."""
    if isinstance(page, dict):
        return [text for value in page.values() for text in words_on(value)]
    if isinstance(page, (list, tuple)):
        return [text for value in page for text in words_on(value)]
    return [_plain(page)] if isinstance(page, str) and page else []


def page_words(document: Document, language: str = "") -> list[str]:
    return words_on(rendering.page_of(document, language=language))


def text_of(pdf: bytes) -> str:
    """The letters of a PDF by its own tables from glyphs to letters, in the order in which they were set, in plain
    letters. Enough of the format for what the typesetter writes."""
    return _plain("".join(_decoded(pdf)))


def _plain(text: str) -> str:
    return MARKS.sub("", text).replace("\N{NO-BREAK SPACE}", " ")


def glyphs_of(pdf: bytes) -> dict[str, set[tuple[int, int]]]:
    """Letters → the glyphs that are set for them, as (font, glyph)."""
    objects, found = _objects(pdf), defaultdict(set)
    for number, body in objects.items():
        if b"/ToUnicode" in body:
            for glyph, letters in _letters(objects, number).items():
                found[letters].add((number, glyph))
    return dict(found)


def _objects(pdf: bytes) -> dict[int, bytes]:
    return {
        int(number): body for number, body in re.findall(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", pdf, re.S)
    }


def _decoded(pdf: bytes) -> list[str]:
    objects = _objects(pdf)
    fonts = {
        name.decode(): _letters(objects, int(reference))
        for body in objects.values()
        for name, reference in re.findall(rb"/(f\d+) (\d+) 0 R", body)
    }
    letters = []
    for body in objects.values():
        content = _unpacked(body)
        if b" Tf" not in content:
            continue
        font: dict[int, str] = {}
        for kind, value in _shown(content):
            if kind == "font":
                font = fonts.get(value, {})
            elif kind == "letters":
                letters.append(value)
            else:
                letters += [
                    font.get(int(value[at : at + 4], 16), "\N{REPLACEMENT CHARACTER}")
                    for at in range(0, len(value), 4)
                ]
    return letters


def _shown(content: bytes) -> Iterator[tuple[str, str]]:
    """What a page does with letters, in order: a font that is chosen, glyphs that are set (hexadecimal), or letters
    that are said in their stead."""
    tokens = re.compile(rb"/(f\d+) [\d.]+ Tf|/ActualText<FEFF([0-9A-F]+)>|<([0-9a-fA-F]+)>|(\()|(EMC)")
    found, instead = tokens.search(content), False
    while found:
        end = found.end()
        font, said, glyphs, literal, _over = found.groups()
        if font:
            yield "font", font.decode()
        elif said:
            instead = True
            yield "letters", bytes.fromhex(said.decode()).decode("utf-16-be")
        elif literal:
            end = _closing(content, end)
            glyphs = _unescaped(content[found.end() : end]).hex().encode()
        else:
            instead = instead and bool(glyphs)
        if glyphs and not instead:
            yield "glyphs", glyphs.decode()
        found = tokens.search(content, end)


def _closing(content: bytes, at: int) -> int:
    """Where the literal string that begins at ``at`` ends; brackets may stand in pairs in it."""
    depth = 1
    while depth:
        letter = content[at : at + 1]
        at += 2 if letter == b"\\" else 1
        depth += (letter == b"(") - (letter == b")")
    return at - 1


def _unpacked(body: bytes) -> bytes:
    found = re.search(rb"stream\r?\n(.*?)\r?\nendstream", body, re.S)
    if not found:
        return b""
    try:
        return zlib.decompressobj().decompress(found[1])
    except zlib.error:
        return found[1]


def _letters(objects: dict[int, bytes], font: int) -> dict[int, str]:
    """Glyph → letters, of a font's ToUnicode table."""
    named = re.search(rb"/ToUnicode (\d+) 0 R", objects[font])
    table = _unpacked(objects[int(named[1])]) if named else b""
    return {
        int(glyph, 16): bytes.fromhex(letters.decode()).decode("utf-16-be")
        for glyph, letters in re.findall(rb"<([0-9a-fA-F]{4})> <([0-9a-fA-F]+)>", table)
    }


def _unescaped(literal: bytes) -> bytes:
    escapes = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
    return re.sub(
        rb"\\([0-7]{1,3}|.)",
        lambda found: bytes([int(found[1], 8)]) if found[1].isdigit() else escapes.get(found[1], found[1]),
        literal,
        flags=re.S,
    )
