"""A real browser, for the tests of what only a browser shows."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from tests.factories import PASSWORD

T = TypeVar("T")
Browse = Callable[[str, str, Callable[[Page], T]], T]

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run", "--no-default-browser-check"),
]


def is_error(said: ConsoleMessage) -> bool:
    """Whether the page complains. Fragments that a test opens by themselves name no icon; that is no fault."""
    return said.type == "error" and not said.location["url"].endswith("/favicon.ico")


@pytest.fixture
def browse() -> Browse[Any]:
    """``browse(url, username, steps)``: sign in to the back office at ``url`` and answer what ``steps(page)`` does.

    The database is not for the steps: they run beside the browser's event loop. Fails when a page reports an error.
    """
    path = os.environ.get("CHROMIUM")
    if not path:
        pytest.fail(
            "No browser: this test drives Chromium, whose path stands in CHROMIUM (run.py test finds or installs it)."
        )

    def run(url: str, username: str, steps: Callable[[Page], T]) -> T:
        errors: list[str] = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.set_default_timeout(15_000)
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: errors.append(said.text) if is_error(said) else None)
            page.goto(f"{url}/admin/")
            page.fill("input[name=username]", username)
            page.fill("input[name=password]", PASSWORD)
            page.click("#login-form button[type=submit]")
            page.wait_for_url(f"{url}/admin/")
            try:
                answer = steps(page)
            finally:
                context.close()
                browser.close()
        assert errors == []
        return answer

    return run
