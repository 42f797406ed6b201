"""One's own saved searches: what is published and fits is told, once an hour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path, Query, Router
from pydantic import Field

from api import pagination
from api.conditional import etag, etag_response, require_match
from api.pagination import Page, PageQuery
from api.problems import responses
from api.rendering import dumps
from api.search import SearchFilters, params_of, query_of
from api.types import Id, In, Out, Text
from backend.core.errors import Invalid, NotFound, Stale
from backend.search import saved
from backend.search.models import SavedSearch
from backend.search.query import CheckInPast
from backend.search.saved import NAME_LONGEST, Changes

router = Router(tags=["Search"])

Name = Annotated[str, Text(NAME_LONGEST, min=1), Field(examples=["Lisbon with a pool"])]
EXAMPLE = {"location": "Lisbon", "amenities": "pool", "guests": 2}


class SavedQuery(SearchFilters, In):
    """The parameters of `GET /api/properties/`, without a page."""


class SavedSearchIn(In):
    """A search to be kept."""

    name: Name
    query: SavedQuery = Field(examples=[EXAMPLE])
    notify: bool = Field(default=True, description="Tell of places that are published and fit.")


class SavedSearchPatch(In):
    """What should change of a saved search. A query takes the place of the former one as a whole."""

    name: Name | None = Field(default=None, examples=["Lisbon with a pool"])
    query: SavedQuery | None = Field(default=None, examples=[EXAMPLE])
    notify: bool | None = None


class SavedSearchOut(Out):
    """A search of the caller's. One whose dates are over is `closed`: nothing is looked for any more."""

    id: Id
    name: str = Field(examples=["Lisbon with a pool"])
    query: dict[str, Any] = Field(examples=[EXAMPLE])
    search_url: str = Field(
        description="What it finds now.",
        examples=["http://127.0.0.1:8000/api/properties/?location=Lisbon&guests=2&amenities=pool"],
    )
    notify: bool
    status: Literal["active", "closed"]
    created_at: datetime
    updated_at: datetime


@router.get("/saved-searches/", response=responses(Page[SavedSearchOut]), summary="My saved searches")
def list_searches(request: HttpRequest, params: Query[PageQuery]) -> dict[str, Any]:
    """The newest first."""
    mine = SavedSearch.objects.filter(user=request.auth)  # type: ignore[attr-defined]
    return pagination.page(request, mine, params, _payload)


@router.post(
    "/saved-searches/",
    response=responses(SavedSearchOut, CheckInPast, saved.TooManySavedSearches, status=201),
    summary="Save a search",
)
def save(request: HttpRequest, body: SavedSearchIn) -> HttpResponse:
    """Places that are first published from now on and fit are told of as `search.matched`, once each.

    At most 50 a user. A search with dates is closed when they are over.
    """
    with _named_as_sent():
        made = saved.save(
            user=request.auth,  # type: ignore[attr-defined]
            name=body.name,
            query=query_of(body.query),
            notify=body.notify,
            now=timezone.now(),
        )
    response = _answer(made, status=201)
    response["Location"] = request.build_absolute_uri(f"/api/saved-searches/{made.pk}/")
    return response


@router.get(
    "/saved-searches/{int:search_id}/",
    response=responses(SavedSearchOut, NotFound),
    summary="A saved search of mine",
)
def read(request: HttpRequest, search_id: Path[Id]) -> HttpResponse:
    """What it asks, and whether it still looks."""
    payload = _payload(saved.of(request.auth, search_id))  # type: ignore[attr-defined]
    return etag_response(request, etag(payload), payload)


@router.patch(
    "/saved-searches/{int:search_id}/",
    response=responses(SavedSearchOut, NotFound, CheckInPast, Stale),
    summary="Change a saved search",
)
def change(request: HttpRequest, search_id: Path[Id], body: SavedSearchPatch) -> HttpResponse:
    """Another query begins anew, also one that was closed: what is published already is not told of."""
    with _named_as_sent():
        changed = saved.change(
            user=request.auth,  # type: ignore[attr-defined]
            search_id=search_id,
            changes=Changes(
                name=body.name,
                query=None if body.query is None else query_of(body.query),
                notify=body.notify,
            ),
            now=timezone.now(),
            unchanged=_as_seen(request),
        )
    return _answer(changed)


@router.delete(
    "/saved-searches/{int:search_id}/",
    response=responses(None, NotFound, Stale, status=204),
    summary="Forget a saved search",
)
def remove(request: HttpRequest, search_id: Path[Id]) -> HttpResponse:
    """Nothing is told of it any more."""
    saved.remove(
        user=request.auth,  # type: ignore[attr-defined]
        search_id=search_id,
        unchanged=_as_seen(request),
    )
    return HttpResponse(status=204)


@contextmanager
def _named_as_sent() -> Iterator[None]:
    """Name refused parameters by where they stand in the body."""
    try:
        yield
    except Invalid as error:
        error.errors = tuple(
            each if each.field == "name" else replace(each, field=f"query.{each.field}")
            for each in error.errors
        )
        raise


def _as_seen(request: HttpRequest) -> saved.Unchanged:
    return lambda search: require_match(request, etag(_payload(search)))


def _answer(search: SavedSearch, *, status: int = 200) -> HttpResponse:
    payload = _payload(search)
    response = HttpResponse(dumps(payload), status=status, content_type="application/json; charset=utf-8")
    response["ETag"] = etag(payload)
    return response


def _payload(search: SavedSearch) -> dict[str, Any]:
    query = params_of(saved.unpacked(search.query))
    words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    address = f"{settings.PUBLIC_URL}/api/properties/"
    return {
        "id": search.pk,
        "name": search.name,
        "query": query,
        "search_url": f"{address}?{urlencode(words)}" if words else address,
        "notify": search.notify,
        "status": "active" if search.closed_at is None else "closed",
        "created_at": search.created_at,
        "updated_at": search.updated_at,
    }
