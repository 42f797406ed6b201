"""Pages of the back office that are no lists of rows: Analytics, System and their kind.

A page says where it is, who may see it and which view makes it; the rest is the site's::

    def view(request: HttpRequest) -> HttpResponseBase:
        return PAGE.render(request, "admin_site/analytics.html", {"rows": rows})


    PAGE = register_page(CustomPage("analytics", _("Analytics"), "monitoring", view, rule="analytics.see"))

It is found at ``/admin/analytics/`` and as ``reverse("admin:page_analytics")``; a template extends ``admin/base.html``.
The module is named in ``admin.py``, and a line in ``sidebar.GROUPS`` with ``page:analytics`` shows it to those who may.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise

from backend.core import access

View = Callable[..., HttpResponseBase]

OWN = "page:"
"""What names one of these pages where models are named otherwise: ``page:analytics``."""


@dataclass(frozen=True)
class CustomPage:
    """A page under ``/admin/``: its name, its words, its view, and the rule of ``access`` that its readers keep.

    ``route`` is where it is (default: the key), with converters where it needs any: ``people/<int:person_id>/as/``.
    ``methods`` are those that its view takes; the view of a POST calls one operation, which asks for the right again.
    """

    key: str
    title: str | Promise
    icon: str
    view: View
    rule: str
    route: str = ""
    methods: tuple[str, ...] = ("GET",)

    @property
    def name(self) -> str:
        return f"page_{self.key}"

    def url(self, *args: Any) -> str:
        return reverse(f"admin:{self.name}", args=args)

    def may_see(self, user: Any) -> bool:
        """Whether the page is for ``user``: a member of staff whom its rule lets in."""
        return bool(getattr(user, "is_staff", False)) and access.can(user, self.rule)

    def render(
        self, request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
    ) -> TemplateResponse:
        """The page from ``template``, in the frame that all pages have."""
        frame = {**admin.site.each_context(request), "title": self.title, "page": self}
        return TemplateResponse(request, template, {**frame, **context}, status=status)

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """What the view says to those who may. Raises: PermissionDenied for all others."""
        if not self.may_see(request.user):
            raise PermissionDenied
        if request.method not in (*self.methods, "HEAD"):
            return HttpResponseNotAllowed(self.methods)
        return self.view(request, *args, **kwargs)


PAGES: dict[str, CustomPage] = {}
"""The pages that were registered, by key."""


def register_page(page: CustomPage) -> CustomPage:
    """Put a page on the site. Raises: RuntimeError for a key that is taken."""
    if page.key in PAGES:
        raise RuntimeError(f"There is a page {page.key} already.")
    PAGES[page.key] = page
    return page


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """The addresses of all pages, each behind ``guard``: the site's ``admin_view``."""
    return [
        path(page.route or f"{page.key}/", guard(_named(page)), name=page.name) for page in PAGES.values()
    ]


def _named(page: CustomPage) -> View:
    """A function, which Django's decorators need."""

    @wraps(page.view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return page.answer(request, *args, **kwargs)

    return answer
