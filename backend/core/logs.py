"""What may stand in a log line: named fields only, and never a secret or a person's address in them."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

ALLOWED = frozenset(
    """
    action address amount_minor at attempt attempts booking_id cause changed channel code count currency
    delivery delivery_id digest door error_code event events exception exc_info error folio_id id job job_id key kind level limit listing_id logger message
    method ms name number object_id op op_id part pause_s payment_id policy positional_args provider queue reason
    request_id route rows row_id said sent setting sql_ms stack stack_info state statements status sweep table task trace_id tries user user_id
    version worker
    """.split()  # noqa: SIM905 - a list of words reads better than a column of strings
)
"""Fields of a log line. What is logged under another name is left out, and its name noted in ``dropped``."""

_INTERNAL = ("_record", "_from_structlog")
_SECRETS = (
    (re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"), "<email>"),
    (re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "<token>"),
    (re.compile(r"(?i)(bearer|ticket=|token=|password=|secret=)\s*[^\s\"'&,]+"), r"\1<secret>"),
    (re.compile(r"\+\d[\d ()-]{6,}\d"), "<phone>"),
)


def scrub(text: str) -> str:
    """``text`` without emails, tokens and phone numbers."""
    for pattern, stand_in in _SECRETS:
        text = pattern.sub(stand_in, text)
    return text


def allow_listed(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: keeps the allowed fields, scrubs their texts."""
    kept: dict[str, Any] = {}
    dropped = []
    for name, value in event.items():
        if name in _INTERNAL:
            kept[name] = value
        elif name not in ALLOWED:
            dropped.append(name)
        else:
            kept[name] = (
                scrub(value) if isinstance(value, str) and name not in ("at", "request_id") else value
            )
    if dropped:
        kept["dropped"] = sorted(dropped)
    return kept
