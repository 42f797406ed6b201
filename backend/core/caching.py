"""Which queries the query cache looks at at all."""

from __future__ import annotations

from typing import Any

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
