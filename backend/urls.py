"""Which door lies behind which path. Wiring only."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import path, re_path
from django.views.generic import RedirectView
from django.views.static import serve

from api import documents
from api.appeal_page import appeal_page
from api.demo import page as demo
from api.graphql.view import graphql
from api.health import live, ready
from api.machines import read_only
from api.main import api
from api.metrics import metrics
from api.unsubscribe import unsubscribe

urlpatterns = [
    *(
        path(f"{place}{slash}", read_only(view))
        for place, view in (("health/live", live), ("health/ready", ready))
        for slash in ("", "/")
    ),
    # In one form only: proxies keep exactly this path to themselves.
    path("metrics", read_only(metrics)),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/openapi.json", documents.openapi),
    path("api/docs", documents.docs),
    path("api/unsubscribe/<str:word>/", unsubscribe),
    path("api/appeals/<str:word>/", appeal_page),
    path("api/", api.urls),
    path("graphql/", graphql),
]
if not settings.PRODUCTION:
    urlpatterns += [
        path("demo/", demo.page),
        path("demo/app.js", demo.script),
        path("demo/style.css", demo.style),
    ]
if not settings.PRODUCTION and not settings.ENV.storage_bucket:
    urlpatterns.append(re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}))

handler400 = "api.faults.bad_request"
handler403 = "api.faults.permission_denied"
handler404 = "api.faults.not_found"
handler500 = "api.faults.server_error"
