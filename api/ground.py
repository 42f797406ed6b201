"""What every operation stands on, applied once to the whole API: limits, content types, undeclared input, bounds.

Ninja's own order is authentication, validation, view. ``before`` runs in front of all of it, ``checked`` between
validation and view.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import date, datetime
from functools import cache, wraps
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from ninja.operation import Operation
from ninja.responses import Status
from pydantic_core import PydanticCustomError

from api import parsing, throttling, types
from api.problems import UnsupportedMediaType
from backend.core.errors import DomainError, FieldError, Invalid, NotFound

F = TypeVar("F", bound=Callable[..., Any])
Run = Callable[..., HttpResponse]

BODY_METHODS = ("POST", "PUT", "PATCH", "DELETE")


def raw_body(view: F) -> F:
    """Mark an operation that reads ``request.body`` itself, in whatever form a foreign sender gives it."""
    view._raw_body = True  # type: ignore[attr-defined]
    return view


def foreign_query(view: F) -> F:
    """Mark an operation that another site sends browsers to: what it adds to the query is its own affair."""
    view._foreign_query = True  # type: ignore[attr-defined]
    return view


def before(run: Run) -> Run:
    """In front of authentication: count anonymous reads, make multipart readable. For ``add_decorator(mode="view")``.

    Valkey counts while the request is validated; whether it was one too many is known before the view.
    """
    operation: Operation = inspect.unwrap(run).__self__
    view = operation.view_func
    budget = throttling.budget_of(view)
    takes_form = any(model.__ninja_param_source__ in ("form", "file") for model in operation.models)

    @wraps(run)
    def guarded(request: HttpRequest, **path: Any) -> HttpResponse:
        try:
            throttling.count_address(request, budget)
            throttling.begin(request, view)
            if takes_form:
                throttling.finish(request)
                # Who may not is told so before the upload is read; Bearer remembers the user for the run itself.
                refused = operation._run_checks(request)
                if refused is not None:
                    return refused
                _open_form(request)
        except Exception as error:
            return operation.api.on_exception(request, error)
        response = run(request, **path)
        try:
            # What was refused before it came to the view: too many are told so instead.
            throttling.finish(request)
        except Exception as error:
            return operation.api.on_exception(request, error)
        return response

    return guarded


def _open_form(request: HttpRequest) -> None:
    """Let Django parse a multipart body whatever the method: by itself it does so for POST only.

    Raises: UnsupportedMediaType, and what Django's multipart parser raises.
    """
    if request.content_type != "multipart/form-data":
        raise UnsupportedMediaType
    if request.method != "POST":
        method, request.method = request.method, "POST"
        try:
            request._load_post_and_files()
        finally:
            request.method = method


def checked(view: F) -> F:
    """Between validation and view: refuse what no schema has seen. For ``add_decorator(mode="operation")``."""
    raw = getattr(view, "_raw_body", False)
    is_market = throttling.shows_the_market(view)

    @wraps(view)
    def run(request: HttpRequest, *args: Any, **values: Any) -> Any:
        operation: Operation = request.operation  # type: ignore[attr-defined]
        throttling.finish(request)
        if is_market:
            throttling.count_reader(request, view)
        _refuse_undeclared(request, operation, raw=raw, foreign=getattr(view, "_foreign_query", False))
        _refuse_unbounded(operation, values)
        result = view(request, *args, **values)
        success = operation.success_status  # type: ignore[attr-defined]
        return (
            result
            if success is None or isinstance(result, (HttpResponse, Status))
            else Status(success, result)
        )

    return run  # type: ignore[return-value]


def remember(run: Run) -> Run:
    """Put the operation on the request, where ``checked`` and the access log find it."""
    operation: Operation = inspect.unwrap(run).__self__
    successes = [status for status in operation.response_models if isinstance(status, int) and status < 400]
    # Ninja answers 200 unless told otherwise; an operation with one success means that one.
    operation.success_status = successes[0] if successes and successes[0] != 200 else None  # type: ignore[attr-defined]

    @wraps(run)
    def remembered(request: HttpRequest, **path: Any) -> HttpResponse:
        request.operation = operation  # type: ignore[attr-defined]
        return run(request, **path)

    return remembered


@cache
def _names(operation: Operation, *sources: str) -> tuple[set[str], set[str]]:
    """The declared parameter names of the given sources, and those of them that may repeat."""
    names: set[str] = set()
    lists: set[str] = set()
    for model in operation.models:
        if model.__ninja_param_source__ in sources:
            flat = getattr(model, "__ninja_flatten_map__", None)
            names.update(
                flat if flat is not None else (spec.alias or key for key, spec in model.model_fields.items())
            )
            lists.update(getattr(model, "__ninja_collection_fields__", []))
    return names, lists


def _refuse_undeclared(request: HttpRequest, operation: Operation, *, raw: bool, foreign: bool) -> None:
    found: list[FieldError] = []
    if request.GET and not foreign:
        names, lists = _names(operation, "query")
        for key, values in request.GET.lists():
            if key not in names:
                found.append(FieldError(key, "unknown_parameter", _("There is no such parameter.")))
            elif len(values) > 1 and key not in lists:
                found.append(FieldError(key, "repeated_parameter", _("This may be given once.")))
            elif not all(parsing.storable(value) for value in values):
                found.append(
                    FieldError(key, "invalid_text", _("A text without control characters is needed."))
                )
    sources = {model.__ninja_param_source__ for model in operation.models}
    if sources & {"form", "file"}:
        names, lists = _names(operation, "form", "file", "body")
        for key in {*request.POST, *request.FILES} - names:
            found.append(FieldError(key, "unknown_field", _("There is no such field.")))
    elif "body" not in sources and not raw and request.method in BODY_METHODS and request.body:
        parsing.require_json(request)
        sent = parsing.read_json(request.body)
        if not isinstance(sent, (dict, type(None))):
            found.append(FieldError("", "invalid_object", _("An object is needed.")))
            sent = None
        for key in sent or {}:
            found.append(FieldError(str(key), "unknown_field", _("There is no such field.")))
    if found:
        raise Invalid(found[0].message if len(found) == 1 else "", errors=found)


def _refuse_unbounded(operation: Operation, values: dict[str, Any]) -> None:
    """Bounds for parameters that a route takes bare, outside of a schema."""
    for name, value in values.items():
        in_path = name in operation.signature.path_params_names
        error = _unbounded(value)
        if error is not None:
            if in_path:
                raise NotFound
            raise Invalid.field(name, *error)


def _unbounded(value: Any) -> tuple[str, Any] | None:
    if isinstance(value, (int, float)) and not types.finite(value):
        return "too_large", _("The number is too large.")
    if isinstance(value, str) and not parsing.storable(value):
        return "invalid_text", _("A text without control characters is needed.")
    if isinstance(value, date) and not isinstance(value, datetime):
        try:
            types.in_window(value)
        except PydanticCustomError:
            return "date_out_of_range", _("The date is too far away.")
    return None


def as_problem(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The answer to ``error``, for code that stands outside of an operation's own error handling."""
    operation: Operation = request.operation  # type: ignore[attr-defined]
    return operation.api.on_exception(request, error)
