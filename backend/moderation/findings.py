"""What can be found in a listing by itself, each with why: words, contact data, its price, copies, its host.

Every finding has a print of what exactly was found. The same is found once; when somebody has found that there is
nothing in it, it is not found again until the words around it, the price or the other listings are others.

What ``Finding.found`` holds, by kind: ``words`` and ``contact_data``: ``rule`` and ``places`` (field, word, what stands
around it); ``price``: the numbers of ``market.Market``; copies: ``listings`` (their ids) and how many ``photos``;
``new_host``: how many ``listings`` in how many ``days``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from backend.core import platform
from backend.identity import budgets
from backend.listings.models import Listing, ListingText, Photo
from backend.listings.states import ListingStatus
from backend.messaging import contact_data, masking
from backend.moderation import market, wording
from backend.moderation.models import Flag, ListingPrint, PhotoPrint, TextRule

FIELDS = ("title", "description", "house_rules")
AROUND = 5
"""Words on each side of a found one that make it the same finding."""

MOST = 20
"""Places of one kind that are kept and shown; copies likewise."""

_OFFERED = (ListingStatus.PUBLISHED, ListingStatus.PENDING_REVIEW, ListingStatus.PAUSED)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found. ``print`` is a digest of what exactly."""

    kind: str
    severity: str
    print: str
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Words:
    """A text of a listing: of which field, in which language."""

    field: str
    language: str
    text: str


def of(listing: Listing, *, now: datetime) -> list[Finding]:
    """Everything that is found in ``listing`` (with its host). Its prints must have been taken; reads, writes nothing."""
    texts = texts_of(listing)
    return [
        *_words(texts),
        *_contact_data(texts),
        *_price(listing),
        *_copies(listing),
        *_new_host(listing, now),
    ]


def texts_of(listing: Listing) -> list[Words]:
    """The words of a listing, in all the languages in which it has any."""
    own = [Words(name, listing.language, getattr(listing, name)) for name in FIELDS]
    others = [
        Words(name, text.language, getattr(text, name))
        for text in ListingText.objects.filter(listing=listing).order_by("language")
        for name in FIELDS
    ]
    return [words for words in [*own, *others] if words.text]


def rule_spans(text: str, rules: Sequence[tuple[TextRule, wording.Pattern]], language: str) -> Any:
    """Rule → where it is found in a text of ``language``."""
    words = wording.tokens(text)
    here = [(rule, pattern) for rule, pattern in rules if rule.language in ("", language)]
    return {rule: found for rule, pattern in here if (found := wording.find(pattern, words))}


def active_rules() -> list[tuple[TextRule, wording.Pattern]]:
    """The rules that are on, read."""
    rules = TextRule.objects.filter(is_active=True).order_by("pk")
    return [(rule, pattern) for rule in rules if (pattern := wording.parse(rule.pattern)) is not None]


def contact_spans(text: str) -> list[wording.Span]:
    """Where contact data stand in a text; our own addresses are none."""
    return contact_data.spans(text, own_hosts=masking.own_hosts())


def _words(texts: Sequence[Words]) -> Iterator[Finding]:
    rules = active_rules()
    places: dict[TextRule, list[dict[str, str]]] = {}
    for words in texts:
        for rule, spans in rule_spans(words.text, rules, words.language).items():
            places.setdefault(rule, []).extend(_places(words, spans))
    for rule, found in places.items():
        yield _in_places(Flag.Kind.WORDS, rule.severity, rule.pattern, found)


def _contact_data(texts: Sequence[Words]) -> Iterator[Finding]:
    if not platform.get("flag_contact_data"):
        return
    found = [place for words in texts for place in _places(words, contact_spans(words.text))]
    if found:
        yield _in_places(Flag.Kind.CONTACT, "normal", "", found)


