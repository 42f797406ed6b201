from __future__ import annotations

import pytest
from cachalot.settings import cachalot_settings
from cachalot.utils import UncachableQuery
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import User
from backend.core.caching import query_key
from backend.core.models import Currency

pytestmark = pytest.mark.usefixtures("db")


def test_query_key_is_what_the_query_cache_uses() -> None:
    assert cachalot_settings.CACHALOT_QUERY_KEYGEN is query_key


def test_query_key_refuses_tables_that_are_not_cached_without_compiling_the_query() -> None:
    compiler = User.objects.filter(username="nobody").query.get_compiler("default")
    compiler.as_sql = None

    with pytest.raises(UncachableQuery):
        query_key(compiler)


def test_query_key_tells_queries_on_cached_tables_apart() -> None:
    keys = [
        query_key(Currency.objects.filter(code=code).query.get_compiler("default"))
        for code in ("EUR", "EUR", "JPY")
    ]

    assert keys[0] == keys[1] != keys[2]


def test_cached_tables_are_read_once_and_again_after_a_change() -> None:
    def read() -> list[str]:
        return list(Currency.objects.filter(code="EUR").values_list("name", flat=True))

    first = read()
    with CaptureQueriesContext(connection) as queries:
        assert read() == first
    assert len(queries) == 0

    Currency.objects.filter(code="EUR").update(name="Test")
    try:
        assert read() == ["Test"]
    finally:
        Currency.objects.filter(code="EUR").update(name=first[0])
