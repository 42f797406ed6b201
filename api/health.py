"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse


def live(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})