def _places(words: Words, spans: Sequence[wording.Span]) -> list[dict[str, str]]:
    tokens = wording.tokens(words.text)
    places = []
    for start, stop in spans:
        before = [token.word for token in tokens if token.span[1] <= start][-AROUND:]
        inside = [token.word for token in tokens if token.span[0] < stop and token.span[1] > start]
        after = [token.word for token in tokens if token.span[0] >= stop][:AROUND]
        places.append(
            {
                "field": words.field,
                "word": words.text[start:stop],
                "around": " ".join([*before, *inside, *after]),
            }
        )
    return places


def _in_places(kind: str, severity: str, rule: str, places: list[dict[str, str]]) -> Finding:
    exactly = sorted(f"{place['field']}:{place['around']}" for place in places)
    shown = [{"field": place["field"], "word": place["word"]} for place in places[:MOST]]
    return Finding(kind, severity, _print(rule, *exactly), {"rule": rule, "places": shown})


def _price(listing: Listing) -> Iterator[Finding]:
    found = market.of(listing.pk)
    if found is None or found.count < platform.get("flag_price_fewest"):
        return
    if abs(found.deviations) >= platform.get("flag_price_deviations"):
        numbers = {name: round(value, 2) for name, value in asdict(found).items()}
        exactly = _print(str(listing.price_minor), listing.currency)
        severity = "high" if found.deviations < 0 else "normal"
        yield Finding(Flag.Kind.PRICE, severity, exactly, numbers)


def _copies(listing: Listing) -> Iterator[Finding]:
    if not platform.get("flag_copies"):
        return
    yield from _same_photos(listing)
    own = ListingPrint.objects.filter(listing=listing).first()
    if own is None:
        return
    others = ListingPrint.objects.exclude(listing=listing).filter(listing__status__in=_OFFERED)
    if own.text:
        same = others.filter(text=own.text)
        yield from _copy(Flag.Kind.TEXT, listing, _hosts(same))
    if own.spot:
        # Houses have many flats: the point says something with the same rooms alone, and of another host's place.
        same = others.filter(
            spot=own.spot, listing__bedrooms=listing.bedrooms, listing__room_type=listing.room_type
        )
        yield from _copy(Flag.Kind.PLACE, listing, _hosts(same.exclude(listing__host=listing.host_id)))


def _hosts(rows: Any) -> dict[int, int]:
    """Listing → host."""
    return dict(rows.order_by("listing_id").values_list("listing_id", "listing__host_id")[:MOST])


def _same_photos(listing: Listing) -> Iterator[Finding]:
    mine = list(PhotoPrint.objects.filter(listing=listing))
    digests, looks = {each.digest for each in mine}, {each.look for each in mine if each.look}
    others = PhotoPrint.objects.exclude(listing=listing).filter(listing__status__in=_OFFERED)
    matching = others.filter(digest__in=digests) | others.filter(look__in=looks)
    found = _hosts(matching)
    if found:
        shared = Photo.objects.filter(pk__in=matching.order_by("pk").values("pk")[:200]).count()
        yield from _copy(Flag.Kind.PHOTOS, listing, found, photos=shared)


def _copy(kind: str, listing: Listing, others: dict[int, int], **more: Any) -> Iterator[Finding]:
    if not others:
        return
    foreign = any(host != listing.host_id for host in others.values())
    severity = "high" if foreign and kind != Flag.Kind.PLACE else "low"
    exactly = _print(*(str(pk) for pk in sorted(others)))
    yield Finding(kind, severity, exactly, {"listings": sorted(others), "foreign": foreign, **more})


def _new_host(listing: Listing, now: datetime) -> Iterator[Finding]:
    most = platform.get("flag_new_host_listings")
    host = listing.host
    if not most or not budgets.is_new(host, now=now):
        return
    offered = Listing.objects.filter(host=host, status__in=_OFFERED).order_by()[: most + 1].count()
    if offered > most:
        days = max((now - host.created_at) // timedelta(days=1), 0)
        exactly = _print(str(host.pk))
        yield Finding(Flag.Kind.NEW_HOST, "normal", exactly, {"listings": offered, "days": days})


def _print(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
