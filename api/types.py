"""The types of the wire: base schemas that refuse what is not declared, and the fields that recur.

Bodies derive from ``In``, query strings from ``Params``, answers from ``Out``. Bodies take JSON's own types
only: ``"5"``, ``5.0`` and ``true`` are no integers there.
"""

from __future__ import annotations

import enum
import math
import re
import types
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MAX_ID = 2**63 - 1
FIRST_DATE = date(2000, 1, 1)
DAYS_AHEAD = 3653
"""Dates on the wire lie between ``FIRST_DATE`` and ten years from today."""

DATE = re.compile(r"\d{4}-\d\d-\d\d")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")
CLOCK = re.compile(r"\d\d:\d\d(:\d\d)?")
_PATTERNS: tuple[tuple[type, re.Pattern[str]], ...] = ((datetime, INSTANT), (date, DATE), (time, CLOCK))


class _Wrong:
    """Stands in for a value of the wrong JSON type, so that the field's own type refuses it at its place."""


WRONG = _Wrong()


def in_window(value: date) -> date:
    """The date itself. Raises: PydanticCustomError ``date_out_of_range`` outside of the window of the wire."""
    if not FIRST_DATE <= value <= datetime.now(UTC).date() + timedelta(days=DAYS_AHEAD):
        raise PydanticCustomError("date_out_of_range", "The date is too far away.")
    return value


DateIn = Annotated[date, AfterValidator(in_window), WithJsonSchema({"type": "string", "format": "date"})]
"""A date within the window of the wire."""

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
"""An object's id."""

MoneyAmount = Annotated[
    Decimal,
    Field(ge=0, le=10**12, max_digits=20),
    WithJsonSchema({"type": "number", "minimum": 0, "examples": [75.5]}),
]
"""An amount in major units as it comes in; how many decimals it may have is decided beside its currency."""

MoneyOut = int | float
"""An amount in major units as it goes out: ``Money.number()``."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string field: ``Annotated[str, Text(100)]``. NFC, without control characters, stripped, ``min`` to ``max`` long.

    ``lines`` allows line breaks and tabs.
    """

    max: int
    min: int = 0
    lines: bool = False

    def clean(self, value: str) -> str:
        """The text as it is kept. Raises: PydanticCustomError ``invalid_text``, ``too_long``, ``too_short``."""
        text = unicodedata.normalize("NFC", value.replace("\r\n", "\n").replace("\r", "\n")).strip()
        allowed = "\n\t" if self.lines else ""
        if any(unicodedata.category(char) in ("Cc", "Cs") and char not in allowed for char in text):
            raise PydanticCustomError("invalid_text", "The text holds characters that are not allowed.")
        if len(text) > self.max:
            raise PydanticCustomError("too_long", "At most {max} characters.", {"max": self.max})
        if len(text) < self.min:
            if self.min == 1:
                raise PydanticCustomError("blank", "This must not be empty.")
            raise PydanticCustomError("too_short", "At least {min} characters.", {"min": self.min})
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.clean, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        described = handler(schema)
        described.update({"maxLength": self.max, **({"minLength": self.min} if self.min else {})})
        return described


class Out(BaseModel):
    """Base of answers. ``…_at`` fields are instants in UTC; amounts are ``MoneyOut`` beside a ``currency``."""

    model_config = ConfigDict(from_attributes=True)


class _Checked(BaseModel):
    """What bodies and query strings have in common: nothing undeclared, nothing without bounds."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for name, value in self.__dict__.items():
            if isinstance(value, bool):
                continue
            if isinstance(value, int) and abs(value) > MAX_ID:
                raise PydanticCustomError("too_large", "The number is too large.", {"field": name})
            if isinstance(value, date) and not isinstance(value, datetime):
                try:
                    in_window(value)
                except PydanticCustomError as error:
                    raise PydanticCustomError(error.type, error.message_template, {"field": name}) from None
        return self


class In(_Checked):
    """Base of request bodies."""

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        fields = {}
        for name, spec in cls.model_fields.items():
            fields[name] = spec.annotation
            if spec.alias:
                fields[spec.alias] = spec.annotation
        return {key: _checked(value, fields[key]) if key in fields else value for key, value in data.items()}


class Params(_Checked):
    """Base of query strings: ``params: Query[SomeParams]``."""

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        dated = _dated_fields(cls)
        return {key: _dated(value, dated[key]) if key in dated else value for key, value in data.items()}


@cache
def _dated_fields(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of a model that may hold a date, an instant or a time, with their annotations."""
    kinds = {kind for kind, _pattern in _PATTERNS}
    return {
        name: spec.annotation
        for name, spec in model.model_fields.items()
        if kinds.intersection(leaf for leaf in _leaves(spec.annotation) if isinstance(leaf, type))
    }


def _leaves(annotation: Any) -> list[Any]:
    """The alternatives of an annotation without ``Annotated``: ``int | None`` → int, NoneType."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _leaves(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [leaf for part in get_args(annotation) for leaf in _leaves(part)]
    return [annotation]


def _dated(value: Any, annotation: Any) -> Any:
    """``value``, or ``WRONG`` where it should be a date or instant and is not in RFC 3339's form."""
    if not isinstance(value, str):
        return value
    leaves = [leaf for leaf in _leaves(annotation) if isinstance(leaf, type)]
    for kind, pattern in _PATTERNS:
        if kind in leaves and not pattern.fullmatch(value):
            return WRONG
    return value


def _checked(value: Any, annotation: Any) -> Any:
    """``value`` as JSON sent it, with ``WRONG`` wherever it has not the JSON type that ``annotation`` asks for."""
    if value is None:
        return value
    leaves = _leaves(annotation)
    if not any(_fits(value, leaf) for leaf in leaves):
        return WRONG
    if isinstance(value, list):
        items = [
            get_args(leaf)[0] for leaf in leaves if get_origin(leaf) in (list, set, tuple) and get_args(leaf)
        ]
        return [_checked(item, items[0]) for item in value] if items else value
    if isinstance(value, dict):
        maps = [get_args(leaf)[1] for leaf in leaves if get_origin(leaf) is dict]
        return {key: _checked(item, maps[0]) for key, item in value.items()} if maps else value
    return _dated(value, annotation)


def _fits(value: Any, leaf: Any) -> bool:
    """Whether a JSON value may become the type ``leaf``."""
    origin = get_origin(leaf)
    if leaf is Any or isinstance(leaf, str) or type(leaf).__name__ == "TypeVar":
        return True
    if origin is Literal:
        return True
    kind = origin or leaf
    if not isinstance(kind, type):
        return True
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, str):
        return issubclass(kind, (str, date, time, uuid.UUID, enum.Enum)) or kind is bytes
    if isinstance(value, int):
        return kind in (int, float, Decimal) or issubclass(kind, enum.IntEnum)
    if isinstance(value, (Decimal, float)):
        return kind in (float, Decimal)
    if isinstance(value, list):
        return kind in (list, set, tuple, frozenset)
    if isinstance(value, dict):
        return kind is dict or issubclass(kind, BaseModel)
    return True


def finite(value: Any) -> bool:
    """Whether a bare query or path value stays within what every layer below can hold."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) <= MAX_ID
    return not isinstance(value, float) or math.isfinite(value)
