"""The back office as a site: what belongs to it, what its pages may load, what its search finds.

A page is a door like any other: it shows rows, and changes them only by calling an operation. Pages that come with
libraries know no operation and write around the rules, so they are not let in.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, logout, update_session_auth_hash
from django.contrib.auth.views import PasswordChangeView
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.dataclasses import SearchResult
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.sites import UnfoldAdminSite

from admin_site.frame import custom, languages, naming, saved_filters, sidebar
from admin_site.frame.custom import CustomPage as CustomPage
from admin_site.frame.custom import register_page as register_page
from admin_site.frame.masking import for_reader
from admin_site.frame.signing_in import LoginForm
from backend.accounts.models import User
from backend.core.errors import DomainError
from backend.identity import services as identity

FOUND_PER_KIND = 8
"""How many rows of one kind the command search shows."""

LONGEST_SEARCH = 100

SIGNED_IN_FOR = timedelta(hours=12)
"""How long one sign-in opens the back office, however busy one is; without a page an hour is enough to end it."""

SINCE = "signed_in_since"

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        # Alpine builds its expressions with Function(); inline scripts and handlers stay forbidden.
        "script-src 'self' 'unsafe-eval'",
        # Unfold writes its colours and Alpine its transitions as inline styles.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:" + (" https:" if settings.ENV.storage_bucket else ""),
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)

SEARCHED = ["accounts.user", "listings.listing", "bookings.booking", "payments.payment"]
"""What the command search looks into, for those who may see it; each by columns that have an index."""


def environment_label(request: HttpRequest) -> list[Any]:
    """Where one is, beside the name of the page: red where it counts."""
    return {
        "development": [_("Development"), "info"],
        "test": [_("Test"), "warning"],
        "production": [_("Production"), "danger"],
    }[settings.ENVIRONMENT]


def searchable_models(request: HttpRequest) -> list[str]:
    return SEARCHED


class OwnPasswordView(PasswordChangeView):
    """A member of staff changes their password by the operation that everybody else uses."""

    def form_valid(self, form: Any) -> HttpResponse:
        user = cast(User, self.request.user)
        address = structlog.contextvars.get_contextvars().get("address")
        device = identity.Device(address, self.request.headers.get("User-Agent", ""))
        given = form.cleaned_data
        try:
            identity.change_password(
                actor=user,
                current=given["old_password"],
                new=given["new_password1"],
                device=device,
                now=timezone.now(),
            )
        except DomainError as error:
            form.add_error(None, str(error.detail))
            return self.form_invalid(form)
        user.refresh_from_db()
        update_session_auth_hash(self.request, user)
        return super(PasswordChangeView, self).form_valid(form)


class BackOffice(UnfoldAdminSite):
    """The staff's site: our pages only, under a content security policy, with a search that reads a bounded lot."""

    index_title = _("Dashboard")
    login_form = LoginForm
    password_change_form = AdminOwnPasswordChangeForm

    def register(self, model_or_iterable: Any, admin_class: type[Any] | None = None, **options: Any) -> None:
        """Take in pages of this package; those that libraries register by themselves are left out."""
        if admin_class is not None and admin_class.__module__.startswith("admin_site."):
            super().register(model_or_iterable, admin_class, **options)

    def unregister(self, model_or_iterable: type[Model] | Iterable[type[Model]]) -> None:
        """Libraries replace each other's pages; what was never let in needs no taking out."""
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        super().unregister([model for model in models if self.is_registered(model)])

    def get_urls(self) -> list[Any]:
        """Asked for once all pages are registered, so that all names can be looked through."""
        naming.translate(self)
        return super().get_urls()

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """Every page is given it and hardly one looks at it, so that it is made when it is looked at."""
        whole = super().get_app_list
        return SimpleLazyObject(lambda: whole(request, app_label))

    def extra_urls(self) -> list[URLPattern]:
        """Pages that are no lists of rows; asked for once all of them are registered."""
        posted: dict[str, tuple[str, Any]] = {
            "language": ("language/", languages.choose),
            "keep_filter": ("filters/", saved_filters.keep_view),
            "forget_filter": ("filters/<int:filter_id>/forget/", saved_filters.forget_view),
        }
        own = [
            path(route, self.admin_view(require_POST(view)), name=name)
            for name, (route, view) in posted.items()
        ]
        return [*own, *custom.urls(self.admin_view)]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        inner = super().admin_view(for_reader(view), cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            # PostgreSQL keeps no NUL, so nothing can be found by one; forms refuse it in what is sent.
            if "\0" in request.path_info:
                raise Http404
            if any("\0" in value for values in request.GET.lists() for value in values[1]):
                return HttpResponseRedirect(request.path)
            if _is_over(request):
                logout(request)
            languages.speak_to(request)
            return _with_policy(inner(request, *args, **kwargs))

        return guarded

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "GET" and REDIRECT_FIELD_NAME not in request.GET:
            # Unfold's form posts to the page's own address, so the way on must stand in it.
            query = urlencode({REDIRECT_FIELD_NAME: reverse("admin:index")})
            return HttpResponseRedirect(f"{request.path}?{query}")
        return _with_policy(super().login(request, extra_context))

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        request.current_app = self.name
        view = OwnPasswordView.as_view(
            form_class=self.password_change_form,
            success_url=reverse("admin:password_change_done"),
            template_name="registration/password_change_form.html",
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return cast(HttpResponse, view(request))

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The command search. What was typed is cut and cleaned; all that is found fits one page."""
        asked: Any = request.GET.copy()
        asked["s"] = asked.get("s", "").strip()[:LONGEST_SEARCH]
        asked.pop("page", None)
        request.GET = asked
        return super().search(request, extra_context)

    def _search_apps(self, app_list: list[dict[str, Any]], search_term: str) -> list[SearchResult]:
        """Nothing: pages are found by the words of the menu, in ``_search_models``, which is told who asks."""
        return []

    def _search_models(
        self,
        request: HttpRequest,
        app_list: list[dict[str, Any]],
        search_term: str,
        allowed_models: list[str] | None = None,
    ) -> list[SearchResult]:
        """Pages by their names in the menu, then rows. Unfold's own would read every match of every model."""
        visible = {model["model"]._meta.label_lower for app in app_list for model in app["models"]}
        results = [
            SearchResult(
                title=str(item["title"]),
                description=str(group["title"]),
                link=item["link"],
                icon=item["icon"],
            )
            for group in sidebar.sidebar(request)["navigation"]
            for item in group["items"]
            if search_term in str(item["title"]).lower()
        ]
        for model, page in self._registry.items():
            if model._meta.label_lower not in visible or model._meta.label_lower not in SEARCHED:
                continue
            rows, _duplicates = page.get_search_results(request, page.get_queryset(request), search_term)
            for row in rows[:FOUND_PER_KIND]:
                results.append(
                    SearchResult(
                        title=str(row),
                        description=str(model._meta.verbose_name).capitalize(),
                        link=reverse(
                            f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=(row.pk,)
                        ),
                        icon=getattr(page, "icon", "data_object"),
                    )
                )
        return results


def _is_over(request: HttpRequest) -> bool:
    """Whether the sign-in that the session began with is too long ago; its first page notes when that was."""
    if not request.user.is_authenticated:
        return False
    now = timezone.now().timestamp()
    since: float = request.session.setdefault(SINCE, now)
    return now - since > SIGNED_IN_FOR.total_seconds()


def _with_policy(response: Any) -> Any:
    response.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    return response
