"""Errors as problem documents (RFC 9457): every error of every endpoint leaves through this file."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import psycopg
import structlog
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja.errors import AuthenticationError, HttpError, ValidationError
from procrastinate.exceptions import ConnectorException
from psycopg import errors as pg

from api import languages
from api.types import Out
from backend.core import violations
from backend.core.errors import (
    DomainError,
    FieldError,
    Invalid,
    NotAllowed,
    NotFound,
    Throttled,
    Unauthenticated,
    Unavailable,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

ERASED = "users_erased"
"""The rule of the database that nothing begins in the name of somebody who was erased while they asked for it."""


class Violation(Out):
    """One refused field."""

    field: str
    code: str
    message: str


class Problem(Out):
    """A problem document (RFC 9457). ``code`` is the stable word to act on; some problems carry further members."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[Violation] | None = None


class MalformedBody(DomainError):
    """400: the body is not what its content type says."""

    status = 400
    code = "malformed_body"
    title = gettext_lazy("The body could not be read.")


class BadRequestError(DomainError):
    """400: the request line or a header makes no sense."""

    status = 400
    code = "bad_request"
    title = gettext_lazy("The request could not be understood.")


class MethodNotAllowed(DomainError):
    """405: the path is there, but not for this method."""

    status = 405
    code = "method_not_allowed"
    title = gettext_lazy("This method is not available here.")


class TooLarge(DomainError):
    """413: more bytes than are taken."""

    status = 413
    code = "too_large"
    title = gettext_lazy("The body is too large.")


class UnsupportedMediaType(DomainError):
    """415: a body of a kind that this operation does not take."""

    status = 415
    code = "unsupported_media_type"
    title = gettext_lazy("This content type is not supported here.")


class InternalError(DomainError):
    """500: a defect of ours."""

    status = 500
    code = "internal_error"
    title = gettext_lazy("Something went wrong on our side.")


def response(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The problem document of ``error``, in the language of the request."""
    language = languages.code(request)
    with translation.override(language):
        document = as_document(error, request_id=getattr(request, "request_id", ""))
    answer = HttpResponse(orjson.dumps(document), status=error.status, content_type=MEDIA_TYPE)
    answer["Content-Language"] = language
    for name, value in headers(error).items():
        answer[name] = value
    return answer


def as_document(error: DomainError, *, request_id: str = "") -> dict[str, Any]:
    """The members of the problem document, texts in the active language."""
    document: dict[str, Any] = {
        "type": f"urn:karibu:problem:{error.code}",
        "title": str(error.title),
        "status": error.status,
        "detail": str(error.detail),
        "code": error.code,
        "request_id": request_id,
    }
    if error.errors or error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        document["errors"] = [
            {"field": each.field, "code": each.code, "message": str(each.message)} for each in error.errors
        ]
    return {**error.extra, **document}


def headers(error: DomainError) -> dict[str, str]:
    """The headers that go with an error: when to come again, and how to sign in."""
    fields = {}
    if error.retry_after is not None:
        fields["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        fields["WWW-Authenticate"] = "Bearer"
    return fields


def translate(error: BaseException) -> DomainError:
    """The domain error that says on the wire what ``error`` means; ``InternalError`` for a defect."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, ValidationError):
        return violations.as_error(error.errors)
    if isinstance(error, HttpError):
        return _from_http_error(error)
    if isinstance(error, Http404):
        return NotFound()
    if isinstance(error, PermissionDenied):
        return NotAllowed()
    if isinstance(error, RequestDataTooBig):
        return TooLarge()
    if isinstance(error, (MultiPartParserError, UnreadablePostError)):
        return MalformedBody()
    if isinstance(error, (SuspiciousOperation, BadRequest)):
        return BadRequestError()
    if isinstance(error, (OperationalError, InterfaceError)) or _is_of_queue(error):
        return _from_database(error)
    if isinstance(error, IntegrityError) and _constraint(error) == ERASED:
        return Unauthenticated()
    if _is_of_storage(error):
        return Unavailable(retry_after=5)
    if isinstance(error, DataError):
        return Invalid(errors=[FieldError("", "out_of_range", _("A value is outside of what can be kept."))])
    return InternalError()


NO_ROOM = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)
)
"""What a file system says that cannot take or give a file now, and may later."""

BUCKETS = ("boto3", "botocore", "s3transfer")
"""Whose errors mean that a bucket does not answer. They are known by name: where there is no bucket, nobody loads them."""


def _is_of_storage(error: BaseException) -> bool:
    """Whether the place where files lie is full or away; a file that is missing is another matter."""
    if isinstance(error, OSError):
        return isinstance(error, (ConnectionError, TimeoutError)) or error.errno in NO_ROOM
    return type(error).__module__.partition(".")[0] in BUCKETS


def _constraint(error: IntegrityError) -> str:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""


def _from_http_error(error: HttpError) -> DomainError:
    if isinstance(error.__cause__, DomainError):
        return error.__cause__
    if isinstance(error, AuthenticationError):
        return Unauthenticated()
    by_status: dict[int, type[DomainError]] = {
        400: MalformedBody,
        401: Unauthenticated,
        403: NotAllowed,
        404: NotFound,
        422: Invalid,
        429: Throttled,
        503: Unavailable,
    }
    return by_status.get(error.status_code, InternalError)()


def _is_of_queue(error: BaseException) -> bool:
    """Whether a job could not be deferred since the database is away; the queue words it in its own way."""
    lost = (psycopg.OperationalError, psycopg.InterfaceError)
    return isinstance(error, ConnectorException) and isinstance(error.__cause__, lost)


def _from_database(error: BaseException) -> DomainError:
    cause = error.__cause__
    if isinstance(
        cause, (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure, pg.QueryCanceled)
    ):
        return Unavailable()
    return Unavailable(retry_after=5)


HANDLED: tuple[type[Exception], ...] = (Exception, HttpError, ValidationError, Http404)
"""Everything, and by name what Ninja would handle by itself."""


def handle(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    """Answer any exception of an operation with its problem, and log what is our own fault."""
    error = error if isinstance(error, Exception) else error()
    problem = translate(error)
    if isinstance(problem, InternalError):
        log.error("request.failed", exc_info=error)
    elif problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("request.unavailable", error=type(error).__name__, cause=type(error.__cause__).__name__)
    return response(request, problem)


class Codes:
    """Says in the OpenAPI document which codes a status may carry here."""

    def __init__(self, codes: Iterable[str]) -> None:
        self.codes = tuple(sorted(set(codes)))


def responses(
    schema: Any, *errors: int | type[DomainError], status: int = 200, also: Mapping[int, Any] | None = None
) -> dict[int, Any]:
    """What an operation answers, for ``response=`` of its route: the answer's schema, and the errors of its own.

    ``errors`` are statuses or error classes (whose codes the OpenAPI document then names). Those that any
    operation may answer (401, 403, 404, 422, 429, 500 …) are added centrally. ``also``: further successes by status.
    """
    from typing import Annotated

    codes: dict[int, list[str]] = {}
    for error in errors:
        if isinstance(error, int):
            codes.setdefault(error, [])
        else:
            codes.setdefault(error.status, []).append(error.code)
    declared: dict[int, Any] = {status: schema, **(also or {})}
    for number, words in codes.items():
        declared[number] = Annotated[Problem, Codes(words)] if words else Problem
    return declared


def field_errors(error: DomainError) -> Sequence[FieldError]:
    """The refused fields of an error."""
    return error.errors
