"""A handler of Python's logging that keeps errors, for whoever has only the number of a request in hand."""

from __future__ import annotations

import logging
import re
import traceback

import structlog

from backend.core.logs import scrub

LONGEST_TRACE = 8000

_DETAIL = re.compile(r"(?m)^(DETAIL|CONTEXT): .*$")
"""What PostgreSQL adds to an error names the values of the row."""

_FRAME = '  File "'


class KeepErrors(logging.Handler):
    """Notes each record of level ERROR with its exception. Its secrets are taken out first."""

    def emit(self, record: logging.LogRecord) -> None:
        # Settings are not there yet when logging is set up.
        from backend.telemetry.recorder import Failed, recorder

        bound = structlog.contextvars.get_contextvars()
        said = record.msg if isinstance(record.msg, dict) else {}
        event = str(said.get("event", "")) if said else record.getMessage()
        kind, trace = "", str(said.get("exception", ""))
        if record.exc_info and record.exc_info[0] is not None:
            kind = record.exc_info[0].__name__
            trace = "".join(traceback.format_exception(*record.exc_info))
        elif trace:
            kind = _kind(trace)
        user = said.get("user_id", bound.get("user_id"))
        recorder.fail(
            Failed(
                record.created,
                str(said.get("request_id", bound.get("request_id", "")))[:64],
                str(bound.get("door", ""))[:20],
                record.name[:80],
                clean(event)[:300],
                clean(kind)[:120],
                clean(trace)[-LONGEST_TRACE:],
                user if isinstance(user, int) else None,
            )
        )


def _kind(trace: str) -> str:
    """The name of the exception that a trace tells: the first word behind its last frame."""
    behind = trace[trace.rfind(_FRAME) + 1 :].splitlines()[1:] if _FRAME in trace else trace.splitlines()
    last = next((line for line in behind if line[:1].strip()), "")
    return last.partition(":")[0].rpartition(".")[2]


def clean(text: str) -> str:
    """``text`` without secrets and values, and without what PostgreSQL does not keep."""
    return scrub(_DETAIL.sub(r"\1: <left out>", text)).replace("\0", "")
