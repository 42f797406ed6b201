"""The TypeScript client in a folder of its own, with the packages that its lock file names; a browser for its page."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

from tests.admin_site.conftest import ARGUMENTS
from tests.conftest import ROOT

CLIENT = ROOT / "clients" / "typescript"

T = TypeVar("T")
Run = Callable[..., str]
Look = Callable[[Callable[[Page], T]], T]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the client's folder with its packages, fetched by name."""
    if not (npm := shutil.which("npm")):
        pytest.fail(
            "No npm: this test builds the TypeScript client with Node.js (on Debian: apt install npm)."
        )
    folder = tmp_path_factory.mktemp("clients") / "typescript"
    left_behind = shutil.ignore_patterns("node_modules", "dist", "build")
    shutil.copytree(CLIENT, folder, ignore=left_behind)
    _call([npm, "ci", "--ignore-scripts"], folder)
    return folder


@pytest.fixture
def run(workshop: Path) -> Run:
    """``run("node", ...)``: run a program in the client's folder; a package's own by its name. Answers what it says."""

    def call(program: str, *arguments: str | Path) -> str:
        own = workshop / "node_modules" / ".bin" / program
        return _call([str(own) if own.exists() else program, *map(str, arguments)], workshop)

    return call


def _call(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def is_error(said: ConsoleMessage) -> bool:
    """Whether the page complains. The browser notes each refusal of the API as well, and the page shows those."""
    return said.type == "error" and not said.text.startswith("Failed to load resource: the server responded")


@pytest.fixture
def look() -> Look[Any]:
    """``look(steps)``: answer what ``steps(page)`` does in a browser of a phone's width that prefers the dark.

    Fails when a page reports an error, such as what its own policy forbids.
    """
    path = os.environ.get("CHROMIUM")
    if not path:
        pytest.fail(
            "No browser: this test drives Chromium, whose path stands in CHROMIUM (run.py test finds or installs it)."
        )

    def run(steps: Callable[[Page], T]) -> T:
        errors: list[str] = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
            context.set_default_timeout(15_000)
            expect.set_options(timeout=15_000)
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: errors.append(said.text) if is_error(said) else None)
            try:
                answer = steps(page)
            finally:
                context.close()
                browser.close()
        assert errors == []
        return answer

    return run
