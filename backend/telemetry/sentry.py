"""Errors to Sentry, or whatever speaks its language, where ``SENTRY_DSN`` names one. Nothing of a person goes along.

Sentry's own integrations look into requests, local variables and log lines. None of them is switched on: what the log
calls an error is sent with its trace, and what is sent consists of ``SENT`` only, cleaned as the log is.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog
from django.conf import settings

from backend.telemetry.handler import clean

ERRORS = frozenset(("error", "exception", "critical", "fatal"))
SENT = frozenset(
    """
    event_id timestamp level logger logentry exception tags contexts platform release environment server_name sdk
    """.split()  # noqa: SIM905 - a list of words reads better than a column of strings
)
TAGS = ("request_id", "trace_id", "door", "task", "job_id")
CONTEXTS = ("trace",)
ITS_OWN = ("sentry_sdk", "urllib3")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_is_on = False


def start() -> None:
    """Send errors from now on, where a ``SENTRY_DSN`` is set."""
    global _is_on
    if not settings.SENTRY_DSN:
        return
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration

    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        environment=settings.ENVIRONMENT,
        release=settings.RELEASE or None,
        default_integrations=False,
        auto_enabling_integrations=False,
        # What still waits is sent at the end, without a word about it on the screen.
        integrations=[AtexitIntegration(callback=lambda pending, timeout: None)],
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        before_send=_before_send,  # type: ignore[arg-type]
    )
    _is_on = True


def stop() -> None:
    """Send what waits, and nothing more."""
    global _is_on
    if _is_on:
        import sentry_sdk

        sentry_sdk.get_client().close(timeout=2)
        _is_on = False


def see(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor, before exceptions become text: sends errors, and changes nothing."""
    if _is_on and method in ERRORS:
        _tell(str(event.get("event", "")), str(event.get("logger", "")), _exc_info(event.get("exc_info")))
    return event


class Handler(logging.Handler):
    """Sends the errors that libraries log by themselves; ours have been seen by ``see``."""

    def emit(self, record: logging.LogRecord) -> None:
        if _is_on and not isinstance(record.msg, dict) and not record.name.startswith(ITS_OWN):
            _tell(record.getMessage(), record.name, _exc_info(record.exc_info))


def _tell(words: str, logger: str, exc_info: ExcInfo | None) -> None:
    import sentry_sdk
    from sentry_sdk.utils import event_from_exception

    made: dict[str, Any] = {}
    if exc_info is not None:
        options = sentry_sdk.get_client().options
        mechanism = {"type": "logging", "handled": True}
        made = dict(event_from_exception(exc_info, client_options=options, mechanism=mechanism)[0])
    bound = structlog.contextvars.get_contextvars()
    made |= {
        "level": "error",
        "logger": logger,
        "logentry": {"message": words},
        "tags": {name: str(bound[name]) for name in TAGS if name in bound},
    }
    sentry_sdk.capture_event(made)  # type: ignore[arg-type]


def _exc_info(given: Any) -> ExcInfo | None:
    """As ``sys.exc_info`` has it, of whatever a logger was given."""
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if isinstance(given, tuple):
        return given if given[0] is not None else None
    found = sys.exc_info() if given else (None, None, None)
    return found if found[0] is not None else None


def _before_send(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    """What may leave of an event. The last look, whatever has put something in before."""
    kept = {name: value for name, value in event.items() if name in SENT}
    kept["contexts"] = {name: value for name, value in kept.get("contexts", {}).items() if name in CONTEXTS}
    kept["tags"] = {name: value for name, value in kept.get("tags", {}).items() if name in TAGS}
    for raised in kept.get("exception", {}).get("values", ()):
        for frame in (raised.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    cleaned: dict[str, Any] = _cleaned(kept)
    return cleaned


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {name: _cleaned(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each) for each in value]
    return value
