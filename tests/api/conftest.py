"""An API without agents, and one with agents that are played."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.api.harness import CONTROL_TOKEN, Api, config_in, open_api
from tests.databases import database_url, postgresql_server, postgresql_url, sqlite_url
from tests.operations.fake_agent import FakeWorld
from tests.quiet import quiet

from bilocate.config import ControllerConfig
from bilocate.operations.agents import AgentClient
from bilocate.operations.settings import settings_of
from bilocate.store.database import Database

__all__ = [
    "api",
    "database_url",
    "door",
    "first_start",
    "postgresql_server",
    "postgresql_url",
    "quiet",
    "sqlite_url",
    "world",
]


@dataclass(slots=True)
class World:
    """Both."""

    api: Api
    fake: FakeWorld


@pytest.fixture(scope="session")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A controller's files after its first start. Every test goes on with a copy: migrating takes its time."""
    directory = tmp_path_factory.mktemp("first-start")
    config = config_in(directory)

    async def run() -> None:
        await (await open_api(config, Database(config.database_url))).close()

    asyncio.run(run())
    return directory


def _config(first_start: Path, tmp_path: Path) -> ControllerConfig:
    shutil.copytree(first_start, tmp_path, dirs_exist_ok=True)
    return config_in(tmp_path)


@pytest.fixture(scope="session")
async def door(first_start: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One API for all tests in which every request is refused or only read: it stays as it is."""
    config = _config(first_start, tmp_path_factory.mktemp("door"))
    opened = await open_api(config, Database(config.database_url))
    yield opened
    await opened.close()


@pytest.fixture
async def api(first_start: Path, tmp_path: Path) -> AsyncIterator[Api]:
    config = _config(first_start, tmp_path)
    opened = await open_api(config, Database(config.database_url))
    yield opened
    await opened.close()


@pytest.fixture
async def world(first_start: Path, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(first_start, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def a_world(
    first_start: Path, directory: Path, zones: dict[str, str] | None = None
) -> AsyncIterator[World]:
    """A running API, and an agent for each site: two, or those of `zones`."""
    shutil.copytree(first_start, directory, dirs_exist_ok=True)
    config = config_in(directory, zones=zones)
    database = Database(config.database_url)
    fake = FakeWorld(database, tuple(config.sites))
    agents = AgentClient(settings_of(config, CONTROL_TOKEN), fake.transports())
    opened = await open_api(config, database, agents)
    await opened.parts.operations.start()
    yield World(opened, fake)
    await opened.parts.operations.stop()
    await opened.close()
