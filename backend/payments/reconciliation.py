"""Compare what a provider says it did with what we know; the difference must be nothing.

Every ten minutes the last ``WINDOW``, once a day the last ``LONG_WINDOW``, of every configured provider: one
``ReconciliationRun`` each. What the two sides tell differently is a ``ReconciliationDifference`` from when it was first
seen until it is gone, or until a person says what it was. Operations that are still open are no difference, and neither
is a provider that does not answer: that is a failed run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.core import access
from backend.core.db import lock, outside_transaction
from backend.core.errors import Invalid, WrongState
from backend.payments import sending
from backend.payments.models import MoneyOp, Payment, Payout, ReconciliationDifference, ReconciliationRun
from backend.payments.providers import registry
from backend.payments.providers.base import Movement, Provider, ProviderUnavailable, Result

WINDOW = timedelta(hours=48)
"""How far back a comparison looks."""

LONG_WINDOW = timedelta(days=8)
"""How far back one comparison a day looks."""

LONG_EVERY = timedelta(hours=24)

LAG = timedelta(minutes=10)
"""How long a provider may take until its list has what it told us itself."""

ASKED = 200
"""How many orders that are missing in a list are asked for by name in one comparison."""

RUNS_KEPT = timedelta(days=30)

BATCH = 1_000

FINAL = (MoneyOp.State.SUCCEEDED.value, MoneyOp.State.FAILED.value)

What = Literal["unknown_to_us", "unknown_to_them", "outcome", "terms"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Difference:
    """One order that the two sides tell differently. ``ours`` (or ``theirs``) is empty when that side knows nothing of it."""

    provider: str
    key: str
    ours: str
    theirs: str
    what: What


@dataclass(slots=True)
class Comparison:
    """What one provider's list came to: how many orders it has, which keys they have, and what differs."""

    compared: int = 0
    keys: set[str] = field(default_factory=set)
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a provider's list and our operations stand: differences that nobody has settled, and the last runs.

    ``good_at`` is when a comparison last came to its end, None when none ever did.
    """

    provider: str
    differences: int
    good_at: datetime | None
    failure: str


@access.rule("reconciliation.view")
def may_view(actor: Any, subject: object) -> bool:
    return actor.has_role(FINANCE, ADMIN)


@access.rule("reconciliation.settle")
def may_settle(actor: Any, difference: ReconciliationDifference | None) -> bool:
    return actor.has_role(FINANCE, ADMIN)


def differences(*, now: datetime) -> list[Difference]:
    """What all providers did in the last ``WINDOW`` and we tell otherwise. Writes nothing.

    Asks the providers: call it outside of a transaction. Raises: ProviderUnavailable.
    """
    outside_transaction("a payment provider")
    providers = registry.configured().values()
    return [
        each for provider in providers for each in compare(provider, since=now - WINDOW, now=now).differences
    ]


def reconcile(*, now: datetime) -> dict[str, int]:
    """Compare with every configured provider and keep what came of it.

    Asks the providers: call it outside of a transaction. A provider that does not answer, or whose list cannot be
    read, leaves a failed run and does not keep the others from being compared. Gives what was ``compared``, how many
    ``differences`` nobody has settled, and how many runs ``failed``.
    """
    outside_transaction("a payment provider")
    counts = {"compared": 0, "differences": 0, "failed": 0}
    for provider in registry.configured().values():
        run = _reconcile_one(provider, now)
        counts["compared"] += run.compared
        counts["differences"] += run.differences
        counts["failed"] += bool(run.failure)
    return counts


def reconcile_with(name: str, *, now: datetime) -> ReconciliationRun:
    """Compare with one provider at once and keep what came of it; ``failure`` says that it did not answer.

    Call it outside of a transaction. Raises: ProviderUnknown.
    """
    outside_transaction("a payment provider")
    return _reconcile_one(registry.get(name), now)


def compare(provider: Provider, *, since: datetime, now: datetime) -> Comparison:
    """The provider's list from ``since`` on beside our operations. Writes nothing.

    Asks the provider: call it outside of a transaction. Raises: ProviderUnavailable.
    """
    outside_transaction("a payment provider")
    found = Comparison()
    references: dict[str, str] = {}
    for movements in _batches(provider.list_recent(since)):
        ours = _ours(provider.name, [each.key for each in movements])
        for theirs in movements:
            found.compared += 1
            # Two orders of theirs under one key of ours: the second is one that we never asked for.
            is_second = references.setdefault(theirs.key, theirs.reference) != theirs.reference
            key = theirs.reference if is_second or not theirs.key else theirs.key
            found.keys.add(key)
            difference = _difference(provider.name, key, theirs, ours.get(key), now)
            if difference is not None:
                found.differences.append(difference)
    found.differences += _missing(provider, found.keys, since, now)
    return found


def settle(*, actor: Any, difference_id: int, note: str, now: datetime) -> None:
    """Say what a difference was, so that nobody looks for it again; it comes back only when it changes.

    Raises: NotAllowed, NotFound, WrongState (settled already), Invalid (no note).
    """
    with transaction.atomic():
        access.require(actor, "reconciliation.settle")
        difference = lock(ReconciliationDifference.objects.all(), pk=difference_id)
        if difference.settled_at is not None:
            raise WrongState(extra={"state": "settled"})
        if not note.strip():
            raise Invalid.field("note", "required", _("Say what it was."))
        difference.settled_at, difference.note = now, note.strip()
        difference.save(update_fields=["settled_at", "note"])
        audit.record(
            actor=actor,
            action="reconciliation.settle",
            subject=difference,
            after={"provider": difference.provider, "key": difference.key, "what": difference.what},
            reason=difference.note,
            now=now,
        )


def standing() -> list[Standing]:
    """How every provider stands that is configured or still has a difference, by name. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT provider, coalesce(different.count, 0), good_at, coalesce(failure, '')
            FROM (
                SELECT provider, max(ran_at) FILTER (WHERE failure = '') AS good_at,
                       (array_agg(failure ORDER BY id DESC))[1] AS failure
                FROM reconciliation_runs GROUP BY provider
            ) AS runs
            FULL JOIN (
                SELECT provider, count(*) FROM reconciliation_differences WHERE settled_at IS NULL GROUP BY provider
            ) AS different USING (provider)
            """
        )
        known = {row[0]: Standing(*row) for row in cursor.fetchall()}
    names = {*registry.configured(), *(name for name, found in known.items() if found.differences)}
    return [known.get(name) or Standing(name, 0, None, "") for name in sorted(names)]


def purge(*, now: datetime) -> int:
    """Forget runs that are older than ``RUNS_KEPT``. Differences stay."""
    return ReconciliationRun.objects.filter(ran_at__lt=now - RUNS_KEPT).delete()[0]


def _reconcile_one(provider: Provider, now: datetime) -> ReconciliationRun:
    since = now - (LONG_WINDOW if _wants_long(provider.name, now) else WINDOW)
    run = ReconciliationRun(provider=provider.name, since=since, until=now, ran_at=now)
    try:
        found = compare(provider, since=since, now=now)
    except ProviderUnavailable as error:
        log.warning("reconciliation.no_answer", provider=provider.name, error=str(error))
        run.failure = f"no answer: {error}"[:300]
    except Exception as error:
        # A list in a form that we cannot read is one provider's trouble; it stands on the dashboard as a failed run.
        log.exception("reconciliation.failed", provider=provider.name)
        run.failure = f"{type(error).__name__}: {error}"[:300]
    else:
        run.compared = found.compared
        run.differences = _keep(provider.name, found, since=since, now=now)
    run.save()
    if run.differences:
        log.error("reconciliation.differences", provider=provider.name, count=run.differences)
    return run


def _wants_long(provider: str, now: datetime) -> bool:
    recent = ReconciliationRun.objects.filter(provider=provider, failure="", ran_at__gt=now - LONG_EVERY)
    spans = recent.values_list("since", "until")
    return all(until - since < LONG_WINDOW for since, until in spans)


def _batches(movements: Iterable[Movement]) -> Iterator[list[Movement]]:
    left = iter(movements)
    while batch := list(islice(left, BATCH)):
        yield batch


@dataclass(frozen=True, slots=True)
class _Ours:
    """An operation as it is compared. ``came_back``: it succeeded, and the money was returned later."""

    kind: str
    amount_minor: int
    currency: str
    state: str
    updated_at: datetime
    came_back: bool

    @property
    def outcome(self) -> str:
        return "failed" if self.came_back else self.state


def _ours(provider: str, keys: Iterable[str]) -> dict[str, _Ours]:
    rows = MoneyOp.objects.filter(provider=provider, pk__in=_uuids(keys)).values_list(
        *(
            "pk",
            "kind",
            "amount_minor",
            "currency",
            "state",
            "updated_at",
            "payment__status",
            "payout__status",
        )
    )
    return {
        str(pk): _Ours(kind, amount, currency, state, updated_at, _came_back(kind, state, paid, sent))
        for pk, kind, amount, currency, state, updated_at, paid, sent in rows
    }


def _came_back(kind: str, state: str, payment: str | None, payout: str | None) -> bool:
    if state != MoneyOp.State.SUCCEEDED:
        return False
    if kind == MoneyOp.Kind.REFUND:
        return payment == Payment.Status.FAILED
    return kind == MoneyOp.Kind.PAYOUT and payout in (Payout.Status.FAILED, Payout.Status.REVERSED)


def _difference(
    provider: str, key: str, theirs: Movement, ours: _Ours | None, now: datetime
) -> Difference | None:
    if ours is None:
        # What they refused moved nothing, whoever asked for it.
        return (
            None
            if theirs.status == "failed"
            else Difference(provider, key, "", theirs.status, "unknown_to_us")
        )
    agreed = (ours.kind, ours.amount_minor, ours.currency)
    if agreed != (theirs.kind, theirs.amount_minor, theirs.currency):
        told = f"{theirs.kind} {theirs.amount_minor} {theirs.currency}"
        return Difference(provider, key, " ".join(map(str, agreed)), told, "terms")
    is_late = theirs.status not in FINAL and ours.updated_at > now - LAG
    if ours.state not in FINAL or is_late or theirs.status in (ours.state, ours.outcome):
        return None
    return Difference(provider, key, ours.outcome, theirs.status, "outcome")


def _missing(provider: Provider, known: set[str], since: datetime, now: datetime) -> list[Difference]:
    """What succeeded with us and stands not in the list of a provider that lists such orders.

    A list may lag and clocks may differ: what is not on it is asked for by name first, up to ``ASKED``.
    """
    succeeded = MoneyOp.objects.filter(
        provider=provider.name,
        kind__in=provider.lists,
        state=MoneyOp.State.SUCCEEDED,
        created_at__gte=since,
        updated_at__lte=now - LAG,
    )
    absent = [pk for pk in succeeded.values_list("pk", flat=True).iterator() if str(pk) not in known]
    whole = MoneyOp.objects.select_related("payment", "payout__account")
    found = {pk for pk in absent[:ASKED] if _is_known(sending.look_up(whole.get(pk=pk), at=now))}
    return [
        Difference(provider.name, str(pk), "succeeded", "", "unknown_to_them")
        for pk in absent
        if pk not in found
    ]


def _is_known(result: Result | None) -> bool:
    """Whether a provider that was asked by name knows of an order and does not call it failed."""
    return result is not None and result.status != "failed"


def _keep(provider: str, found: Comparison, *, since: datetime, now: datetime) -> int:
    """Write down what differs and settle what does not any more; how many differences are open of those found.

    What a person has settled stays settled as long as both sides say the same.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            # One comparison of a provider at a time writes: a second would settle what the first has just found.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"reconciliation {provider}"])
        explained = set(
            ReconciliationDifference.objects.filter(provider=provider, settled_at__isnull=False)
            .exclude(note="")
            .filter(key__in=[each.key for each in found.differences])
            .values_list("key", "what", "ours", "theirs")
        )
        fresh = [
            each
            for each in found.differences
            if (each.key, each.what, each.ours, each.theirs) not in explained
        ]
        _write(fresh, now)
        _settle_gone(provider, found, {(each.key, each.what) for each in fresh}, since, now)
    return len(fresh)


