"""Unfold's frame: environment label, sidebar, what the command search may find."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def environment_label(request: HttpRequest) -> list[str]:
    return ["development", "info"]


def sidebar(request: HttpRequest) -> dict[str, Any]:
    return {"show_search": True, "show_all_applications": True, "navigation": []}


def searchable_models(request: HttpRequest) -> list[str]:
    return ["accounts.user"]
