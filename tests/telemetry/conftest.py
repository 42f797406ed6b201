"""A recorder that listens, but writes only when it is told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from backend.telemetry import writing
from backend.telemetry.recorder import Recorder, recorder


@pytest.fixture
def listening(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """The process's recorder, switched on without its thread."""
    monkeypatch.setattr(Recorder, "_start", lambda self: None)
    recorder.enabled = True
    for notes in (recorder.answered, recorder.failed, recorder.slow, recorder.tallied):
        notes.clear()
    writing.forget_parts()
    yield recorder
    recorder.enabled = False
    for notes in (recorder.answered, recorder.failed, recorder.slow, recorder.tallied):
        notes.clear()
    with connection.cursor() as cursor:
        cursor.execute("SELECT relid::text FROM pg_partition_tree('access_lines') WHERE isleaf AND level = 1")
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")
    writing.forget_parts()