def _write(fresh: Sequence[Difference], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO reconciliation_differences AS known
                (provider, key, what, ours, theirs, first_seen_at, last_seen_at, note)
            SELECT DISTINCT ON (provider, key, what) provider, left(key, 120), what, ours, theirs, %(now)s, %(now)s, ''
            FROM jsonb_to_recordset(%(rows)s::jsonb)
                AS seen (provider text, key text, what text, ours text, theirs text)
            ON CONFLICT (provider, key, what) WHERE settled_at IS NULL
            DO UPDATE SET last_seen_at = excluded.last_seen_at, ours = excluded.ours, theirs = excluded.theirs
            """,
            {"now": now, "rows": json.dumps([asdict(each) for each in fresh])},
        )


def _settle_gone(
    provider: str, found: Comparison, open_ones: set[tuple[str, str]], since: datetime, now: datetime
) -> None:
    """Settle the differences that this comparison would have seen and did not.

    An order before ``since`` is not looked at, so that its difference stays until a person settles it.
    """
    rows = list(ReconciliationDifference.objects.filter(provider=provider, settled_at=None))
    looked_at = found.keys | _in_window(provider, [row.key for row in rows], since)
    gone = [row.pk for row in rows if (row.key, row.what) not in open_ones and row.key in looked_at]
    ReconciliationDifference.objects.filter(pk__in=gone).update(settled_at=now)


def _in_window(provider: str, keys: Sequence[str], since: datetime) -> set[str]:
    recent = MoneyOp.objects.filter(provider=provider, pk__in=_uuids(keys), created_at__gte=since)
    return {str(pk) for pk in recent.values_list("pk", flat=True)}


def _uuids(keys: Iterable[str]) -> list[UUID]:
    ids = []
    for key in keys:
        with suppress(ValueError):  # a key that is none of ours has another form
            ids.append(UUID(key))
    return ids
