"""What is done to the cluster: restarts in turn, ``kill -9`` of each part, and a primary that is lost for good."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from operator import attrgetter

from bench.cluster.nodes import Node, Part
from bench.cluster.site import Site
from bench.cluster.trial import Trial

ORDERLY = (0, -signal.SIGTERM)
"""How a process ends that did what it was told; uvicorn says by which signal, when all is done."""

SETTLED_S = 3.0
"""Between a node that is back and the end of the next one: until the proxy has found it again."""


def rolling(what: str) -> Trial:
    """Each node of a kind is asked to end and started again, the next one when it can be used."""

    def trouble(site: Site) -> list[str]:
        found, nodes = [], _nodes(site, what)
        for node in nodes:
            site.parts.keeper.rest(node)
            code = node.drain()
            if code not in ORDERLY:
                found.append(f"{node.name} ended with {code}")
            node.start()
            site.parts.keeper.tend(node)
            time.sleep(SETTLED_S)
        return found

    return Trial(f"restart {what}", trouble, is_rolling=True)


def _nodes(site: Site, what: str) -> list[Node]:
    found: list[Node] = {
        "web": site.parts.web,
        "websockets": site.parts.sockets,
        "workers": site.parts.workers,
    }[what]
    return found


def killing(name: str, find: Callable[[Site], Part]) -> Trial:
    """``kill -9`` of one part; whoever keeps the cluster starts it again."""

    def trouble(site: Site) -> list[str]:
        find(site).kill()
        return []

    return Trial(f"kill {name}", trouble)


def losing_the_primary(*, synchronous: bool) -> Trial:
    """The primary is gone for good, and the replica takes its place; then a new replica is made."""

    def around(site: Site) -> AbstractContextManager[None]:
        return site.parts.database.synchronous()

    def trouble(site: Site) -> list[str]:
        database, keeper = site.parts.database, site.parts.keeper
        old, new = database.primary, database.standby
        assert new is not None
        keeper.rest(old)
        keeper.rest(new)
        old.kill()
        database.promote()
        keeper.forget(old)
        keeper.tend(new)
        return []

    def after(site: Site) -> None:
        site.parts.keeper.add(site.parts.database.follow(port=site.parts.replica_port))

    name = f"lose the primary, {'synchronous' if synchronous else 'asynchronous'}"
    if synchronous:
        return Trial(name, trouble, around=around, after=after)
    return Trial(name, trouble, after=after, may_lose=True)


TRIALS = [
    *(rolling(what) for what in ("web", "websockets", "workers")),
    *(killing(f"web {number + 1}", lambda site, at=number: site.parts.web[at]) for number in range(2)),
    *(
        killing(f"websocket {number + 1}", lambda site, at=number: site.parts.sockets[at])
        for number in range(2)
    ),
    *(killing(f"worker {number + 1}", lambda site, at=number: site.parts.workers[at]) for number in range(2)),
    killing("replica", attrgetter("parts.database.standby")),
    killing("PgBouncer", attrgetter("parts.pooler")),
    killing("Valkey", attrgetter("parts.cache")),
    killing("nginx", attrgetter("parts.proxy")),
    killing("primary", attrgetter("parts.database.primary")),
    losing_the_primary(synchronous=True),
    losing_the_primary(synchronous=False),
]
"""In this order: what may lose something comes last."""


def word(name: str) -> str:
    """A trial's name as ``--only`` takes it."""
    return name.replace(",", "").replace(" ", "-").lower()
