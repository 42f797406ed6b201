"""Lists: one envelope, pages by number for people and by cursor for everyone who goes deep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from pydantic import AfterValidator, Field

from api.rendering import dumps
from api.types import Out, Params
from backend.core.errors import Invalid

T = TypeVar("T")
M = TypeVar("M", bound=Model)

PAGE_SIZE = 20
MAX_PAGE = 1_000_000
COUNT_UP_TO = 10_000
"""Lists are counted exactly up to here; beyond, ``count`` is this number and ``count_is_exact`` false."""


class PageQuery(Params):
    """What every list takes. ``page`` for people; ``cursor`` comes from ``next`` and ``previous``."""

    page: Annotated[int, Field(ge=1, le=MAX_PAGE, description="The number of the page, from 1.")] = 1
    page_size: Annotated[
        int,
        Field(ge=1, description="At most 20; more is cut to 20."),
        AfterValidator(lambda size: min(size, PAGE_SIZE)),
    ] = PAGE_SIZE
    cursor: Annotated[
        str | None, Field(max_length=1000, description="A place in the list, from next or previous.")
    ] = None

    @property
    def size(self) -> int:
        """Rows on a page."""
        return self.page_size


class Page(Out, Generic[T]):
    """The envelope of every list."""

    count: int
    count_is_exact: bool
    next: str | None
    previous: str | None
    results: list[T]


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two rows: go on ``after`` or ``before`` the row with these key values (none: the end)."""

    direction: Literal["after", "before"]
    values: tuple[Any, ...]


def bad_cursor() -> Invalid:
    """The refusal of a cursor that this list has not given out."""
    return Invalid.field("cursor", "invalid_cursor", _("This is not a cursor of this list."))


def encode(cursor: Cursor, *, scope: str) -> str:
    """A cursor as the opaque, signed word of a URL. ``scope`` names the list and its order."""
    plain = [cursor.direction[0], *cursor.values]
    return signing.Signer(salt=f"cursor:{scope}").sign_object(_plain(plain))


def decode(word: str, *, scope: str) -> Cursor:
    """The cursor of a word that ``encode`` made for the same scope. Raises: Invalid."""
    try:
        direction, *values = signing.Signer(salt=f"cursor:{scope}").unsign_object(word)
    except (signing.BadSignature, ValueError):
        raise bad_cursor() from None
    return Cursor("after" if direction == "a" else "before", tuple(values))


def _plain(values: Sequence[Any]) -> list[Any]:
    import orjson

    plain: list[Any] = orjson.loads(dumps(list(values)))
    return plain


def link(request: HttpRequest, cursor: str | None) -> str | None:
    """The absolute URL of the same list at ``cursor``; the other parameters stay."""
    if cursor is None:
        return None
    parameters = [(key, value) for key, value in request.GET.items() if key not in ("page", "cursor")]
    return request.build_absolute_uri(f"{request.path}?{urlencode([*parameters, ('cursor', cursor)])}")


def envelope(
    request: HttpRequest,
    results: Sequence[Any],
    *,
    count: int,
    exact: bool = True,
    next_cursor: str | None = None,
    previous_cursor: str | None = None,
) -> dict[str, Any]:
    """A list's answer from parts that the caller has found itself."""
    return {
        "count": count,
        "count_is_exact": exact,
        "next": link(request, next_cursor),
        "previous": link(request, previous_cursor),
        "results": list(results),
    }


def whole(results: Sequence[Any]) -> dict[str, Any]:
    """A list that is given whole: reference data, the rows of a calendar."""
    return {
        "count": len(results),
        "count_is_exact": True,
        "next": None,
        "previous": None,
        "results": list(results),
    }


def page(
    request: HttpRequest,
    queryset: QuerySet[M],
    params: PageQuery,
    serialize: Callable[[M], Any],
    key: str | tuple[str, ...] = "-id",
) -> dict[str, Any]:
    """One page of ``queryset``, ordered by ``key``: fields that together are unique, ``-`` for descending.

    ``serialize`` makes one row's JSON. The query is one ``LIMIT``; the count another, bounded. A cursor takes the
    place of ``page``. Raises: Invalid for a cursor that is not of this list.
    """
    keys = (key,) if isinstance(key, str) else key
    scope = f"{request.path}:{','.join(keys)}"
    cursor = decode(params.cursor, scope=scope) if params.cursor else None
    counted = queryset.order_by()[: COUNT_UP_TO + 1].count()
    exact = counted <= COUNT_UP_TO
    rows, more_before, more_after = _rows(queryset, keys, params, cursor, counted if exact else None)
    after = Cursor("after", _values(rows[-1], keys)) if rows and more_after else None
    before = None
    if more_before:
        before = Cursor("before", _values(rows[0], keys) if rows else ())
    return envelope(
        request,
        [serialize(row) for row in rows],
        count=min(counted, COUNT_UP_TO),
        exact=exact,
        next_cursor=encode(after, scope=scope) if after else None,
        previous_cursor=encode(before, scope=scope) if before else None,
    )


def _rows(
    queryset: QuerySet[M], keys: tuple[str, ...], params: PageQuery, cursor: Cursor | None, count: int | None
) -> tuple[list[M], bool, bool]:
    """The rows of the page in the list's order, and whether there are more before and after them."""
    size = params.size
    if cursor is None:
        offset = (params.page - 1) * size
        if count is not None and offset >= count:
            return [], count > 0, False
        found = list(queryset.order_by(*keys)[offset : offset + size + 1])
        return found[:size], offset > 0, len(found) > size
    if cursor.direction == "after":
        found = list(queryset.filter(_beyond(queryset, keys, cursor.values)).order_by(*keys)[: size + 1])
        return found[:size], True, len(found) > size
    backwards = tuple(_reverse(each) for each in keys)
    selected = queryset.filter(_beyond(queryset, backwards, cursor.values)) if cursor.values else queryset
    found = list(selected.order_by(*backwards)[: size + 1])
    return found[:size][::-1], len(found) > size, bool(cursor.values)


def _reverse(key: str) -> str:
    return key[1:] if key.startswith("-") else f"-{key}"


def _values(row: Model, keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(row, key.lstrip("-")) for key in keys)


def _beyond(queryset: QuerySet[Any], keys: tuple[str, ...], values: tuple[Any, ...]) -> Q:
    """The rows that come after the one with ``values`` in the order of ``keys``. Raises: Invalid."""
    if len(values) != len(keys):
        raise bad_cursor()
    bound = [_typed(queryset, key, value) for key, value in zip(keys, values, strict=True)]
    condition = Q()
    for index, key in enumerate(keys):
        equal = {before.lstrip("-"): bound[place] for place, before in enumerate(keys[:index])}
        comparison = "lt" if key.startswith("-") else "gt"
        condition |= Q(**equal, **{f"{key.lstrip('-')}__{comparison}": bound[index]})
    # The plain bound on the first key is what an index range can use; the alternatives above only refine it.
    first = "lte" if keys[0].startswith("-") else "gte"
    return Q(**{f"{keys[0].lstrip('-')}__{first}": bound[0]}) & condition


def _typed(queryset: QuerySet[Any], key: str, value: Any) -> Any:
    if isinstance(value, str) and key.lstrip("-").endswith("_at"):
        return parse_datetime(value)
    return value
