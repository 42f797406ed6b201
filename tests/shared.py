"""Where the real data lies that some tests read: beside the repository, never inside it."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def shared(path: str) -> Path:
    """The real file at ``path`` below the shared data; the test fails with a clear sentence when it is not there."""
    file = SHARED / path
    if not file.exists():
        pytest.fail(f"this test reads real data that is not part of the repository: ../shared/data/{path}")
    return file
