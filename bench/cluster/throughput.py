"""Two web nodes against one."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cluster.site import Site

NAME = "throughput"


def run(made: Site) -> Iterator[str]:
    yield from ()
