"""Find contact data and payment addresses in what people write. Pure.

Looked for are email addresses (also ``ana at gmail dot com``), telephone numbers (international and national, spaced,
dotted, one digit at a time, spelled out), links, names at messengers and payment services, IBANs, payment cards. What only
looks alike stays: dates, times, prices, years, bus lines, house and booking numbers. Who wants to be found finds a way;
this is for whoever has not thought of it, and for machines that write to everybody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise

PLACEHOLDER = "•••"
"""What stands in a text where contact data were; the same in every language."""

Span = tuple[int, int]

_DOT = r"\s*[\[({<]\s*(?:dot|punkt|punto|ponto|point|nukta|\.)\s*[\])}>]\s*"
_DOT_SAID = r"\s+(?:dot|punto|ponto|point|nukta)\s+"
_AT = r"(?:\s*[\[({<]\s*(?:at|@|arroba|arobase|chez)\s*[\])}>]\s*|\s+(?:at|arroba|arobase)\s+)"
_WORDLESS = "com|net|org|info|biz|io|app|dev|xyz|online|site|shop|eu|uk|de|fr|nl|ke|tz|ug|rw|ng|za|ch|ae|sg"
"""Endings of domains that are no words of a language that people write here without a space before them."""
_WORDS = "me|it|es|be|at|us|in|ru|pt|co|asia"

_NAME = r"(?<![\w.+%-])[\w.+%-]{1,64}"
EMAIL = re.compile(
    rf"{_NAME}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,4}}"
    rf"|{_NAME}\s?@\s?[\w-]{{1,63}}(?:(?:\.|\s\.\s|{_DOT}|{_DOT_SAID})[\w-]{{2,63}}){{0,2}}"
    rf"(?:\.|\s\.\s|{_DOT}|{_DOT_SAID})(?:{_WORDLESS}|{_WORDS})\b",
    re.I,
)
EMAIL_SAID = re.compile(
    rf"{_NAME}{_AT}[\w-]{{2,63}}(?:(?:{_DOT}(?:co|com|or|ac))?{_DOT}(?:{_WORDLESS}|{_WORDS})"
    rf"|(?:{_DOT_SAID}(?:co|com|or|ac))?{_DOT_SAID}(?:{_WORDLESS})"
    rf"|(?:\.\w{{2,20}}){{0,2}}\.(?:{_WORDLESS}))\b",
    re.I,
)
LINK = re.compile(r"\b(?:[a-z][a-z0-9+-]{1,10}://|www\d?\.)[^\s<>\"'()]+", re.I)
DOMAIN = re.compile(
    rf"(?<![\w@.])(?:[a-z0-9][a-z0-9-]{{0,62}}\.){{1,5}}(?:{_WORDLESS})\b(?!\.\w)(?::\d+)?(?:/[^\s<>\"']*)?",
    re.I,
)
# Any ending will do where a path follows: t.me/ana, wa.me/254…, bit.ly/x, paypal.me/ana.
DOMAIN_WITH_PATH = re.compile(
    r"(?<![\w@.])(?:[a-z0-9][a-z0-9-]{0,62}\.){1,5}[a-z]{2,10}/(?=[^\s/]*[a-z0-9])[^\s<>\"']+", re.I
)

_CALLS = r"(?:call|text|sms|tel|phone|mobile|cell|my\s+number|whats\s?app|whatapp|wa|telegram|viber|signal|wechat|contact|ring|reach|simu|piga|llama|llame|teléfono|móvil|appelez|téléphone|portable|nummer|اتصل|هاتف|واتساب)"
CALLED = re.compile(rf"\b{_CALLS}\b[^\d\n]{{0,25}}$", re.I)
COUNTED = re.compile(
    r"(?:[#№$€£¥]|\b(?:ref(?:erence)?|booking|confirmation|reservation|order|invoice|id|code|pin|flight|zip|postcode|plz|"
    r"usd|eur|gbp|kes|ksh|kshs|tzs|tsh|ugx|ngn|zar|sgd|inr|idr|rp|vnd|jpy|krw|clp|cop|rs|sh)\b)[\s.:#no°-]{0,8}$",
    re.I,
)
PRICED = re.compile(
    r"^\s?(?:[$€£¥]|(?:usd|eur|euros?|gbp|kes|ksh|tzs|ugx|ngn|zar|sgd|inr|idr|vnd|jpy|krw|clp|cop)\b)", re.I
)

FEWEST = 7
"""Digits of a telephone number."""

_SEP = r"[ .\-/\u2010-\u2015\u00a0]"
INTERNATIONAL = re.compile(rf"(?<![\w.+])(?:\+|00(?=[1-9]))\s?\(?\d(?:{_SEP}{{0,2}}\(?\d\)?){{6,14}}(?!\d)")
NATIONAL = re.compile(
    rf"(?<![\w.,:/+-])(?:"
    rf"\(?0\d{{1,4}}\)?(?:{_SEP}?\d{{2,8}}){{1,4}}"  # 0712 345 678, 06 12 34 56 78, (020) 7946 0958
    rf"|\(\d{{3}}\)\s?\d{{3}}[ .\-]\d{{4}}"  # (518) 555-0199
    rf"|\d{{3}}[.\-]\d{{3}}[.\-]\d{{4}}|[2-9]\d{{2}} \d{{3}} \d{{4}}"  # 518-555-0199
    rf"|[6-9]\d{{2}} \d{{3}} \d{{3}}"  # 612 345 678
    rf"|\d{{10,13}}"
    rf")(?![\w]|[.,:/-]\d)"
)
AMBIGUOUS = re.compile(
    rf"(?<![\w.,:/+-])(?:\d{{7,9}}|\d{{3,4}}{_SEP}\d{{3,4}}(?:{_SEP}\d{{2,4}})?|\d{{2,3}}(?:{_SEP}\d{{2}}){{3,4}})(?![\w]|[.,:/-]\d)"
)
ONE_BY_ONE = re.compile(r"(?<![\w.,])\d(?:(?:\s?[.\-_*/,|]\s?|\s{1,3})\d){8,14}(?!\w|[.,]\d)")
DATE = re.compile(
    r"(?<!\d)(?<!\d[./-])(?:\d{4}([./ -])\d{1,2}\1\d{1,2}|\d{1,2}([./ -])\d{1,2}\2(?:19|20)\d{2}|(?:19|20)\d{2}\s?[-–/]\s?(?:19|20)\d{2})"
    r"(?![./-]?\d)"
)

_DIGIT_WORDS = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple"
    "|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
    "|zéro|un|deux|trois|quatre|cinq|sept|huit|neuf"
    "|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve"
    "|sifuri|moja|mbili|tatu|nne|tano|sita|saba|nane|tisa"
    "|صفر|واحد|اثنان|ثلاثة|أربعة|خمسة|ستة|سبعة|ثمانية|تسعة"
)
SPELLED = re.compile(rf"\b(?:{_DIGIT_WORDS}|\d)(?:[\s,.\-]+(?:{_DIGIT_WORDS}|\d)){{6,19}}\b", re.I)

IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.I)
CARD = re.compile(r"(?<![\w.,-])\d{4}(?:[ -]?\d{4}){2}[ -]?\d{3,4}(?![\w-])")
TILL = re.compile(
    r"\b(?:pay\s?bill|till|buy\s+goods|lipa\s+na\s+m-?pesa|m-?pesa)\b(?:\s*(?:no|number|nr|nambari|namba|is|ni|[:#.=-]))*\s*(\d{5,7})\b",
    re.I,
)
WALLET = re.compile(r"\b(?:0x[0-9a-f]{40}|bc1[a-z0-9]{25,60})\b", re.I)
CASHTAG = re.compile(r"\b(?:cash\s?app|cash\s?tag|venmo)\b\W{0,4}(?:is\s+|tag\s+)?([$@][\w.-]{2,30})", re.I)
_SERVICES = (
    "instagram|insta|ig|telegram|snapchat|snap|tik\\s?tok|twitter|facebook|fb|we\\s?chat|line|skype|whats\\s?app"
    "|signal|viber|zalo|kakao(?:talk)?|messenger|paypal|revolut|wise"
)
HANDLE = re.compile(
    rf"\b(?:{_SERVICES})\b(?:\s+(?:id|name|user(?:name)?|handle|account|nick))?\s*(?:is|:|=|-|→|>)?\s*(@[\w.]{{3,30}})"
    rf"|\b(?:{_SERVICES})\s+(?:id|user(?:name)?|handle|nick)\s*(?:is|:|=)?\s*([\w.-]{{4,30}})"
    rf"|\b(?:{_SERVICES})\s*[:=]\s*([\w.-]{{3,30}})",
    re.I,
)


WIDE = {"＠": "@", "．": ".", "＋": "+"}
UNUSUAL = re.compile(r"[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff＠．＋]|(?![0-9])\d")
"""What is invisible, or a digit or a sign of an address that is not ASCII."""


def spans(text: str, *, own_hosts: Collection[str] = ()) -> list[Span]:
    """Where contact data stand in ``text``, in order and apart from each other; links to ``own_hosts`` are none."""
    plain, places = _plain(text)
    links = _links(plain)
    own = [link for link in links if _is_own(plain[slice(*link)], own_hosts)]
    found = [*_named(plain), *(link for link in links if link not in own)]
    # Numbers of bookings stand in our own links; nobody's telephone does.
    found += [span for span in _numbers(plain) if not any(_within(span, link) for link in own)]
    return [(places[start], places[stop - 1] + 1) for start, stop in _joined(found)]


def _plain(text: str) -> tuple[str, Sequence[int]]:
    """``text`` without invisible characters and with ASCII digits, and where each of its characters stood."""
    if text.isascii() or not UNUSUAL.search(text):
        return text, range(len(text))
    kept, places = [], []
    for place, char in enumerate(text):
        if unicodedata.category(char) == "Cf":
            continue
        digit = unicodedata.decimal(char, None)
        kept.append(str(digit) if digit is not None else WIDE.get(char, char))
        places.append(place)
    return "".join(kept), places


def _links(text: str) -> list[Span]:
    return [
        _trimmed(text, match.span())
        for pattern in (LINK, DOMAIN, DOMAIN_WITH_PATH)
        for match in pattern.finditer(text)
    ]


def _trimmed(text: str, span: Span) -> Span:
    """Without the full stop of the sentence around it."""
    start, stop = span
    return start, start + len(text[start:stop].rstrip(".,;:!?…"))


def _is_own(link: str, own_hosts: Collection[str]) -> bool:
    rest = link.partition("://")[2] or link
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0].lower()
    if "@" in authority:
        return False
    host = authority.partition(":")[0]
    return any(host == own or host.endswith(f".{own}") for own in own_hosts if own)


def _named(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (_trimmed(text, match.span()) for match in EMAIL.finditer(text))
    for pattern in (EMAIL_SAID, WALLET):
        yield from (match.span() for match in pattern.finditer(text))
    for pattern in (TILL, CASHTAG, HANDLE):
        for match in pattern.finditer(text):
            group = next(number for number, value in enumerate(match.groups(), 1) if value)
            yield match.span(group)
    yield from (match.span() for match in IBAN.finditer(text) if _is_iban(match.group()))
    yield from (match.span() for match in CARD.finditer(text) if _is_card(match.group()))


def _numbers(text: str) -> Iterator[Span]:
    for match in SPELLED.finditer(text):
        # Digits among digits are for the others to judge.
        if len(re.findall(r"[^\W\d]+", match.group())) >= FEWEST // 2:
            yield match.span()
    if _digits(text) < FEWEST:
        return
    dates = [match.span() for match in DATE.finditer(text)]
    for match in INTERNATIONAL.finditer(text):
        if 8 <= _digits(match.group()) <= 15:
            yield match.span()
    for match in ONE_BY_ONE.finditer(text):
        if not _is_counting(match.group()):
            yield match.span()
    for pattern in (NATIONAL, AMBIGUOUS):
        for match in pattern.finditer(text):
            span = match.span()
            if any(_overlap(span, date) for date in dates):
                continue
            before, after = text[max(0, span[0] - 40) : span[0]], text[span[1] :]
            is_called = CALLED.search(before) is not None
            if pattern is AMBIGUOUS and not is_called:
                continue
            if is_called or (
                _is_telephone(match.group()) and not COUNTED.search(before) and not PRICED.match(after)
            ):
                yield span


def _is_telephone(number: str) -> bool:
    """Whether a number in a national form has as many digits as telephones have, and is no round sum."""
    return 9 <= _digits(number) <= 13 and not number.endswith("00000")


def _is_counting(digits: str) -> bool:
    """``1 2 3 4 5 6 7 8 9`` and the like."""
    numbers = [int(char) for char in digits if char.isdigit()]
    steps = {(after - before) % 10 for before, after in pairwise(numbers)}
    return len(steps) == 1


def _digits(text: str) -> int:
    return sum(char.isdigit() for char in text)


def _is_iban(text: str) -> bool:
    word = text.replace(" ", "").upper()
    if not 15 <= len(word) <= 34:
        return False
    turned = word[4:] + word[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _is_card(text: str) -> bool:
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [
        digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits[::-1])
    ]
    return sum(doubled) % 10 == 0


def _within(span: Span, other: Span) -> bool:
    return other[0] <= span[0] and span[1] <= other[1]


def _overlap(span: Span, other: Span) -> bool:
    return span[0] < other[1] and other[0] < span[1]


def _joined(found: Iterable[Span]) -> list[Span]:
    """Spans in order, those that overlap as one."""
    joined: list[Span] = []
    for start, stop in sorted(span for span in found if span[0] < span[1]):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined
