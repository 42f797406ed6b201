"""Reading tables that people fill in: what spreadsheets write, and what is refused with the sentence that helps."""

from __future__ import annotations

import pytest

from backend.core.formats import cell, plain
from backend.core.sheets import MOST_BYTES, MOST_ROWS, BadTable, Line, read

COLUMNS, NEEDED = ("code", "percent", "note"), ("code",)


def lines(content: str | bytes) -> list[Line]:
    data = content if isinstance(content, bytes) else content.encode()
    return list(read(data, columns=COLUMNS, needed=NEEDED, skipped=("uses",)).lines)


@pytest.mark.parametrize(
    "content",
    [
        "code,percent\nSPRING,10\n",
        "\ufeffcode,percent\r\nSPRING,10\r\n",
        "code;percent\nSPRING;10",
        "sep=;\ncode;percent\nSPRING;10\n",
        "percent\tcode\n10\tSPRING\n",
        '"Code","Percent"\n" SPRING ","10"\n',
        "code,uses,percent,\nSPRING,7,10,\n",
    ],
)
def test_the_ways_in_which_spreadsheets_write_are_one(content: str) -> None:
    assert lines(content) == [Line(2, {"code": "SPRING", "percent": "10"})]


def test_rows_are_numbered_as_a_spreadsheet_does() -> None:
    found = lines('code,note\nA,"two\nlines"\n\n , \nB,x\n')

    assert found == [Line(2, {"code": "A", "note": "two\nlines"}), Line(5, {"code": "B", "note": "x"})]


def test_short_rows_are_filled_up_and_single_columns_read() -> None:
    assert lines("code,percent\nA\n") == [Line(2, {"code": "A", "percent": ""})]
    assert lines("code\nA\n") == [Line(2, {"code": "A"})]


def test_semicolons_tell_of_decimal_commas() -> None:
    commas, semicolons = (
        read(text.encode(), columns=COLUMNS, needed=NEEDED)
        for text in ("code,percent\nA,1", "code;percent\nA;1")
    )

    assert (commas.decimal_comma, semicolons.decimal_comma) == (False, True)


@pytest.mark.parametrize("text", ["=1+1", "-5", "  @x", "\t=1", "plain", "it's", ""])
def test_what_a_table_keeps_from_being_a_formula_is_read_as_it_was(text: str) -> None:
    assert plain(cell(text)) == text.strip() or plain(cell(text)).strip() == text.strip()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no rows"),
        (b"code\n", "has no rows"),
        (b"code,colour\nA,red\n", "not known here: colour"),
        (b"percent\n10\n", "lacks columns: code"),
        (b"code,Code\nA,B\n", "columns twice: code"),
        (b"code\nA,B\n", "Row 2 has more cells"),
        (b'code,note\nA,"x"y\n', "quotation marks"),
        (b'code,note\nA,"never closed\n', "quotation marks"),
        ("code\nCafé\n".encode("latin-1"), "not in UTF-8"),
        ("code\nA\n".encode("utf-16"), "not in UTF-8"),
        (b"code\nA\0\n", "not in UTF-8"),
        (b"code\n" + b"A\n" * (MOST_ROWS + 1), "more than 500 rows"),
        (b"code\n" + b"A" * MOST_BYTES, "larger than 256 KB"),
        (b"\x89PNG\r\n\x1a\n", "not in UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BadTable) as refused:
        lines(content)

    assert said in str(refused.value.detail)
