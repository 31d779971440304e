"""One controller and up to two sites for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.site.agent.world import Controller, Site


@pytest.fixture
async def controller() -> AsyncIterator[Controller]:
    it = Controller()
    await it.start()
    yield it
    await it.stop()


@pytest.fixture
async def az1(tmp_path: Path, controller: Controller) -> AsyncIterator[Site]:
    it = await Site(tmp_path, "az1", controller).start()
    yield it
    await it.close()


@pytest.fixture
async def az2(tmp_path: Path, controller: Controller) -> AsyncIterator[Site]:
    it = await Site(tmp_path, "az2", controller).start()
    yield it
    await it.close()


@pytest.fixture
def peer(tmp_path_factory: pytest.TempPathFactory, controller: Controller) -> Site:
    """Never started."""
    return Site(tmp_path_factory.mktemp("peer"), "az2", controller)
