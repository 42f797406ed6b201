"""The API's own schemas as GraphQL types: one form of each thing, whatever door it is asked for at.

Names are those of the REST answers. Values come as the JSON that REST would have written, so the scalars only pass them on.
"""

from __future__ import annotations

import types
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

import strawberry
from pydantic import BaseModel
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition, scalar

NOTHING = type(None)

Long = NewType("Long", int)
Date = NewType("Date", str)
DateTime = NewType("DateTime", str)
Time = NewType("Time", str)
Json = NewType("Json", object)


def _as_it_is(value: Any) -> Any:
    return value


def _scalar(name: str, description: str) -> ScalarDefinition:
    return scalar(name=name, description=description, serialize=_as_it_is, parse_value=_as_it_is)


SCALARS: dict[object, ScalarDefinition] = {
    Long: _scalar("Long", "A whole number of up to 53 bits."),
    Date: _scalar("Date", "A date as YYYY-MM-DD."),
    DateTime: _scalar("DateTime", "An instant in UTC as RFC 3339 writes it."),
    Time: _scalar("Time", "An hour of the day as HH:MM or HH:MM:SS, on the clock of the place."),
    Json: _scalar("JSON", "A value without a form of its own."),
}

PLAIN: dict[Any, Any] = {
    str: str,
    bool: bool,
    int: Long,
    float: float,
    Decimal: float,
    date: Date,
    datetime: DateTime,
    time: Time,
}
CONFIG = StrawberryConfig(
    auto_camel_case=False,
    default_resolver=lambda root, name: root.get(name.removesuffix("_")),
    scalar_map=SCALARS,
)

LINKS = {"next": "next_cursor", "previous": "previous_cursor"}
"""Pages of REST carry addresses; here they carry the cursor that stands in them."""


def of(annotation: Any) -> Any:
    """The GraphQL type that shows a value of ``annotation``, which may be optional, a list, a schema or a plain type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return of(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _of_union(get_args(annotation))
    if origin is Literal:
        return str
    if origin is list:
        return list[of(get_args(annotation)[0])]  # type: ignore[misc]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return of_schema(annotation)
    return PLAIN.get(annotation, Json)


def _of_union(members: tuple[Any, ...]) -> Any:
    given = [of(member) for member in members if member is not NOTHING]
    if set(given) == {Long, float}:
        found: Any = float
    else:
        found = given[0] if len(set(map(str, given))) == 1 else Json
    return found | None if NOTHING in members and found is not Json else found


@cache
def of_schema(schema: type[BaseModel]) -> type[Any]:
    """The GraphQL type of an answer's schema; its fields have the names that they have on the wire."""
    fields: dict[str, Any] = {}
    for name, spec in schema.model_fields.items():
        wire = spec.alias or name
        annotation = of(spec.annotation)
        if wire in LINKS:
            wire, annotation = LINKS[wire], str | None
        if not spec.is_required() and spec.default is None and annotation is not Json:
            annotation = annotation | None
        fields[f"{wire}_"] = annotation
    name = schema.__name__.removesuffix("Out").replace("[", "Of").replace("]", "").replace("Out", "")
    # Some words of the wire are words of Python, too.
    attributes = {key: strawberry.field(name=key.removesuffix("_")) for key in fields}
    made = type(name, (), {"__annotations__": fields, **attributes})
    found: type[Any] = strawberry.type(made, name=name, description=(schema.__doc__ or "").partition("\n")[0])
    return found
