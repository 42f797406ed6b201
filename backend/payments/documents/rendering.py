"""Make a PDF of a document. The same document gives the same bytes as long as template, fonts and texts stay.

The typesetter has its template and fonts beside this file. It is started once for each process and remembers what it
has read, so that a page takes some ten milliseconds; one page at a time is made. Letters that our fonts have not
(Chinese names, say) come from the machine's own, where it has some.
"""

from __future__ import annotations

import json
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import typst

from backend.payments.documents import layout
from backend.payments.documents.layout import Speaker
from backend.payments.models import Document

FOLDER = Path(__file__).resolve().parent
TEMPLATE = FOLDER / "page.typ"
FONTS = FOLDER / "fonts"

_one_at_a_time = threading.Lock()


def pdf(document: Document, *, language: str = "") -> bytes:
    """The document as PDF, in the language that it was issued in or, as a translation that says so, in another.

    Where the law wants a second language, both are on the page.
    """
    return typeset(page_of(document, language=language), at=int(document.issued_at.timestamp()))


def page_of(document: Document, *, language: str = "") -> dict[str, Any]:
    """The page model of a document."""
    asked = language or document.language
    return layout.page(
        document.kind,
        document.reference,
        document.data,
        currency=document.currency,
        issued_on=document.issued_at.date(),
        speaker=Speaker(asked, document.law_language if document.law_language != asked else ""),
        original=document.language if asked != document.language else "",
    )


def typeset(page: dict[str, Any], *, at: int, picture: bool = False) -> bytes:
    """A page model as PDF (or its first page as PNG); ``at`` is the document's instant in seconds since 1970.

    Raises: typst.TypstError, a defect of ours.
    """
    with _one_at_a_time:
        made = _compiler().compile(
            sys_inputs={"page": json.dumps(page)},
            format="png" if picture else "pdf",
            timestamp=None if picture else at,
            ppi=100.0 if picture else None,
        )
    first = made[0] if isinstance(made, list) else made
    if first is None:
        raise RuntimeError("the typesetter gave nothing back")
    return first


@lru_cache(maxsize=1)
def _compiler() -> typst.Compiler:
    fonts = typst.Fonts(include_system_fonts=True, include_embedded_fonts=False, font_paths=[str(FONTS)])
    return typst.Compiler(str(TEMPLATE), root=str(FOLDER), font_paths=fonts)
