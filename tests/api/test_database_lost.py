"""The database's connection is lost at every message of a call: 503 with Retry-After or the answer, never a 500."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from tests.api.harness import CONTROL_TOKEN, PAIRS, Api, config_in, open_api, pair_body
from tests.cutting_proxy import Cut, CuttingProxy
from tests.databases import postgresql_server, postgresql_url
from tests.operations.fake_agent import FakeWorld

from bilocate.operations.agents import AgentClient
from bilocate.operations.settings import settings_of
from bilocate.store.columns import new_id
from bilocate.store.database import Database

__all__ = ["postgresql_server", "postgresql_url"]

pytestmark = pytest.mark.anyio
MESSAGES_MOST = 120
CALLS: list[tuple[str, str, Any, int]] = [
    ("GET", "volumes/detail", None, 200),
    ("GET", PAIRS, None, 200),
    ("GET", "limits", None, 200),
    ("GET", f"volumes/{new_id()}", None, 404),
    ("POST", "volumes", {"volume": {"size": 1, "availability_zone": "az1"}}, 202),
    ("POST", PAIRS, pair_body([new_id(), new_id()]), 404),
]


@pytest.fixture
async def lossy(
    postgresql_url: str, postgresql_server: str, tmp_path: Path
) -> AsyncIterator[tuple[Api, CuttingProxy]]:
    """An API behind whose back the database's connections are cut."""
    proxy = CuttingProxy(Path(postgresql_server) / ".s.PGSQL.5432")
    async with proxy.running():
        query = {"sslmode": "disable", "gssencmode": "disable"}
        database = Database(make_url(postgresql_url).set(host="127.0.0.1", port=proxy.port, query=query))
        config = config_in(tmp_path)
        agents = AgentClient(settings_of(config, CONTROL_TOKEN), FakeWorld(database).transports())
        api = await open_api(config, database, agents)
        yield api, proxy
        await api.parts.operations.runner.stop()
        await api.close()


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.UNANSWERED], ids=lambda cut: cut.value)
async def test_a_lost_database_connection_is_503_at_every_message_of_every_call(
    lossy: tuple[Api, CuttingProxy], cut: Cut
) -> None:
    api, proxy = lossy
    for method, path, body, status in CALLS:
        lost = 0
        for number in range(1, MESSAGES_MOST):
            proxy.cut_at(number, cut)
            response = await api.call(method, path, body)
            reached = proxy.reached
            proxy.cut_at(0, cut)
            assert response.status_code in (status, 503), (
                f"{method} {path}, message {number}: {response.text}"
            )
            if response.status_code == 503:
                lost += 1
                assert int(response.headers["Retry-After"]) > 0
                assert "database" in response.json()["serviceUnavailable"]["message"]
            if not reached:
                break
        assert not reached
        assert lost > 0


async def test_health_and_figures_are_told_while_the_database_is_away(
    lossy: tuple[Api, CuttingProxy],
) -> None:
    api, proxy = lossy
    proxy.away = True
    assert (await api.http.get("/readyz?only=database")).status_code == 503
    assert (await api.http.get("/healthz")).status_code == 200
    assert (await api.http.get("/metrics")).status_code == 200
    proxy.away = False
    assert (await api.http.get("/readyz?only=database")).status_code == 200
