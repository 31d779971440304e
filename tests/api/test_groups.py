"""Consistency groups over HTTP: the documented wire format, the verbs, and what is refused when."""

import asyncio
import json
from typing import Any

import pytest
from tests.api.conftest import World
from tests.api.harness import GROUPS, PAIRS, Api, Json, error_of, group_body

pytestmark = pytest.mark.anyio
NOBODY = "11111111-2222-4333-8444-555555555555"
SYNC = "os-sync-replication-consistency-group"
STOP = "os-stop-replication-consistency-group"
FAILOVER = "os-failover-replication-consistency-group"
REVERSE = "os-reverse-replication-consistency-group"
REPROTECT = "os-reprotect-replication-consistency-group"
KEY = "replication_consistency_group"


async def group_in_step(world: World, pairs: int = 1) -> Json:
    """A group that replicates."""
    api = world.api
    group = await api.group([await api.pair() for _ in range(pairs)])
    response = await api.act(group["id"], SYNC)
    assert response.status_code == 200, response.text
    return await replicating(world, group["id"])


async def replicating(world: World, group_id: str, status: str = "active") -> Json:
    """Look until the group is settled and the replication status is reached."""
    reached = ("available", status)
    return await world.api.told(
        f"{GROUPS}/{group_id}", KEY, lambda group: (group["status"], group["replication_status"]) == reached
    )


async def test_the_wire_format(world: World) -> None:
    api = world.api
    pairs = [await api.pair(), await api.pair()]
    body = group_body([pair["id"] for pair in pairs], name="g", description="d")
    response = await api.call("POST", GROUPS, body)
    assert response.status_code == 202
    created = response.json()[KEY]
    assert created == {
        "id": created["id"],
        "name": "g",
        "description": "d",
        "status": "creating",
        "priority_station": "az1",
        "created_at": created["created_at"],
        "updated_at": created["updated_at"],
    }
    shown = await api.settled(f"{GROUPS}/{created['id']}", KEY)
    assert shown == {
        **created,
        "status": "available",
        "updated_at": shown["updated_at"],
        "replication_model": "hypermetro",
        "replication_status": "inactive",
        "replication_ids": [pair["id"] for pair in pairs],
        "failure_detail": None,
        "fault_level": "0",
    }
    assert (await api.call("GET", GROUPS)).json() == {"replication_consistency_groups": [shown]}
    member = (await api.call("GET", f"{PAIRS}/{pairs[0]['id']}")).json()["replication"]
    assert member["replication_consistency_group_id"] == created["id"]


@pytest.mark.parametrize(
    "change",
    [
        {"replication_ids": []},
        {"replication_ids": None},
        {"replication_ids": ["x"]},
        {"replication_ids": [NOBODY, NOBODY]},
        {"priority_station": ""},
        {"replication_model": "metro"},
        {"name": "n" * 256},
    ],
)
async def test_what_is_wrong_in_itself_is_400(door: Api, change: Json) -> None:
    response = await door.call("POST", GROUPS, group_body([NOBODY], **change))
    assert response.status_code == 400
    error_of(response)


async def test_pairs_that_do_not_fit(world: World) -> None:
    api = world.api
    pair = await api.pair()
    assert (await api.call("POST", GROUPS, group_body([NOBODY]))).status_code == 404
    assert (await api.call("POST", GROUPS, group_body([pair["id"]], "az2"))).status_code == 400
    await api.group([pair])
    assert (await api.call("POST", GROUPS, group_body([pair["id"]]))).status_code == 409


async def test_sync_stop_and_what_pairs_show(world: World) -> None:
    api = world.api
    group = await group_in_step(world)
    pair_id = group["replication_ids"][0]
    pair = (await api.call("GET", f"{PAIRS}/{pair_id}")).json()["replication"]
    assert pair["replication_status"] == "active"
    response = await api.act(group["id"], STOP)
    assert response.status_code == 200
    assert response.content == b""
    await replicating(world, group["id"], "active-stopped")
    assert (await api.act(group["id"], STOP)).status_code == 200  # it may be repeated
    production = pair["volume_ids"].split(",")[0]
    assert await world.fake.write("az1", production)
    await replicating(world, group["id"], "inactive")


