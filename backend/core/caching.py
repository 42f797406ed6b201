"""Which queries the query cache looks at at all, and when it is passed by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cachalot.api import LOCAL_STORAGE
from cachalot.utils import UncachableQuery, get_query_cache_key
from django.conf import settings


def query_key(compiler: Any) -> str:
    """The key of a query on a cachable table. Raises: UncachableQuery for any other.

    The cache's own function writes out the SQL of every query before it asks whether the table may be cached, so
    that each query on the large tables would be compiled twice.
    """
    model = compiler.query.model
    if model is None or model._meta.db_table not in settings.CACHALOT_ONLY_CACHABLE_TABLES:
        raise UncachableQuery
    key: str = get_query_cache_key(compiler)
    return key


@contextmanager
def uncached() -> Iterator[None]:
    """Within it this thread reads the tables themselves.

    The query cache hears of a change after it was committed: between the two it would still tell what was before.
    Its own way of being passed by stays so when what stands within fails.
    """
    was = getattr(LOCAL_STORAGE, "cachalot_enabled", True)
    LOCAL_STORAGE.cachalot_enabled = False
    try:
        yield
    finally:
        LOCAL_STORAGE.cachalot_enabled = was
