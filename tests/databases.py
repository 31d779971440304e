"""Fresh databases for tests, of both kinds. Imported by the conftest of each folder that needs them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import new_database, running_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """One server for the whole run."""
    with running_server() as directory:
        yield directory


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/controller.db"


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    return new_database(postgresql_server, f"bilocate{next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each test that asks for it runs on both."""
    return str(request.getfixturevalue(f"{request.param}_url"))
