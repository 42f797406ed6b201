"""One server for all tests of a module: it keeps nothing that the emptied database does not know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Server, servers


@pytest.fixture(scope="module")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A web server on the test database."""
    with servers(tmp_path_factory.mktemp("server")) as start:
        yield start()


@pytest.fixture
def server(db: None, running: Server) -> Server:
    """The module's server with an empty database."""
    return running
