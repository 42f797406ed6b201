"""Find words in texts. Pure, and in time that grows with the text alone: no regular expression of anybody's runs here.

A pattern is one or several words; ``*`` stands for any letters of a word (``moneygr*m``, ``cash only``). Case, accents,
and signs between the words are no matter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Span = tuple[int, int]

MOST_WORDS = 8
FEWEST_LETTERS = 2
"""A pattern of nothing but ``*`` would find every text."""

_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u200c\u200d\u00ad"
)
"""Accents and vowels that stand on a letter of their own, and what joins letters: no end of a word."""

_WORD = re.compile(rf"[\w{_MARKS}]+")
_IN_PATTERN = re.compile(rf"[\w*{_MARKS}]+")


@dataclass(frozen=True, slots=True)
class Pattern:
    """The folded words of a pattern, each with its stars."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """A folded word of a text, and where it stands there."""

    word: str
    span: Span


def parse(pattern: str) -> Pattern | None:
    """The pattern in ``pattern``; None for one that would find everything or nothing."""
    words = tuple(_starless(fold(part)) for part in _IN_PATTERN.findall(pattern))
    letters = sum(len(word.replace("*", "")) for word in words)
    if not words or len(words) > MOST_WORDS or letters < FEWEST_LETTERS:
        return None
    return Pattern(words) if all(word.strip("*") for word in words) else None


def tokens(text: str) -> list[Token]:
    """The words of a text."""
    return [Token(fold(match.group()), match.span()) for match in _WORD.finditer(text)]


def find(pattern: Pattern, text: Sequence[Token]) -> list[Span]:
    """Where ``pattern`` stands in the words of a text, in order and apart from each other."""
    found: list[Span] = []
    wanted, at = pattern.words, 0
    while at + len(wanted) <= len(text):
        here = text[at : at + len(wanted)]
        if all(fits(token.word, word) for token, word in zip(here, wanted, strict=True)):
            found.append((here[0].span[0], here[-1].span[1]))
            at += len(wanted)
        else:
            at += 1
    return found


def fits(word: str, pattern: str) -> bool:
    """Whether a folded word is what a folded word with stars says. Takes len(word) × len(pattern) steps at most."""
    if "*" not in pattern:
        return word == pattern
    at = place = 0
    star, marked = -1, 0
    while at < len(word):
        if place < len(pattern) and pattern[place] == "*":
            star, marked = place, at
            place += 1
        elif place < len(pattern) and pattern[place] == word[at]:
            at, place = at + 1, place + 1
        elif star >= 0:
            # The last star takes one letter more; earlier ones never need another try.
            marked += 1
            at, place = marked, star + 1
        else:
            return False
    return all(sign == "*" for sign in pattern[place:])


def fold(text: str) -> str:
    """``text`` without case, accents and invisible characters."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain if unicodedata.category(char) not in ("Mn", "Cf"))


def digest_words(text: str) -> str:
    """The folded words of a text in order, for comparing texts whatever stands between their words."""
    return " ".join(token.word for token in tokens(text))


def marked(text: str, spans: Iterable[Span]) -> list[tuple[str, bool]]:
    """``text`` in pieces, each with whether it lies in one of ``spans``."""
    pieces: list[tuple[str, bool]] = []
    end = 0
    for start, stop in sorted(spans):
        start = max(start, end)
        if start >= stop:
            continue
        pieces += [(text[end:start], False), (text[start:stop], True)]
        end = stop
    return [piece for piece in [*pieces, (text[end:], False)] if piece[0]]


def _starless(word: str) -> str:
    """Several stars in a row are one."""
    return re.sub(r"\*+", "*", word)
