"""Databases for the tests of this folder, and silence: every kill and failure here is meant."""

import pytest
from tests.databases import database_url, postgresql_server, postgresql_url, sqlite_url
from tests.operations.trial import Ends, Trial
from tests.operations.trying import Snapshots
from tests.quiet import quiet

__all__ = ["database_url", "postgresql_server", "postgresql_url", "quiet", "snapshots", "sqlite_url"]


@pytest.fixture(scope="session")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    return Snapshots(tmp_path_factory.mktemp("situations"))


@pytest.fixture(scope="module")
def ends() -> Ends:
    """What each verb leads to when nothing goes wrong."""
    return {}


@pytest.fixture
def trial(request: pytest.FixtureRequest, snapshots: Snapshots, ends: Ends) -> Trial:
    name, full = request.param if isinstance(request.param, tuple) else (request.param, False)
    return Trial(snapshots, ends, name, full)
