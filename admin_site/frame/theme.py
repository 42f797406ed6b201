"""How the back office looks, and where its frame asks for what it shows: the one dictionary that Unfold reads.

Constants only: the settings import it before any application is loaded.
"""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Karibu",
    "SITE_HEADER": "Karibu",
    "SITE_SUBHEADER": _("Back office"),
    "SHOW_LANGUAGES": True,
    "LANGUAGES": {"action": lambda request: reverse("admin:language")},
    "SITE_URL": "/api/docs",
    "SITE_ICON": lambda request: static("admin_site/karibu.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("admin_site/karibu.svg")}
    ],
    "STYLES": [
        lambda request: static("admin_site/back-office.css"),
        lambda request: static("admin_site/settings.css"),
    ],
    "LOGIN": {"image": lambda request: static("admin_site/welcome.svg")},
    "ENVIRONMENT": "admin_site.frame.site.environment_label",
    "DASHBOARD_CALLBACK": "admin_site.home.dashboard.context",
    "SIDEBAR": "admin_site.frame.sidebar.sidebar",
    "COMMAND": {"search_models": "admin_site.frame.site.searchable_models", "show_history": True},
    "COLORS": {
        # A green lagoon: dark enough at 600 for white text on it (5.4 : 1).
        "primary": {
            "50": "oklch(98.4% .014 180.7)",
            "100": "oklch(95.3% .051 180.8)",
            "200": "oklch(91% .096 180.4)",
            "300": "oklch(85.5% .12 181.1)",
            "400": "oklch(74% .13 182)",
            "500": "oklch(62% .115 184)",
            "600": "oklch(51.1% .096 186.4)",
            "700": "oklch(43.7% .078 188.2)",
            "800": "oklch(38.6% .063 188.4)",
            "900": "oklch(33% .054 190)",
            "950": "oklch(27.7% .046 192.5)",
        },
    },
}
