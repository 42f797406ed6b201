"""Compare what a provider says it did with what we know; the difference must be nothing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from backend.core.db import outside_transaction
from backend.payments.models import MoneyOp
from backend.payments.providers import registry

WINDOW = timedelta(hours=48)
"""How far back a comparison looks."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One order that the two sides tell differently. ``ours`` is empty when we know nothing of it."""

    provider: str
    key: str
    ours: str
    theirs: str
    what: Literal["unknown_to_us", "outcome", "terms"]


def differences(*, now: datetime) -> list[Difference]:
    """What the providers did in the last ``WINDOW`` and we do not know so; open operations are no difference yet.

    Asks the providers: call it outside of a transaction. Raises: ProviderUnavailable.
    """
    outside_transaction("a payment provider")
    found = []
    for name, provider in registry.configured().items():
        movements = list(provider.list_recent(now - WINDOW))
        ours = {str(op.pk): op for op in _ours(name, [each.key for each in movements])}
        for theirs in movements:
            op = ours.get(theirs.key)
            if op is None:
                found.append(Difference(name, theirs.key, "", theirs.status, "unknown_to_us"))
            elif (op.kind, op.amount_minor, op.currency) != (
                theirs.kind,
                theirs.amount_minor,
                theirs.currency,
            ):
                found.append(Difference(name, theirs.key, op.state, theirs.status, "terms"))
            elif op.state in (MoneyOp.State.SUCCEEDED, MoneyOp.State.FAILED) and op.state != theirs.status:
                found.append(Difference(name, theirs.key, op.state, theirs.status, "outcome"))
    return found


def _ours(provider: str, keys: Iterable[str]) -> Iterable[MoneyOp]:
    ids = []
    for key in keys:
        with suppress(ValueError):  # a key that is none of ours has another form
            ids.append(UUID(key))
    return MoneyOp.objects.filter(provider=provider, pk__in=ids)
