"""Keeps test processes that run side by side apart: each has its own database number of Valkey and its own state folder.

pytest-django gives each process a PostgreSQL database by itself. Loaded as a plugin before the settings are read.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit


def _settle(worker: str) -> None:
    number = int(worker.removeprefix("gw"))
    if url := os.environ.get("REDIS_URL"):
        os.environ["REDIS_URL"] = urlsplit(url)._replace(path=f"/{number + 1}").geturl()
    if state := os.environ.get("STATE_DIR"):
        folder = Path(state) / worker
        # whitenoise warns of a folder of static files that is not there, and a warning is an error here.
        (folder / "static").mkdir(parents=True, exist_ok=True)
        os.environ["STATE_DIR"] = str(folder)


if name := os.environ.get("PYTEST_XDIST_WORKER"):
    _settle(name)
