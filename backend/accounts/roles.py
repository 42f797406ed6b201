"""What each role may see and change in the back office, as permissions of the group of the same name.

Guests and hosts have none: what they may do is asked of the rules beside the operations. Staff look at models
through these permissions; state and money change only through operations, which ask their own rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import AppConfig
from django.apps.registry import Apps

from backend.accounts.models import ADMIN, FINANCE, GUEST, HOST, MODERATOR, SUPPORT

SEES: dict[str, frozenset[str]] = {
    GUEST: frozenset(),
    HOST: frozenset(),
    SUPPORT: frozenset(
        {
            "accounts",
            "listings",
            "rates",
            "availability",
            "bookings",
            "notifications",
            "messaging",
            "moderation",
            "reviews",
        }
    ),
    MODERATOR: frozenset(
        {
            *("accounts", "listings", "rates", "availability", "notifications", "messaging", "moderation"),
            *("reviews", "audit"),
        }
    ),
    FINANCE: frozenset({"accounts", "bookings", "rates", "payments", "core", "audit"}),
    ADMIN: frozenset(
        {
            *("accounts", "audit", "auth", "availability", "bookings", "core", "listings", "notifications"),
            *(
                "messaging",
                "moderation",
                "payments",
                "privacy",
                "procrastinate",
                "rates",
                "reviews",
                "search",
            ),
        }
    ),
}
"""Role → the apps whose tables it may look at."""

HIDDEN: dict[str, frozenset[str]] = {
    SUPPORT: frozenset({"view_identitycheck"}),
    FINANCE: frozenset({"view_identitycheck"}),
}
"""Role → what it may not look at in those apps: identity documents are for those who decide on them."""

CHANGES: dict[str, frozenset[str]] = {
    ADMIN: frozenset({"core.change_platformsetting", "core.add_platformsetting", "auth.change_group"}),
    MODERATOR: frozenset({"listings.change_listing"}),
}
"""Role → what it may edit directly, beside the actions."""


def permissions_of(role: str, app_label: str) -> Iterator[tuple[str, str]]:
    """The changes of ``role`` in an app, as (app label, code name)."""
    for permission in CHANGES.get(role, ()):
        label, codename = permission.split(".")
        if label == app_label:
            yield label, codename


def grant(app_config: AppConfig, using: str, apps: Apps, **kwargs: Any) -> None:
    """Give every role its permissions in one app. Runs after the app's migrations, when its permissions exist.

    Adds only: what an administrator has given a group besides stays.
    """
    try:
        group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:
        return
    label = app_config.label
    of_app = permission_model.objects.using(using).filter(content_type__app_label=label)
    for role, seen in SEES.items():
        group = group_model.objects.using(using).filter(name=role).first()
        if group is None:
            continue
        hidden = HIDDEN.get(role, frozenset())
        views = of_app.filter(codename__startswith="view_").exclude(codename__in=hidden)
        given = list(views) if label in seen else []
        for _label, codename in permissions_of(role, label):
            given.extend(of_app.filter(codename=codename))
        group.permissions.add(*given)
