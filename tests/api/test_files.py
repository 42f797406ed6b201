"""Addresses of files, as the storage itself would give them."""

from __future__ import annotations

import pytest
from django.core.files.storage import default_storage
from django.test import override_settings

from api import files


@pytest.mark.parametrize(
    "name",
    [
        "photos/12/a1B2_c-3.jpg",
        "a.webp",
        "photos/a b.jpg",
        "photos/é.jpg",
        "photos/a?b#c%20.jpg",
        "photos/../b.jpg",
        "./b.jpg",
        "/b.jpg",
        "a//b.jpg",
        "https://elsewhere.example/a.jpg",
        "a.jpg\n",
    ],
)
def test_url_is_the_storages_own_under_our_address(name: str) -> None:
    with override_settings(PUBLIC_URL="https://stay.example"):
        own = default_storage.url(name)

        assert files.url(name) == (f"https://stay.example{own}" if own.startswith("/") else own)


def test_url_of_no_file_is_none() -> None:
    assert files.url("") is None
