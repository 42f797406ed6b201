"""Reading bodies and query strings: strict JSON, bounded everything."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _
from ninja.parser import Parser

from api.problems import MalformedBody, UnsupportedMediaType
from api.types import MAX_ID
from backend.core.errors import FieldError, Invalid

MAX_DEPTH = 32
MAX_NUMBER_LENGTH = 100
MAX_EXPONENT = 100
MAX_VIOLATIONS = 20


class StrictParser(Parser):
    """Ninja's parser with our idea of JSON: UTF-8, no duplicate keys, no NaN, exact decimals, bounded depth."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The body as JSON values, fractions as ``Decimal``.

        Raises: UnsupportedMediaType, MalformedBody; Invalid for NUL characters, lone surrogates and numbers beyond
        what a bigint holds, which are JSON but nothing that could be kept.
        """
        require_json(request)
        return read_json(request.body)

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        return super().parse_querydict(data, list_fields, request)


def require_json(request: HttpRequest) -> None:
    """Raises: UnsupportedMediaType for a body that is not declared as UTF-8 JSON, or is compressed."""
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    if request.content_type not in ("application/json", "") or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType


def read_json(body: bytes) -> Any:
    """Parse ``body``. Raises: MalformedBody, Invalid."""
    try:
        data = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_fraction,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedBody from error
    found: list[FieldError] = []
    _walk(data, "", 1, found)
    if found:
        raise Invalid(errors=found)
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


def _fraction(literal: str) -> Decimal:
    if len(literal) > MAX_NUMBER_LENGTH:
        raise ValueError("number too long")
    value = Decimal(literal)
    if value and abs(value.adjusted()) > MAX_EXPONENT:
        # Kept as a value that every bound refuses, without the digits that would have to be written out for it.
        return Decimal("Infinity") if value.adjusted() > 0 else Decimal((0, (1,), -MAX_EXPONENT))
    return value


def _integer(literal: str) -> int:
    if len(literal) > MAX_NUMBER_LENGTH:
        raise ValueError("number too long")
    return int(literal)


def _constant(literal: str) -> Any:
    raise ValueError(f"{literal} is not JSON")


def _walk(value: Any, path: str, depth: int, found: list[FieldError]) -> None:
    if depth > MAX_DEPTH:
        raise MalformedBody
    if len(found) >= MAX_VIOLATIONS:
        return
    if isinstance(value, dict):
        for key, member in value.items():
            if not storable(key):
                found.append(FieldError(path, "unknown_field", _("There is no such field.")))
                continue
            _walk(member, f"{path}.{key}" if path else key, depth + 1, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk(item, f"{path}.{index}" if path else str(index), depth + 1, found)
    elif isinstance(value, str):
        if not storable(value):
            found.append(FieldError(path, "invalid_text", _("A text without control characters is needed.")))
    elif isinstance(value, (int, Decimal)) and not -MAX_ID <= value <= MAX_ID:
        found.append(FieldError(path, "too_large", _("The number is too large.")))


def storable(text: str) -> bool:
    """Whether a string can be kept at all: no NUL, no lone surrogate."""
    return "\x00" not in text and (text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text))
