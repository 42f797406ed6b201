"""A small API on our ground, for tests of the ground itself; no resource of the product is in it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from ninja import File, Query, Router
from ninja.files import UploadedFile
from pydantic import Field

from api import throttling
from api.auth import optional_bearer
from api.conditional import etag_response, require_match
from api.ground import raw_body
from api.health import live
from api.idempotency import idempotent
from api.main import build
from api.pagination import Page, PageQuery, page, whole
from api.problems import responses
from api.types import DateIn, Id, In, MoneyAmount, Out, Params, Text
from backend.core.db import lock
from backend.core.errors import Conflict
from backend.core.models import Currency, PlatformSetting

router = Router(tags=["things"])


class Place(In):
    city: Annotated[str, Text(20, min=1)]
    number: int | None = None


class ThingIn(In):
    title: Annotated[str, Text(10, min=1)]
    story: Annotated[str, Text(100, lines=True)] = ""
    price: MoneyAmount | None = None
    count: Annotated[int, Field(ge=1, le=100)] = 1
    on: DateIn | None = None
    day: date | None = None
    ratio: float | None = None
    ready: bool = False
    kind: Literal["a", "b"] = "a"
    place: Place | None = None
    names: list[Annotated[str, Text(5)]] = []


class ThingOut(Out):
    title: str
    data: dict[str, Any] = {}


class Filters(Params):
    q: Annotated[str, Text(20)] = ""
    on: DateIn | None = None
    near: float | None = None


class Clash(Conflict):
    code = "clash"
    title = "They clash."


@router.post(
    "/things/", response=responses(ThingOut, Clash, status=201), summary="Make", auth=optional_bearer
)
def make(request: HttpRequest, payload: ThingIn) -> Any:
    """Answer what came in."""
    return {"title": payload.title, "data": payload.model_dump(mode="json", exclude={"title"})}


@router.get("/things/", response=Page[str], summary="List", auth=optional_bearer)
def listed(request: HttpRequest, params: Query[PageQuery]) -> Any:
    return page(request, PlatformSetting.objects.all(), params, lambda row: row.key, key="key")


@router.get("/versions/", response=Page[str], summary="List newest first", auth=optional_bearer)
def newest(request: HttpRequest, params: Query[PageQuery]) -> Any:
    return page(
        request, PlatformSetting.objects.all(), params, lambda row: row.key, key=("-changed_at", "key")
    )


@router.get("/whole/", response=Page[str], summary="All", auth=optional_bearer)
def everything(request: HttpRequest) -> Any:
    return whole(["a", "b"])


@router.get("/things/{int:id}/", response=ThingOut, summary="One", auth=optional_bearer)
def one(request: HttpRequest, id: Id) -> Any:
    return etag_response(request, (id, 1), {"title": str(id)})


@router.put("/things/{int:id}/", response=ThingOut, summary="Change", auth=optional_bearer)
def change(request: HttpRequest, id: Id, payload: ThingIn) -> Any:
    require_match(request, '"v1"')
    return {"title": payload.title}


@router.get("/named/{name}/", response=ThingOut, summary="By name", auth=optional_bearer)
def named(request: HttpRequest, name: str) -> Any:
    return {"title": name}


@router.get("/find/", response=ThingOut, summary="Find", auth=optional_bearer)
def find(request: HttpRequest, params: Query[Filters], bare: int = 0, day: date | None = None) -> Any:
    return {"title": params.q, "data": {"near": params.near, "bare": bare}}


@router.put("/photo/", response=ThingOut, summary="Upload", auth=optional_bearer)
def photo(request: HttpRequest, file: File[UploadedFile]) -> Any:
    return {"title": file.name, "data": {"size": file.size}}


@router.post("/mine/", response=responses(ThingOut, status=201), summary="Make once")
@idempotent
def mine(request: HttpRequest, payload: ThingIn) -> Any:
    PlatformSetting.objects.create(key=f"made-{PlatformSetting.objects.count()}")
    if payload.title == "clash":
        raise Clash
    if payload.title == "broken":
        raise RuntimeError("broken on purpose")
    return {"title": payload.title, "data": {"made": PlatformSetting.objects.count()}}


@router.get("/private/", response=ThingOut, summary="Private")
def private(request: HttpRequest) -> Any:
    return {"title": request.auth.username}  # type: ignore[attr-defined]


@router.post("/empty/", response={204: None}, summary="Nothing", auth=optional_bearer)
def empty(request: HttpRequest) -> Any:
    return None


@router.post("/quote/", response=ThingOut, summary="Read by POST", auth=optional_bearer)
@throttling.counts_as_read
def quote(request: HttpRequest, payload: ThingIn) -> Any:
    return {"title": payload.title}


@router.post("/hook/", response={200: None}, summary="Foreign body", auth=None)
@raw_body
def hook(request: HttpRequest) -> Any:
    return HttpResponse(str(len(request.body)), content_type="text/plain")


@router.post("/defect/", response=ThingOut, summary="A defect", auth=None)
def defect(request: HttpRequest) -> Any:
    raise RuntimeError("secret detail")


@router.post("/overflow/", response=ThingOut, summary="A number that no column holds", auth=None)
def overflow(request: HttpRequest) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 2147483647::int + 1")
    return {"title": "never"}


@router.post("/lock/", response=ThingOut, summary="Waits for a row", auth=None)
def waits(request: HttpRequest) -> Any:
    from django.db import transaction

    with transaction.atomic():
        lock(Currency.objects.all(), code="EUR")
    return {"title": "locked"}


other = Router(tags=["things"])


@other.delete("/things/", response={204: None}, summary="Same path, another file", auth=optional_bearer)
def clear(request: HttpRequest) -> Any:
    return None


api = build(router, other, namespace="ground")

urlpatterns = [path("api/", api.urls), path("health/live", live)]

handler400 = "api.faults.bad_request"
handler403 = "api.faults.permission_denied"
handler404 = "api.faults.not_found"
handler500 = "api.faults.server_error"