async def test_failover_and_reprotect(world: World) -> None:
    api = world.api
    group = await group_in_step(world)
    early = await api.act(group["id"], REPROTECT)
    assert early.status_code == 409
    assert "failovered" in error_of(early)["message"]
    world.fake.agents["az1"].up = False
    response = await api.act(group["id"], FAILOVER)
    assert response.status_code == 200, response.text
    assert response.content == b""
    over = await api.settled(f"{GROUPS}/{group['id']}", KEY, "failovered")
    assert over["priority_station"] == "az2"
    member = (await api.call("GET", f"{PAIRS}/{group['replication_ids'][0]}")).json()["replication"]
    assert member["priority_station"] == "az2"
    down = await api.act(group["id"], REPROTECT)
    assert down.status_code in (409, 503)
    assert "az1" in error_of(down)["message"]
    world.fake.agents["az1"].up = True
    # Sync of a group that was failed over is the same as reprotect.
    back = await api.act(group["id"], SYNC)
    assert back.status_code == 200, back.text
    assert (await replicating(world, group["id"]))["priority_station"] == "az2"


async def test_a_site_that_has_just_fallen_silent_delays_nobody(world: World) -> None:
    """SIGSTOP, or a cut cable: the observer has not noticed yet, and whoever asks that site waits for a minute."""
    api, az1 = world.api, world.fake.agents["az1"]
    group = await group_in_step(world)
    az1.hangs, az1.hangs_seconds = True, 60.0
    async with asyncio.timeout(15):
        assert (await api.act(group["id"], FAILOVER)).status_code == 200
        over = await api.settled(f"{GROUPS}/{group['id']}", KEY, "failovered")
        assert over["priority_station"] == "az2"
        pair = (await api.call("GET", f"{PAIRS}/{group['replication_ids'][0]}")).json()["replication"]
        dr_volume = pair["volume_ids"].split(",")[1]
        connect = {"os-initialize_connection": {"connector": {"host": "h"}}}
        assert (await api.call("POST", f"volumes/{dr_volume}/action", connect)).status_code == 200
        for path in (GROUPS, PAIRS, "volumes/detail"):
            assert (await api.call("GET", path)).status_code == 200
        assert (await api.http.get("/metrics")).status_code == 200
        assert (await api.http.get("/readyz")).status_code in (200, 503)


async def test_reverse(world: World) -> None:
    api = world.api
    group = await group_in_step(world)
    pair = (await api.call("GET", f"{PAIRS}/{group['replication_ids'][0]}")).json()["replication"]
    production = pair["volume_ids"].split(",")[0]
    connect = {"os-initialize_connection": {"connector": {"host": "h"}}}
    assert (await api.call("POST", f"volumes/{production}/action", connect)).status_code == 200
    attached = await api.act(group["id"], REVERSE)
    assert attached.status_code == 409
    assert "force" in error_of(attached)["message"]
    forced = await api.act(group["id"], REVERSE, {"force": True})
    assert forced.status_code == 200, forced.text
    await api.told(
        f"{GROUPS}/{group['id']}",
        KEY,
        lambda seen: (
            [seen[key] for key in ("status", "replication_status", "priority_station")]
            == ["available", "active", "az2"]
        ),
    )


async def test_a_stale_secondary_is_not_failed_over_to_without_a_word(world: World) -> None:
    api = world.api
    group = await group_in_step(world)
    await api.act(group["id"], STOP)
    await replicating(world, group["id"], "active-stopped")
    refused = await api.act(group["id"], FAILOVER)
    assert refused.status_code == 409
    assert "allow_data_loss" in error_of(refused)["message"]
    assert (await api.act(group["id"], FAILOVER, {"allow_data_loss": True})).status_code == 200
    await api.settled(f"{GROUPS}/{group['id']}", KEY, "failovered")


async def test_update(world: World) -> None:
    api = world.api
    first, second = await api.pair(), await api.pair()
    group = await api.group([first])
    path = f"{GROUPS}/{group['id']}"
    response = await api.call("PUT", path, {KEY: {"name": "new", "add_replication_ids": [second["id"]]}})
    assert response.status_code == 202
    assert response.json()[KEY]["status"] == "updating"
    assert "replication_ids" not in response.json()[KEY]
    shown = await api.settled(path, KEY)
    assert shown["name"] == "new"
    assert shown["replication_ids"] == [first["id"], second["id"]]
    empties: tuple[Json, ...] = ({}, {KEY: {}})
    for empty in empties:
        nothing = await api.call("PUT", path, empty)
        assert nothing.status_code == 202
        again = await api.settled(path, KEY)
        assert (again["name"], again["replication_ids"]) == ("new", shown["replication_ids"])
    ids = {"remove_replication_ids": shown["replication_ids"]}
    assert (await api.call("PUT", path, {KEY: ids})).status_code == 202
    assert (await api.settled(path, KEY))["replication_ids"] == []
    response = await api.call("DELETE", path)
    assert response.status_code == 202
    assert response.content == b""


