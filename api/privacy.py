"""One's own data: all of it to take along, and the end of the account."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import FileResponse, HttpRequest, HttpResponse
from django.utils import timezone, translation
from ninja import Query, Router
from pydantic import Field, create_model

from api import export_page, languages
from api.account_types import Password
from api.accounts import device_of, user_of
from api.problems import responses
from api.rendering import dumps
from api.types import In, Out, Params, Text
from backend.core.errors import NotFound, Throttled
from backend.identity import services as identity
from backend.privacy import erasure, export
from backend.privacy.obstacles import ErasureRefused
from backend.privacy.reading import Row, Section
from backend.privacy.sections import SECTIONS

router = Router(tags=["Accounts"])

IN_MEMORY = 1_000_000
"""Bytes of an export that are held in memory; what is more lies in a file without a name until it is sent."""

HTML: Any = {
    "responses": {
        200: {"content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>…"}}}
    }
}
"""The readable form in the OpenAPI document."""


class ExportParams(Params):
    """In which form; without it as ``Accept`` says, JSON by default."""

    format: Annotated[
        Literal["json", "html"] | None,
        Field(description="`html`: a page to read and print; `json`: for programs."),
    ] = None


ExportOut: type[Out] = create_model(
    "ExportOut",
    __base__=Out,
    __doc__="All that is known of oneself, part by part. Other people's data are left out.",
    format=(int, Field(description="Version of this form.", examples=[1])),
    exported_at=(datetime, ...),
    **{
        section.name: (
            dict[str, Any] if section.is_one else list[dict[str, Any]],
            Field(examples=[{} if section.is_one else []]),
        )
        for section in SECTIONS
    },
)  # type: ignore[call-overload]


class EraseIn(In):
    """The proof that it is oneself. Who has no password must have signed in within the last ten minutes."""

    password: Password | None = None
    code: Annotated[str, Text(20)] | None = Field(
        default=None, description="A code of the app, where the second step is on.", examples=[None]
    )


@router.get(
    "/profile/export/",
    response=responses(ExportOut, identity.StepUpRequired, Throttled),
    openapi_extra=HTML,
    summary="Get all of my data",
)
def export_data(request: HttpRequest, params: Query[ExportParams]) -> HttpResponse | FileResponse:
    """Everything that is known of the caller, at once. Needs a sign-in of the last ten minutes."""
    now = timezone.now()
    user = user_of(request)
    parts = export.export(actor=user, user=user, now=now)
    preferred = request.get_preferred_type(["application/json", "text/html"])
    readable = params.format == "html" or (params.format is None and preferred == "text/html")
    language = languages.code(request)
    with translation.override(language):
        response = _sent(export_page.page(parts, now, language) if readable else _json(parts, now))
    response["Content-Type"] = f"{'text/html' if readable else 'application/json'}; charset=utf-8"
    response["Vary"] = "Accept"
    if readable:
        response["Content-Language"] = language
        response["Content-Security-Policy"] = export_page.POLICY
    return response


@router.delete(
    "/profile/",
    response=responses(
        None,
        ErasureRefused,
        erasure.StaffAccount,
        identity.StepUpRequired,
        identity.CodeWrong,
        NotFound,
        status=204,
    ),
    summary="Erase my account",
)
def erase(request: HttpRequest, body: EraseIn | None = None) -> None:
    """Erase the account for good: nobody can sign in from now on, listings are withdrawn, name, email and phone are
    gone, and all else follows within minutes. Invoices and books stay as the law demands it, and name a number.

    409 `active_bookings` while a stay is to come or money is open; `obstacles` says which: `stays_as_guest`,
    `stays_as_host`, `payments_open`, `payouts_open`, `balance_open`, `disputes_open`.
    """
    user, proof = user_of(request), body or EraseIn()
    erasure.erase(
        actor=user,
        user=user,
        now=timezone.now(),
        device=device_of(request),
        password=proof.password or "",
        code=proof.code or "",
    )


def _sent(pieces: Iterable[bytes]) -> HttpResponse | FileResponse:
    """An answer of ``pieces``, all of which are made before the first is sent: a failure is still a failure then."""
    held: list[bytes] = []
    size, file = 0, None
    try:
        for piece in pieces:
            size += len(piece)
            if file is None and size > IN_MEMORY:
                file = tempfile.TemporaryFile()  # noqa: SIM115 - the answer closes it
                file.writelines(held)
            if file is None:
                held.append(piece)
            else:
                file.write(piece)
    except BaseException:
        if file is not None:
            file.close()
        raise
    if file is None:
        return HttpResponse(b"".join(held))
    file.seek(0)
    return FileResponse(file)


def _json(parts: Iterator[tuple[Section, Iterator[Row]]], now: datetime) -> Iterator[bytes]:
    yield b'{"format":%d,"exported_at":%b' % (export.FORMAT, dumps(now))
    for section, rows in parts:
        yield b",%b:" % dumps(section.name)
        if section.is_one:
            yield dumps(next(rows, {}))
            continue
        separator = b"["
        for row in rows:
            yield separator + dumps(row)
            separator = b","
        yield b"]" if separator == b"," else b"[]"
    yield b"}"
