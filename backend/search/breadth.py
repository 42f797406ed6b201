"""How broad a scope is: narrow ones are looked through completely, of broad ones some hits are taken.

Counting a scope costs as much as the rest of a search, and the answer hardly ever changes: each process remembers it
for a while. It decides only how a search goes about it, and whether a long list is counted to its end.
"""

from __future__ import annotations

import time
from collections.abc import Hashable

REMEMBERED_FOR_S = 300.0
REMEMBERED = 10_000

_known: dict[Hashable, tuple[float, bool]] = {}


def is_narrow(scope: Hashable) -> bool | None:
    """What ``remember`` was told of the scope, None when that is not known or long ago."""
    entry = _known.get(scope)
    if entry is None or entry[0] < time.monotonic():
        return None
    return entry[1]


def remember(scope: Hashable, *, narrow: bool) -> None:
    """Keep it for ``REMEMBERED_FOR_S`` seconds."""
    if len(_known) >= REMEMBERED:
        _known.clear()
    _known[scope] = (time.monotonic() + REMEMBERED_FOR_S, narrow)