async def test_what_update_and_delete_refuse(world: World) -> None:
    api = world.api
    group = await group_in_step(world)
    path, member = f"{GROUPS}/{group['id']}", group["replication_ids"][0]
    running = await api.call("PUT", path, {KEY: {"remove_replication_ids": [member]}})
    assert running.status_code == 409
    assert "stop" in error_of(running)["message"]
    assert (await api.call("DELETE", path)).status_code == 409
    await api.act(group["id"], STOP)
    for wrong in (
        {"name": "n" * 256},
        {"replication_model": "metro"},
        {"add_replication_ids": "x"},
        {"add_replication_ids": [member], "remove_replication_ids": [member]},
        {"remove_replication_ids": [NOBODY, NOBODY]},
    ):
        assert (await api.call("PUT", path, {KEY: wrong})).status_code == 400
    assert (await api.call("PUT", path, {"x": {}})).status_code == 400
    assert (await api.call("PUT", f"{GROUPS}/{NOBODY}", {KEY: {}})).status_code == 404


WRONG_ACTIONS: tuple[tuple[Json, int, str], ...] = (
    ({}, 400, "EVS.1070"),
    ({SYNC: None, STOP: None}, 400, "EVS.1070"),
    ({"os-nonsense": None}, 400, "EVS.1070"),
    ({SYNC: []}, 400, "EVS.1070"),
    ({FAILOVER: {"allow_dataloss": True}}, 400, "EVS.5400"),
    ({FAILOVER: {"allow_data_loss": "yes"}}, 400, "EVS.5400"),
    ({STOP: {"force": True}}, 400, "EVS.5400"),
)


async def test_a_wrong_action_is_refused(world: World) -> None:
    group = await world.api.group([await world.api.pair()])
    path = f"{GROUPS}/{group['id']}/action"
    for body, status, code in WRONG_ACTIONS:
        response = await world.api.call("POST", path, body)
        assert response.status_code == status, body
        assert error_of(response)["error_code"] == code, body
    raw = f'{{"{SYNC}": null, "{SYNC}": null}}'  # twice the same in one body
    assert (await world.api.call("POST", path, content=raw)).status_code == 400
    assert (await world.api.call("GET", f"{GROUPS}/{group['id']}")).json()[KEY]["status"] == "available"


async def test_filters(world: World) -> None:
    api = world.api
    first = await api.group([await api.pair()], name="first")
    await api.group([await api.pair("az2")], "az2", name="second")

    async def named(query: str) -> list[Any]:
        response = await api.call("GET", f"{GROUPS}?{query}")
        assert response.status_code == 200, response.text
        return [group["name"] for group in response.json()["replication_consistency_groups"]]

    assert await named("") == ["second", "first"]
    assert await named("name=first") == ["first"]
    assert await named("priority_station=az2") == ["second"]
    assert await named("status=available&sort_dir=asc") == ["first", "second"]
    assert await named("status=failovered") == []
    assert await named("sort_dir=asc&limit=1") == ["first"]
    assert await named(f"sort_dir=asc&marker={first['id']}") == ["second"]
    assert (await api.call("GET", f"{GROUPS}?status=failing_over")).status_code == 400


async def test_the_metrics_tell_the_groups(world: World) -> None:
    group = await group_in_step(world)
    text = (await world.api.http.get("/metrics")).text
    assert (
        f'bilocate_group_state{{fault_level="0",group="{group["id"]}",'
        'replication_status="active",status="available"} 1.0'
    ) in text
    assert 'bilocate_site_up{site="az1"} 1.0' in text
    assert 'method="GET",route="/v2/{project_id}/os-vendor-replication-consistency-groups/{id}"' in text
    assert json.dumps(world.api.token) not in text
