"""Examples for the OpenAPI document, made from the schemas where a schema gives none itself."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 6

BY_NAME: dict[str, Any] = {
    "id": 42,
    "property_id": 42,
    "booking_id": 7,
    "user_id": 3,
    "title": "Flat over the river",
    "description": "Two rooms and a balcony.",
    "location": "Lisbon, Portugal",
    "city": "Lisbon",
    "country": "PT",
    "currency": "EUR",
    "username": "john_doe",
    "email": "john@example.com",
    "first_name": "John",
    "last_name": "Doe",
    "password": "correct-horse-9",
    "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
    "refresh": "r-3f9c2b7d",
    "check_in": "2027-05-03",
    "check_out": "2027-05-07",
    "from": "2027-05-01",
    "to": "2027-06-01",
    "timezone": "Europe/Lisbon",
    "language": "en",
    "latitude": 38.7181,
    "longitude": -9.1412,
    "lat": 38.7181,
    "lng": -9.1412,
    "page": 1,
    "page_size": 20,
    "nights": 4,
    "guests": 2,
    "status": "confirmed",
    "reference": "KB7Q2M9X",
    "price_per_night": 75.5,
    "total_price": 302,
    "amount": 302,
    "q": "balcony",
    "code": "night",
}
BY_FORMAT: dict[str, Any] = {
    "date": "2027-05-03",
    "date-time": "2027-03-01T09:00:00Z",
    "time": "15:00:00",
    "uuid": "0b0e7f1e-6f3c-4b54-9d3e-2d0b1a3c5f77",
    "email": "john@example.com",
    "uri": "https://example.com/",
    "binary": "(bytes)",
}


def of(schema: dict[str, Any], schemas: dict[str, Any], *, name: str = "", depth: int = 0) -> Any:
    """A value that fits ``schema``; ``schemas`` are the document's components."""
    if "$ref" in schema:
        return of(schemas.get(schema["$ref"].rpartition("/")[2], {}), schemas, name=name, depth=depth)
    if "example" in schema:
        return schema["example"]
    if schema.get("examples"):
        given = schema["examples"]
        return given[0] if isinstance(given, list) else next(iter(given.values()))
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            options = [each for each in schema[union] if each.get("type") != "null"]
            merged = {
                key: value for key, value in schema.items() if key not in (union, "title", "description")
            }
            return of({**options[0], **merged} if options else {}, schemas, name=name, depth=depth)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    return _of_type(schema, schemas, name, depth)


def _of_type(schema: dict[str, Any], schemas: dict[str, Any], name: str, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        if depth >= MAX_DEPTH:
            return {}
        return {
            key: of(each, schemas, name=key, depth=depth + 1)
            for key, each in schema.get("properties", {}).items()
        }
    if kind == "array":
        return (
            [of(schema.get("items", {}), schemas, name=name.rstrip("s"), depth=depth + 1)]
            if depth < MAX_DEPTH
            else []
        )
    if schema.get("format") in BY_FORMAT:
        return BY_FORMAT[schema["format"]]
    if name in BY_NAME and _is(kind, BY_NAME[name]):
        return BY_NAME[name]
    if "default" in schema:
        return schema["default"]
    if kind in ("integer", "number"):
        return max(
            schema.get("minimum", 1),
            schema.get("exclusiveMinimum", 0) + 1 if "exclusiveMinimum" in schema else 1,
        )
    if kind == "boolean":
        return True
    if kind == "string":
        return "text"[: schema.get("maxLength", 4)]
    return None


def _is(kind: str | None, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, int):
        return kind in ("integer", "number")
    if isinstance(value, float):
        return kind == "number"
    return kind == "string"


def problem(status: int, codes: tuple[str, ...]) -> dict[str, Any]:
    """The example of a problem document."""
    usual = {
        400: "malformed_body",
        401: "unauthenticated",
        402: "payment_refused",
        403: "not_allowed",
        404: "not_found",
        405: "method_not_allowed",
        409: "conflict",
        412: "precondition_failed",
        413: "too_large",
        415: "unsupported_media_type",
        422: "invalid",
        429: "rate_limited",
        503: "unavailable",
    }
    code = codes[0] if codes else usual.get(status, "internal_error")
    document: dict[str, Any] = {
        "type": f"urn:karibu:problem:{code}",
        "title": "Some of what was sent is not valid."
        if status == 422
        else "A sentence about this kind of problem.",
        "status": status,
        "detail": "A sentence about this very case.",
        "code": code,
        "request_id": "5f0c7c1c9b7d4a0c8e6d1f2a3b4c5d6e",
    }
    if status == 422:
        document["errors"] = [{"field": "title", "code": "required", "message": "This is required."}]
    return document
