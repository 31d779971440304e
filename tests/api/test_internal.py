"""The arbiter and the hello, as the sites' agents call them."""

from typing import Any

import httpx
import pytest
from tests.api.conftest import World
from tests.api.harness import CONTROL_TOKEN, Api

from bilocate.store.models import Session

pytestmark = pytest.mark.anyio
BEARER = {"Authorization": f"Bearer {CONTROL_TOKEN}"}


async def ask(api: Api, session_id: str, body: dict[str, Any]) -> httpx.Response:
    return await api.http.post(f"/internal/v1/arbiter/{session_id}", json=body, headers=BEARER)


async def test_the_arbiter_answers_with_the_row_or_a_refusal(world: World) -> None:
    api = world.api
    pair = await api.pair()
    async with api.parts.database.reading() as db:
        session = await db.get(Session, pair["id"])
    assert session is not None
    attach = {"call": "attach", "epoch": session.epoch, "site": "az1"}
    response = await ask(api, pair["id"], attach)
    assert response.status_code == 200
    row = response.json()["row"]
    assert row == {
        "session_id": pair["id"],
        "epoch": session.epoch,
        "primary": "az1",
        "secondary": "az2",
        "state": "syncing",
        "version": row["version"],
    }
    late = {**attach, "call": "request_solo", "version": row["version"] - 1}
    changed = await ask(api, pair["id"], late)
    assert (changed.status_code, changed.json()) == (409, {"refusal": "changed"})
    elsewhere = await ask(api, pair["id"], {**attach, "site": "az2"})
    assert (elsewhere.status_code, elsewhere.json()) == (409, {"refusal": "superseded"})
    unknown = await ask(api, "nobody", attach)
    assert (unknown.status_code, unknown.json()) == (409, {"refusal": "superseded"})


@pytest.mark.parametrize(
    "change",
    [
        {"call": "fail_over"},  # the primary is changed by operations alone
        {"call": "switch_over"},
        {"call": None},
        {"epoch": -1},
        {"epoch": 2**63},
        {"epoch": True},
        {"version": "1"},
        {"site": ""},
    ],
)
async def test_a_malformed_call_is_400(door: Api, change: dict[str, Any]) -> None:
    response = await ask(door, "s", {"call": "attach", "epoch": 1, "site": "az1", "version": 1, **change})
    assert response.status_code == 400


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer nonsense", CONTROL_TOKEN, f"Basic {CONTROL_TOKEN}"])
async def test_without_the_control_token_nothing_is_answered(door: Api, given: str) -> None:
    for path in ("/internal/v1/arbiter/s", "/internal/v1/sites/az1/hello"):
        response = await door.http.post(path, json={}, headers={"Authorization": given})
        assert response.status_code == 401
    as_user = await door.http.post("/internal/v1/arbiter/s", json={}, headers={"X-Auth-Token": door.token})
    assert as_user.status_code == 401


async def test_a_hello_brings_a_site_what_is_wanted_of_it(world: World) -> None:
    api, agent = world.api, world.fake.agents["az2"]
    pair = await api.pair()
    agent.forget(pair["id"])
    body = {"instance": "i", "boot_id": "b"}
    response = await api.http.post("/internal/v1/sites/az2/hello", json=body, headers=BEARER)
    assert response.status_code == 200

    async def is_told() -> bool:
        return pair["id"] in agent.halves

    await api.until(is_told)
    unknown = await api.http.post("/internal/v1/sites/az9/hello", json=body, headers=BEARER)
    assert unknown.status_code == 400
