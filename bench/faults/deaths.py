"""``kill -9`` of each process, at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.faults.place import Place
from bench.faults.trial import Fault


def killing(name: str) -> Fault:
    """One process dies at once; the supervisor is there."""

    @contextmanager
    def trouble(place: Place) -> Iterator[None]:
        place.kill(name)
        yield

    # The others do not even notice a worker's death.
    unharmed = ("search", "book", "pay", "message", "read") if name == "worker" else ()
    return Fault(f"kill {name}", trouble, seconds=2.0 if name == "worker" else 0.0, unharmed=unharmed)


DEATHS = [killing(name) for name in ("web", "worker", "postgres", "valkey")]
