"""A client of an API in this process whose two agents are played."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from tests.api.conftest import World, first_start, world
from tests.api.harness import URL, Api
from tests.quiet import quiet

from bilocate.client import AsyncClient, Login

__all__ = ["first_start", "quiet", "world"]

AUTH_URL = f"{URL}/identity/v3"
Connect = Callable[[Login], AsyncClient]


def login_of(api: Api) -> Login:
    """The first admin, with a password."""
    words = api.credentials
    return Login(AUTH_URL, words["OS_USERNAME"], words["OS_PASSWORD"], project_name=words["OS_PROJECT_NAME"])


@pytest.fixture
def connect(world: World) -> Connect:
    """A client for a login of the test's own."""
    transport = httpx.ASGITransport(world.api.gate, raise_app_exceptions=False)
    return lambda login: AsyncClient(login, transport=transport)


@pytest.fixture
async def client(world: World, connect: Connect) -> AsyncIterator[AsyncClient]:
    """The first admin's."""
    async with connect(login_of(world.api)) as made:
        yield made
