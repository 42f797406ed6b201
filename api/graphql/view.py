"""``/graphql/``: one request, many reads, by the same operations and permissions as the REST API."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Any

import orjson
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from graphql import GraphQLError, get_operation_ast, parse
from graphql.language import DocumentNode

from api import parsing, problems, throttling
from api.auth import ANONYMOUS, OptionalBearer
from api.graphql import limits
from api.graphql.schema import schema
from api.rendering import dumps
from backend.core.errors import DomainError, FieldError, Invalid

KEPT_S = 24 * 3600
"""How long a document can be asked for by its digest alone, since it was last sent."""

METHODS = ("GET", "HEAD", "POST")
MEMBERS = {"query", "variables", "operationName", "extensions"}


class UnknownDocument(DomainError):
    """400: no document of this digest is kept (any more); send it once more beside the digest."""

    status = 400
    code = "PERSISTED_QUERY_NOT_FOUND"
    title = _("PersistedQueryNotFound")


class NoDocument(DomainError):
    """400: the document cannot be read, or does not fit the schema; ``errors`` says where."""

    status = 400
    code = "invalid_document"
    title = _("This is not a GraphQL document.")


class NoOperation(DomainError):
    """400: there are several operations in the document, or none of that name."""

    status = 400
    code = "unknown_operation"
    title = _("Name the operation of the document that is meant.")


@csrf_exempt
def graphql(request: HttpRequest) -> HttpResponse:
    """Answer one document, of ``POST {query, variables?, operationName?, extensions?}`` or of a GET's parameters.

    200 with ``data`` and ``errors``, each with its problem in ``extensions``; what cannot be begun is a problem, whose
    ``errors`` clients of GraphQL understand. No cookies are looked at, so no page of others can ask in somebody's name.
    """
    try:
        if request.method not in METHODS:
            raise problems.MethodNotAllowed
        request.auth = _caller(request)  # type: ignore[attr-defined]
        asked = _asked(request)
        text, variables = _document(asked), asked.get("variables") or {}
        document, name = _parsed(text), asked.get("operationName") or None
        measured = limits.require(document, variables)
        if get_operation_ast(document, name) is None:
            raise NoOperation
        throttling.count_look(request, max(1, measured.fields))
        result = schema.execute_sync(
            text, variable_values=variables, context_value=request, operation_name=name
        )
        if result.data is None and result.errors and not any(error.path for error in result.errors):
            formatted = [error.formatted for error in result.errors]
            raise NoDocument(formatted[0]["message"], extra={"errors": formatted})
    except Exception as error:
        return _refusal(request, error)
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    return HttpResponse(dumps(answer), content_type="application/json")


def _refusal(request: HttpRequest, error: Exception) -> HttpResponse:
    """The problem of what could not be begun, with ``errors`` as clients of GraphQL look for them in every answer.

    Those that send digests find there that a document must be sent whole.
    """
    response = problems.handle(request, error)
    document = orjson.loads(response.content)
    if "errors" not in document:
        document["errors"] = [{"message": document["detail"], "extensions": {"code": document["code"]}}]
        response.content = orjson.dumps(document)
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response["Allow"] = ", ".join(METHODS)
    return response


def _caller(request: HttpRequest) -> Any:
    """Whoever the token or key speaks for. Raises: Unauthenticated for one that is worth nothing."""
    header = request.headers.get("Authorization", "")
    user: Any = OptionalBearer.user_of(request, header) if header else ANONYMOUS
    request.user = user
    return user


def _asked(request: HttpRequest) -> dict[str, Any]:
    """What was sent. Raises: MalformedBody, UnsupportedMediaType, Invalid."""
    asked: Any
    if request.method == "GET":
        asked = request.GET.dict()
        for name in ("variables", "extensions"):
            if asked.get(name):
                asked[name] = parsing.read_json(asked[name].encode())
    else:
        parsing.require_json(request)
        asked = parsing.read_json(request.body)
    kinds = {"query": str, "operationName": str, "variables": dict, "extensions": dict}
    if not isinstance(asked, dict):
        raise Invalid(errors=[FieldError("", "invalid_object", _("An object is needed."))])
    for name, value in asked.items():
        if name not in MEMBERS:
            raise Invalid.field(name, "unknown_field", _("There is no such field."))
        if value is not None and not isinstance(value, kinds[name]):
            raise Invalid.field(name, "invalid_type", _("This value has the wrong type."))
    plain: dict[str, Any] = orjson.loads(dumps(asked))
    return plain


def _document(asked: dict[str, Any]) -> str:
    """The text of the document: sent, or kept under the digest that was sent (Apollo's automatic persisted queries).

    Raises: UnknownDocument, Invalid, TooComplex for one that is too long.
    """
    text = asked.get("query") or ""
    if len(text) > limits.LENGTH:
        raise limits.TooComplex(extra={"limits": {"characters": limits.LENGTH}})
    persisted = (asked.get("extensions") or {}).get("persistedQuery")
    digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if not isinstance(digest, str):
        if not text:
            raise Invalid.field("query", "required", _("This is needed."))
        return text
    key = f"graphql:{hashlib.sha256(digest.encode()).hexdigest()}"
    if text:
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise Invalid.field("extensions", "wrong_digest", _("This is not the digest of the document."))
        cache.set(key, text, KEPT_S)
        return text
    kept = cache.get(key)
    if kept is None:
        raise UnknownDocument
    found: str = kept
    return found


def _parsed(text: str) -> DocumentNode:
    try:
        return parse(text, max_tokens=4000)
    except GraphQLError as error:
        raise NoDocument(error.message) from error
