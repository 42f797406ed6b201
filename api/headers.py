"""What every answer tells a browser: what it may do with it, and which pages of others may read it."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

NOTHING = "default-src 'none'; frame-ancestors 'none'"
"""The policy of what is data: nothing is loaded, nothing runs, nobody frames it."""

PICTURES = frozenset({"image/jpeg", "image/png", "image/webp", "image/avif"})
"""What uploads are made into. Anything else that lies among them is handed out as a file and never shown."""

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
    "magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
    "Content-Security-Policy": NOTHING,
    "X-Frame-Options": "DENY",
    # Not less: a browser that sends no referrer at home sends no origin with a form either.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
OF_THE_API = {
    **EVERYWHERE,
    "Cache-Control": "no-store",
}
OF_FILES = {
    **EVERYWHERE,
    "Content-Security-Policy": f"{NOTHING}; sandbox",
    # Front ends show them in their own pages.
    "Cross-Origin-Resource-Policy": "cross-origin",
}
OF_STATIC = {
    **EVERYWHERE,
    # An SVG that is opened by itself is a page.
    "Content-Security-Policy": f"{NOTHING}; style-src 'unsafe-inline'; sandbox",
}

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept-Language, Idempotency-Key, If-Match, "
    "If-None-Match, X-Request-ID",
    "Access-Control-Max-Age": "7200",
}
EXPOSED = "ETag, X-Request-ID, Retry-After, RateLimit, RateLimit-Policy, Idempotent-Replayed, Location, Content-Language"


def is_api(request: HttpRequest) -> bool:
    """Whether the answer belongs to the API, so that its errors are problem documents."""
    return request.path_info.startswith(("/api/", "/graphql")) or request.path_info == "/api"


def dress(request: HttpRequest, response: HttpResponseBase) -> None:
    """Give an answer the headers of its door; what its maker has set stays."""
    path = request.path_info
    if is_api(request):
        wanted = OF_THE_API
        allow_origin(request, response)
    elif path.startswith(settings.MEDIA_URL):
        wanted = OF_FILES
        if response.status_code == 200 and response.get("Content-Type") not in PICTURES:
            response["Content-Type"] = "application/octet-stream"
            response["Content-Disposition"] = "attachment"
    elif path.startswith(settings.STATIC_URL):
        wanted = OF_STATIC
    else:
        wanted = EVERYWHERE
    for name, value in wanted.items():
        response.headers.setdefault(name, value)


def allow_origin(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let the listed origins read the answer. Tokens travel in headers, so no credentials are allowed."""
    if not settings.CORS_ORIGINS:
        return
    patch_vary_headers(response, ["Origin"])
    allowed = readers(request.META.get("HTTP_ORIGIN", ""))
    if allowed and request.method == "OPTIONS":
        allowed.update(PREFLIGHT)
    for name, value in allowed.items():
        response[name] = value


def readers(origin: str) -> dict[str, str]:
    """The headers that let a page of ``origin`` read an answer; none for an origin that is not on the list."""
    if origin not in settings.CORS_ORIGINS:
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED}


def bare(origin: str) -> list[tuple[str, str]]:
    """The headers of an API's answer that is given before there is a request: to whoever sends too much or too slowly."""
    wanted = {**OF_THE_API, **readers(origin), **({"Vary": "Origin"} if settings.CORS_ORIGINS else {})}
    return [(name.lower(), value) for name, value in wanted.items()]
