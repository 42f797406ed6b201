"""Reading tables that people fill in with a spreadsheet. Pure: bytes in, lines out; what they mean is judged elsewhere.

CSV in UTF-8, with or without a byte order mark, its columns parted by commas, semicolons or tabs as the header shows.
The header names the columns, in any order; blank rows are left out; an apostrophe that keeps a spreadsheet from taking
a text for a formula is taken off again (``formats.plain``).
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid, Text
from backend.core.formats import plain

MOST_BYTES = 256 * 1024
MOST_ROWS = 500

_DELIMITERS = ",;\t"


class BadTable(Invalid):
    """What was given is no table, or not the one that is asked for."""

    code = "bad_table"
    title = _("This is no table that can be read.")


@dataclass(frozen=True, slots=True)
class Line:
    """A row: its number as a spreadsheet shows it (the header is 1), and column → text, "" where nothing stands."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a table. ``decimal_comma``: it comes from where numbers are written with one."""

    lines: Sequence[Line]
    decimal_comma: bool


def read(
    content: bytes, *, columns: Collection[str], needed: Collection[str], skipped: Collection[str] = ()
) -> Sheet:
    """The rows of ``content``, with those of ``columns`` that its header names; ``needed`` ones must be there.

    ``skipped`` columns may be there and are left out. Raises: BadTable (too large, not UTF-8, not CSV, no rows, columns
    that are missing, double or unknown, a row with more cells than the header).
    """
    if len(content) > MOST_BYTES:
        raise BadTable(_("The file is larger than %(most)s KB.") % {"most": MOST_BYTES // 1024})
    text = _text(content)
    first, _newline, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):
        # A line for spreadsheets, which do not count it as a row.
        text, first = rest, rest.partition("\n")[0]
    delimiter = _delimiter(first)
    header: list[str] | None = None
    lines: list[Line] = []
    try:
        for number, row in enumerate(
            csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True), 1
        ):
            if header is None:
                header = _header(row, columns, needed, skipped)
            elif any(cell.strip() for cell in row):
                lines.append(Line(number, _cells(header, row, number, skipped)))
    except csv.Error as error:
        raise BadTable(_("The file is no CSV: look at its quotation marks.")) from error
    if not lines:
        raise BadTable(_("The table has no rows."))
    if len(lines) > MOST_ROWS:
        raise BadTable(_("The table has more than %(most)s rows: divide it.") % {"most": MOST_ROWS})
    return Sheet(lines, delimiter == ";")


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTable(_("The file is not in UTF-8: save it as “CSV UTF-8”.")) from error
    if "\0" in text:
        raise BadTable(_("The file is not in UTF-8: save it as “CSV UTF-8”."))
    return text


def _delimiter(first: str) -> str:
    try:
        return csv.Sniffer().sniff(first, delimiters=_DELIMITERS).delimiter
    except csv.Error:
        # A single column has none.
        return ","


def _header(
    row: Sequence[str], columns: Collection[str], needed: Collection[str], skipped: Collection[str]
) -> list[str]:
    header = [plain(name).lower() for name in row]
    named = [name for name in header if name]
    if unknown := [name for name in named if name not in columns and name not in skipped]:
        raise BadTable(_listed(_("The table has columns that are not known here: %(names)s."), unknown))
    if missing := [name for name in needed if name not in named]:
        raise BadTable(_listed(_("The table lacks columns: %(names)s."), missing))
    if len(set(named)) != len(named):
        double = sorted({name for name in named if named.count(name) > 1})
        raise BadTable(_listed(_("The table has columns twice: %(names)s."), double))
    return header


def _listed(sentence: Text, names: Sequence[str]) -> str:
    return str(sentence) % {"names": ", ".join(name[:40] for name in names[:10])}


def _cells(
    header: Sequence[str], row: Sequence[str], number: int, skipped: Collection[str]
) -> dict[str, str]:
    if any(cell.strip() for index, cell in enumerate(row) if index >= len(header) or not header[index]):
        message = _("Row %(number)s has more cells than the table has columns.") % {"number": number}
        raise BadTable(message)
    found = dict.fromkeys((name for name in header if name and name not in skipped), "")
    for name, cell in zip(header, row, strict=False):
        if name in found:
            found[name] = plain(cell)
    return found
