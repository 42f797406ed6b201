"""The OpenAPI document beyond what Ninja writes: problems, headers and examples of every operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ninja.operation import Operation

from api import examples
from api.access import ACCESS
from api.problems import MEDIA_TYPE, Codes, Problem

if TYPE_CHECKING:
    from ninja import NinjaAPI
    from ninja.openapi.schema import OpenAPISchema

DESCRIPTION = """\
The API of a marketplace for short-term rentals: search, listings, quotes, bookings, money, notices.

**Errors** are problem documents (RFC 9457); act on `code`. **Amounts** are numbers in major units beside a
`currency`. **Dates** of a stay are local to the place, half-open; instants are RFC 3339 in UTC. **Lists** share one
envelope; follow `next` to go deep. **ETags**: send `If-None-Match` to spare the body, `If-Match` to refuse a lost
update. Without a token search, listings, calendars and reference lists may be two seconds old, but never older than the last change
that came by a request. **Idempotency-Key** on requests that make bookings or move money gives the first answer again. **Limits** are
told in `RateLimit` and `RateLimit-Policy`. Every path answers 403 `address_blocked` to networks that the platform does not
let in, and 403 `https_required` to what would change something and came without TLS.
"""

MEANINGS = {
    400: "The body could not be read.",
    401: "No valid access token.",
    402: "The payment was refused.",
    403: "Known, but not allowed.",
    404: "Not there, or not for this caller.",
    405: "Not for this method.",
    409: "Does not fit the present state.",
    412: "Changed in the meantime.",
    413: "The body is too large.",
    415: "The content type is not taken here.",
    422: "Some of what was sent is not valid.",
    429: "Too many requests; Retry-After says when again.",
    500: "A defect of ours.",
    503: "Not available at the moment; Retry-After says when again.",
}
SCHEME = "bearer"
REF = {"$ref": "#/components/schemas/Problem"}


def complete(api: NinjaAPI, schema: OpenAPISchema) -> OpenAPISchema:
    """Add to Ninja's document what holds for every operation."""
    components = schema["components"]
    components.setdefault("schemas", {}).update(_problem_schemas())
    components["securitySchemes"] = {SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    operations = {
        (f"/api{'' if path.startswith('/') else '/'}{path}", method.lower()): operation
        for bound in api._get_bound_routers()
        for path, view in bound.path_operations.items()
        for operation in view.operations
        for method in operation.methods
    }
    by_id = {
        operation.operation_id or api.get_openapi_operation_id(operation): operation
        for operation in operations.values()
    }
    for path, methods in schema["paths"].items():
        for method, details in methods.items():
            _complete_operation(details, by_id[details["operationId"]], path, method, components["schemas"])
    schema["tags"] = [
        {"name": name}
        for name in sorted(
            {
                tag
                for methods in schema["paths"].values()
                for each in methods.values()
                for tag in each.get("tags", [])
            }
        )
    ]
    schema.pop("servers", None)
    return schema


def _problem_schemas() -> dict[str, Any]:
    described = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    nested = described.pop("$defs", {})
    described["additionalProperties"] = True
    return {**nested, "Problem": described}


def _complete_operation(
    details: dict[str, Any], operation: Operation, path: str, method: str, schemas: dict[str, Any]
) -> None:
    optional = any(getattr(auth, "optional", False) for auth in operation.auth_callbacks)
    protected = bool(operation.auth_callbacks)
    details["security"] = ([{SCHEME: []}, {}] if optional else [{SCHEME: []}]) if protected else []
    if details["operationId"] in ACCESS:
        details["x-access"] = ACCESS[details["operationId"]].document()
    responses = {str(status): body for status, body in details["responses"].items()}
    codes = {
        status: _codes(model)
        for status, model in operation.response_models.items()
        if isinstance(status, int)
    }
    for status in _general_errors(details, operation, path, method, protected=protected):
        responses.setdefault(str(status), {})
    if method == "get":
        responses["304"] = {
            "description": "The client has this version (If-None-Match), where an ETag was given."
        }
    for text in sorted(responses):
        status = int(text)
        if status >= 400:
            responses[text] = _problem_response(status, codes.get(status, ()))
        elif status < 300:
            _describe_success(responses[text], status, schemas)
    details["responses"] = dict(sorted(responses.items()))
    if "requestBody" in details:
        for media in details["requestBody"]["content"].values():
            if "example" not in media and "examples" not in media:
                media["example"] = examples.of(media.get("schema", {}), schemas)
    details.setdefault("parameters", [])
    if getattr(operation.view_func, "_idempotent", False):
        details["parameters"].append(
            {
                "in": "header",
                "name": "Idempotency-Key",
                "required": False,
                "description": "The same key and body give the first answer again, for seven days.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            }
        )
    for parameter in details["parameters"]:
        given = examples.of(parameter["schema"], schemas, name=parameter["name"])
        parameter.pop("examples", None)
        parameter.setdefault("example", given)
        parameter["schema"].pop("example", None)


def _codes(model: Any) -> tuple[str, ...]:
    fields = getattr(model, "model_fields", None) or {}
    metadata = fields["response"].metadata if "response" in fields else ()
    return tuple(code for each in metadata if isinstance(each, Codes) for code in each.codes)


def _general_errors(
    details: dict[str, Any], operation: Operation, path: str, method: str, *, protected: bool
) -> list[int]:
    errors = [422, 429, 500, 503]
    if protected:
        errors += [401]
        if not any(getattr(auth, "optional", False) for auth in operation.auth_callbacks):
            errors += [403]
    if "{" in path:
        errors.append(404)
    if method in ("post", "put", "patch", "delete"):
        errors += [400, 413, 415]
    if method in ("put", "patch", "delete"):
        errors.append(412)
    if getattr(operation.view_func, "_idempotent", False):
        errors.append(409)
    return errors


def _problem_response(status: int, codes: tuple[str, ...]) -> dict[str, Any]:
    meaning = MEANINGS.get(status, "A problem.")
    described = f"{meaning} `code`: {', '.join(f'`{code}`' for code in codes)}." if codes else meaning
    answer: dict[str, Any] = {
        "description": described,
        "content": {MEDIA_TYPE: {"schema": REF, "example": examples.problem(status, codes)}},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return answer


def _describe_success(answer: dict[str, Any], status: int, schemas: dict[str, Any]) -> None:
    answer.setdefault("description", "Done.")
    for media in answer.get("content", {}).values():
        if "example" not in media and "examples" not in media:
            media["example"] = examples.of(media.get("schema", {}), schemas)
