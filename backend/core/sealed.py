"""Model fields whose values are plain in Python and sealed in the table; see ``crypto``.

An empty value stays empty, so that rows without one can be found, and cost nothing. Apart from that the database cannot
look into a sealed column: it is looked up by ``exact`` and ``in``, where the field has a blind index, and by ``isnull``;
all else is refused. The index stands in the sealed text itself, so that no way of writing can forget it;
``blind_index`` puts it into a database index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import EmptyResultSet, FieldError
from django.db import models
from django.db.models import Index
from django.db.models.lookups import IsNull, Lookup

from backend.core import crypto

_SEPARATORS = re.compile(r"[\s().\-/]+")

NORMALISED: dict[str, Callable[[str], str]] = {
    "phone": lambda value: _SEPARATORS.sub("", value),
    "share_token": lambda value: value,
}
"""Kind of a blind index → what of a value it stands for. The kind is part of the index: equal texts of two kinds
have nothing in common."""


def index_of(kind: str, value: str) -> str:
    """What ``crypto`` makes a blind index of."""
    return f"{kind}:{NORMALISED[kind](value)}"


class SealedTextField(models.TextField):
    """A text. ``index`` names the kind of its blind index; without one it is looked up by nobody.

    ``max_length`` is for forms; the column holds what the sealed text needs.
    """

    def __init__(self, *args: Any, index: str = "", **kwargs: Any) -> None:
        if index and index not in NORMALISED:
            raise ValueError(f"there is no blind index of the kind {index!r}")
        self.index = index
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        if self.index:
            kwargs["index"] = self.index
        return name, path, args, kwargs

    def db_check(self, connection: Any) -> str:
        """PostgreSQL refuses what is not sealed, whatever way it comes."""
        column = connection.ops.quote_name(self.column)
        return f"{column} = '' OR starts_with({column}, 'sealed:v')"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        """Raises: crypto.NotSealed for what lies under a key that we do not have."""
        return self.opened(value) if value else value

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return super().get_db_prep_save(value, connection)
        return self.closed(self.to_python(value))

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name == "isnull":
            return IsNull
        if lookup_name in _LOOKUPS:
            return _LOOKUPS[lookup_name]
        raise FieldError(f"{self.name} is sealed: it is not looked up by {lookup_name}")

    def get_transform(self, lookup_name: str) -> Any:
        raise FieldError(f"{self.name} is sealed: nothing is made of it by {lookup_name}")

    def closed(self, value: Any) -> str:
        """``value`` as it stands in the table."""
        text = self.text_of(value)
        if not text:
            return ""
        return crypto.seal(text, index=index_of(self.index, text) if self.index else "")

    def opened(self, stored: str) -> Any:
        """The value that is sealed in ``stored``. Raises: crypto.NotSealed."""
        return self.value_of(crypto.unseal(stored))

    def text_of(self, value: Any) -> str:
        """``value`` as a text, "" for an empty one."""
        return str(value)

    def value_of(self, text: str) -> Any:
        """The value of a text that is not empty."""
        return text


class SealedJSONField(SealedTextField):
    """A JSON value. An empty list or object is not sealed, and is what an empty column is read as (``default``)."""

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not callable(self.default):
            raise TypeError("a sealed JSON field needs a callable as its default: what an empty one is")

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return self.opened(value) if value else self.get_default()

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> Any:
        return value

    def text_of(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else ""

    def value_of(self, text: str) -> Any:
        return json.loads(text)

    def formfield(self, **kwargs: Any) -> Any:
        """Changed by operations, not by forms."""
        return None


class _SealedExact(Lookup):
    """A look-up by blind index: the column's is among those that the values have under our keys."""

    lookup_name = "exact"
    prepare_rhs = False

    def values(self) -> list[Any]:
        return [self.rhs]

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        field: SealedTextField = self.lhs.output_field
        column, params = compiler.compile(self.lhs)
        values = self.values()
        if any(hasattr(value, "resolve_expression") for value in values):
            raise FieldError(f"{field.name} is sealed: it is compared with values, not with columns")
        texts = {field.text_of(value) for value in values}
        if not texts:
            raise EmptyResultSet
        conditions: list[str] = []
        found: list[Any] = []
        if "" in texts:
            conditions.append(f"{column} = ''")
            found += params
        if sought := sorted(texts - {""}):
            if not field.index:
                raise FieldError(f"{field.name} is sealed and has no blind index to be looked up by")
            blind = [each for text in sought for each in crypto.indexes(index_of(field.index, text))]
            conditions.append(f"{_BLIND % column} = ANY(%s)")
            found += [*params, blind]
        return f"({' OR '.join(conditions)})", found


class _SealedIn(_SealedExact):
    lookup_name = "in"

    def values(self) -> list[Any]:
        return list(self.rhs)


_LOOKUPS: dict[str, type[_SealedExact]] = {"exact": _SealedExact, "in": _SealedIn}

_BLIND = "split_part(%s, ':', 4)"


class Blind(models.Func):
    """The blind index that stands in a sealed column; "" in an empty one."""

    template = _BLIND % "%(expressions)s"
    output_field = models.CharField()


def blind_index(field: str, *, name: str) -> Index:
    """A database index by which a sealed field is looked up."""
    return Index(Blind(models.F(field)), name=name)


def fields() -> Iterator[SealedTextField]:
    """Every sealed field of every table."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.concrete_fields:
            if isinstance(field, SealedTextField) and field.model is model:
                yield field
