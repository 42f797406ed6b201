"""Doors for machines beside the API: what watches a process, and what collects its figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from api import problems

View = Callable[[HttpRequest], HttpResponse]

SAFE = ("GET", "HEAD")


def read_only(view: View) -> View:
    """``view`` for whoever reads; other methods are told so as everywhere (405), not asked for the token of a form."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method in SAFE:
            return view(request)
        refused = problems.response(request, problems.MethodNotAllowed())
        refused["Allow"] = ", ".join(SAFE)
        return refused

    return answer
