"""What pydantic says about bad input, in our own words: stable codes and translated sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic_core._pydantic_core import list_all_errors

from backend.core.errors import DomainError, FieldError, Invalid, NotFound, Text

MOST = 50
"""How many refused fields are named at most."""

CODES: dict[str, str] = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "int_type": "invalid_integer",
    "int_parsing": "invalid_integer",
    "int_parsing_size": "too_large",
    "int_from_float": "invalid_integer",
    "float_type": "invalid_number",
    "float_parsing": "invalid_number",
    "decimal_type": "invalid_number",
    "decimal_parsing": "invalid_number",
    "finite_number": "invalid_number",
    "decimal_max_digits": "too_precise",
    "decimal_max_places": "too_precise",
    "decimal_whole_digits": "too_large",
    "bool_type": "invalid_boolean",
    "bool_parsing": "invalid_boolean",
    "string_type": "invalid_text",
    "string_unicode": "invalid_text",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "string_pattern_mismatch": "invalid_text",
    "date_type": "invalid_date",
    "date_parsing": "invalid_date",
    "date_from_datetime_parsing": "invalid_date",
    "date_from_datetime_inexact": "invalid_date",
    "datetime_type": "invalid_instant",
    "datetime_parsing": "invalid_instant",
    "datetime_from_date_parsing": "invalid_instant",
    "timezone_aware": "invalid_instant",
    "time_type": "invalid_time",
    "time_parsing": "invalid_time",
    "uuid_type": "invalid_id",
    "uuid_parsing": "invalid_id",
    "uuid_version": "invalid_id",
    "list_type": "invalid_list",
    "set_type": "invalid_list",
    "tuple_type": "invalid_list",
    "too_long": "too_many",
    "too_short": "too_few",
    "dict_type": "invalid_object",
    "model_type": "invalid_object",
    "model_attributes_type": "invalid_object",
    "literal_error": "unknown_value",
    "enum": "unknown_value",
    "greater_than": "too_small",
    "greater_than_equal": "too_small",
    "less_than": "too_large",
    "less_than_equal": "too_large",
}

MESSAGES: dict[str, Text] = {
    "required": gettext_lazy("This is required."),
    "unknown_field": gettext_lazy("There is no such field."),
    "invalid_integer": gettext_lazy("A whole number is needed."),
    "invalid_number": gettext_lazy("A number is needed."),
    "invalid_boolean": gettext_lazy("true or false is needed."),
    "invalid_text": gettext_lazy("A text without control characters is needed."),
    "invalid_date": gettext_lazy("A date is needed, as 2027-01-31."),
    "invalid_instant": gettext_lazy("A point in time is needed, as 2027-01-31T12:00:00Z."),
    "invalid_time": gettext_lazy("A time of day is needed, as 15:00."),
    "invalid_id": gettext_lazy("An identifier is needed."),
    "invalid_list": gettext_lazy("A list is needed."),
    "invalid_object": gettext_lazy("An object is needed."),
    "unknown_value": gettext_lazy("This is none of the possible values."),
    "too_precise": gettext_lazy("The number has too many decimals."),
    "blank": gettext_lazy("This must not be empty."),
    "date_out_of_range": gettext_lazy("The date is too far away."),
    "too_long": gettext_lazy("The text is too long."),
    "too_short": gettext_lazy("The text is too short."),
    "too_many": gettext_lazy("There are too many."),
    "too_few": gettext_lazy("There are too few."),
    "too_small": gettext_lazy("The number is too small."),
    "too_large": gettext_lazy("The number is too large."),
    "invalid": gettext_lazy("This is not valid."),
}

_BOUNDS = {
    "gt": gettext_lazy("More than %(bound)s is needed."),
    "ge": gettext_lazy("At least %(bound)s is needed."),
    "lt": gettext_lazy("Less than %(bound)s is needed."),
    "le": gettext_lazy("At most %(bound)s is possible."),
    "max_length": gettext_lazy("At most %(bound)s are possible."),
    "min_length": gettext_lazy("At least %(bound)s are needed."),
    "max": gettext_lazy("At most %(bound)s characters are possible."),
    "min": gettext_lazy("At least %(bound)s characters are needed."),
}

_OF_PYDANTIC = {entry["type"] for entry in list_all_errors()}


def as_error(errors: Sequence[dict[str, Any]]) -> DomainError:
    """The refusal of a request whose fields do not validate; a bad value in the path is just not there (404)."""
    if any(error["loc"][:1] == ("path",) for error in errors):
        return NotFound()
    found: list[FieldError] = []
    for error in errors[:MOST]:
        one = _field_error(error)
        if (one.field, one.code) not in {(other.field, other.code) for other in found}:
            found.append(one)
    detail = found[0].message if len(found) == 1 else Invalid.title
    return Invalid(detail, errors=found)


def _field_error(error: dict[str, Any]) -> FieldError:
    kind, context = error["type"], error.get("ctx") or {}
    # A custom error may be named like one of pydantic's own (too_long): only pydantic's come with its context.
    custom = kind not in _OF_PYDANTIC or "max" in context or "min" in context or "field" in context
    code = kind if custom else CODES.get(kind, "invalid")
    return FieldError(_field(error["loc"], context), code, _message(code, error, context))


def _field(loc: tuple[str | int, ...], context: dict[str, Any]) -> str:
    """The dotted name on the wire: without the part of the request, and without the body's parameter."""
    path = list(loc[2:] if loc[:1] == ("body",) else loc[1:])
    if "field" in context:
        path.append(context["field"])
    return ".".join(str(part) for part in path)


def _message(code: str, error: dict[str, Any], context: dict[str, Any]) -> Text:
    for name, template in _BOUNDS.items():
        if name in context and code != "invalid":
            return str(template) % {"bound": context[name]}
    if code in MESSAGES:
        return MESSAGES[code]
    if error["type"] not in _OF_PYDANTIC:
        return _(str(error["msg"]))
    return MESSAGES["invalid"]
