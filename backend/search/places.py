"""From what people type as a location to the places that listings lie in.

Every word of the text must be a word of the place, in any order; case and accents do not matter. A country counts
under each of its names and its code. A word that no place has is read as the start of one, or as a mistyped one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from backend.listings import places as known_places
from backend.listings.models import LocationName
from backend.search.models import SearchWord

MAX_WORDS = 12
MAX_PLACES = 20_000
SHORTEST_TYPO = 4
"""Shorter words are taken as they are: three letters are one slip away from too much."""

_FOLD = "SELECT search_fold(%s)"
_SIMILAR = "SELECT word FROM search_words WHERE word %% %s ORDER BY similarity(word, %s) DESC, word LIMIT 30"
_MATCH = "SELECT id FROM search_places WHERE words @@ %s::tsquery ORDER BY id LIMIT %s"


MARK = "(SELECT coalesce(bit_xor(id), 0) # count(*) FROM search_places WHERE words @@ %s::tsquery)"
"""In SQL: a number that tells one set of places of a condition from another."""

REMEMBERED = 1_000
SMALL = 200
"""Up to so many places are remembered: they take little room, and are checked faster than they are read again."""


@dataclass(frozen=True, slots=True)
class Named:
    """The ids of the places that a text names. When they were remembered: the condition they were found by, its mark."""

    ids: tuple[int, ...]
    condition: str = ""
    mark: int = 0


_known: dict[str, Named] = {}
"""What was found for texts that are spelled like some place. Whoever uses it asks for ``MARK`` too."""


def named(text: str) -> Named:
    """The places (``SearchPlace``) that ``text`` names; none when there are none.

    No query for a text that was asked before: places are added only, and the statement that finds the rows compares
    the mark. One for a text that is spelled like some place; slips and foreign names cost a few more.
    """
    if found := _known.get(text):
        return found
    words = known_places.fold(text).split()[:MAX_WORDS]
    condition = _condition(words, _lexeme)
    if ids := _matching(condition):
        if len(ids) > SMALL:
            return Named(ids)
        if len(_known) >= REMEMBERED:
            _known.clear()
        mark = len(ids)
        for each in ids:
            mark ^= each
        _known[text] = Named(ids, condition, mark)
        return _known[text]
    with connection.cursor() as cursor:
        # The database folds more letters than we do.
        cursor.execute(_FOLD, [_by_own_name(text) or text])
        words = cursor.fetchone()[0].split()[:MAX_WORDS]
    present = set(SearchWord.objects.filter(word__in=words).values_list("word", flat=True))
    return Named(
        _matching(_condition(words, lambda word: _lexeme(word) if word in present else _guess(word)))
    )


def forget(text: str) -> None:
    """Look ``text`` up again when it is asked for next."""
    _known.pop(text, None)


def _matching(condition: str) -> tuple[int, ...]:
    if not condition:
        return ()
    with connection.cursor() as cursor:
        cursor.execute(_MATCH, [condition, MAX_PLACES])
        return tuple(pk for (pk,) in cursor.fetchall())


def _condition(words: list[str], condition: Callable[[str], str]) -> str:
    """All of ``words`` (folded), each by its ``condition``, countries by any of their names. Empty without words."""
    countries = known_places.countries()
    parts = []
    at = 0
    while at < len(words):
        end = next((end for end in range(len(words), at, -1) if " ".join(words[at:end]) in countries), at)
        if end > at:
            code = countries[" ".join(words[at:end])].lower()
            spelled = " & ".join(map(_lexeme, words[at:end]))
            parts.append(f"({_lexeme('_' + code)} | ({spelled}))")
            at = end
        else:
            parts.append(condition(words[at]))
            at += 1
    return " & ".join(parts)


def corrected(text: str) -> str:
    """``text`` with each mistyped name of a place put right; the words of places, and those like none, stay."""
    return _WORD.sub(lambda found: (_meant(known_places.fold(found[0])) or [found[0]])[0], text)


_WORD = re.compile(rf"(?<![-\w])\w{{{SHORTEST_TYPO},}}")


def _guess(word: str) -> str:
    """A word that no place has: the beginning of one, or one with a slip in it."""
    guesses = [f"{_lexeme(word)}:*", *map(_lexeme, _meant(word) if len(word) >= SHORTEST_TYPO else ())]
    return f"({' | '.join(guesses)})"


def _meant(word: str) -> list[str]:
    """The words of places that ``word`` (folded) may be a slip for, the most similar first: those with the fewest letters off."""
    with connection.cursor() as cursor:
        cursor.execute(_SIMILAR, [word, word])
        candidates = [similar for (similar,) in cursor.fetchall()]
    slips = {similar: _slips(word, similar) for similar in candidates}
    fewest = min(slips.values(), default=99)
    if fewest > (1 if len(word) < 8 else 2):
        return []
    return [similar for similar, count in slips.items() if count == fewest]


def _lexeme(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


def _by_own_name(text: str) -> str:
    """``text`` with the city's own name where it begins with a foreign one ("Lisbonne, Portugal"), else nothing."""
    called, *rest = text.split(",")
    names = LocationName.objects.filter(search_name=known_places.fold(called)).order_by(
        "-location__population"
    )
    own = names.values_list("location__name", flat=True).first()
    return ",".join([own, *rest]) if own and own != called else ""


def _slips(one: str, other: str) -> int:
    """Letters to insert, drop, change or swap with their neighbour to make ``other`` of ``one``."""
    above: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        present = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(last[column] + 1, present[-1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, above[column - 2] + 1)
            present.append(cost)
        above, last = last, present
    return last[-1]
