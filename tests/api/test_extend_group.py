"""os-extend-replication-volumes: answered when both volumes of each pair have grown; what is refused when."""

from typing import Any

import pytest
from tests.api.conftest import World
from tests.api.harness import GROUPS, PAIRS, Json, error_of
from tests.api.test_groups import NOBODY, STOP, group_in_step
from tests.api.test_quotas import limit, over

pytestmark = pytest.mark.anyio
EXTEND = "os-extend-replication-volumes"


async def sizes(world: World, pair_id: str) -> list[Any]:
    """Of both volumes, and as the pair tells it."""
    pair = (await world.api.call("GET", f"{PAIRS}/{pair_id}")).json()["replication"]
    volumes = [
        (await world.api.call("GET", f"volumes/{volume_id}")).json()["volume"]["size"]
        for volume_id in pair["volume_ids"].split(",")
    ]
    return [*volumes, pair["record_metadata"]]


async def test_both_volumes_have_grown_when_it_is_answered(world: World) -> None:
    group = await group_in_step(world, pairs=2)
    one, other = group["replication_ids"]
    before = await sizes(world, other)
    response = await world.api.act(group["id"], EXTEND, {"replications": [{"id": one, "new_size": 3}]})
    assert (response.status_code, response.content) == (200, b"")
    assert (await sizes(world, one))[:2] == [3, 3]
    assert '"volume_size": 3' in (await sizes(world, one))[2]
    assert await sizes(world, other) == before
    both: Json = {"replications": [{"id": one, "new_size": "4"}, {"id": other, "new_size": 2}]}
    assert (await world.api.act(group["id"], EXTEND, both)).status_code == 200
    assert [(await sizes(world, each))[:2] for each in (one, other)] == [[4, 4], [2, 2]]
    shown = (await world.api.call("GET", f"{GROUPS}/{group['id']}")).json()["replication_consistency_group"]
    assert (shown["status"], shown["replication_status"]) == ("available", "active")


async def test_one_pair_alone_and_a_stopped_group(world: World) -> None:
    group = await group_in_step(world)
    (pair_id,) = group["replication_ids"]
    assert (await world.api.act(group["id"], STOP)).status_code == 200
    response = await world.api.act(group["id"], EXTEND, {"id": pair_id, "new_size": 2})
    assert (response.status_code, response.content) == (200, b"")
    assert (await sizes(world, pair_id))[:2] == [2, 2]
    shown = (await world.api.call("GET", f"{GROUPS}/{group['id']}")).json()["replication_consistency_group"]
    assert (shown["status"], shown["replication_status"]) == ("available", "active-stopped")


WRONG: tuple[tuple[Any, str], ...] = (
    (None, "EVS.1070"),
    ([], "EVS.1070"),
    ({}, "EVS.5400"),
    ({"replications": []}, "EVS.1070"),
    ({"replications": None}, "EVS.1070"),
    ({"replications": ["x"]}, "EVS.1070"),
    ({"id": "x", "new_size": 2}, "EVS.5400"),
    ({"id": NOBODY}, "EVS.5400"),
    ({"id": NOBODY, "new_size": 0}, "EVS.5400"),
    ({"id": NOBODY, "new_size": 1.5}, "EVS.5400"),
    ({"id": NOBODY, "new_size": 2}, "EVS.5400"),  # no pair of the group
    ({"replications": [{"id": NOBODY, "new_size": 2}, {"id": NOBODY, "new_size": 3}]}, "EVS.1070"),
)


async def test_what_is_refused_changes_nothing(world: World) -> None:
    api = world.api
    group = await group_in_step(world)
    (pair_id,) = group["replication_ids"]
    for value, code in WRONG:
        response = await api.act(group["id"], EXTEND, value)
        assert response.status_code == 400, value
        assert error_of(response)["error_code"] == code, value
    response = await api.act(group["id"], EXTEND, {"id": pair_id, "new_size": 1})
    assert (response.status_code, error_of(response)["error_code"]) == (400, "EVS.1015")
    await limit(api, gigabytes=3)
    assert "3 gigabytes" in over(await api.act(group["id"], EXTEND, {"id": pair_id, "new_size": 2}))
    await limit(api, gigabytes=-1)
    world.fake.agents["az2"].up = False
    response = await api.act(group["id"], EXTEND, {"id": pair_id, "new_size": 2})
    assert (response.status_code, "Retry-After" in response.headers) == (503, True)
    world.fake.agents["az2"].up = True
    world.fake.agents["az1"].refuse["PUT volumes"] = "volume_unusable"
    response = await api.act(group["id"], EXTEND, {"id": pair_id, "new_size": 2})
    assert (response.status_code, "az1" in error_of(response)["message"]) == (409, True)
    world.fake.agents["az1"].refuse.clear()
    assert (await sizes(world, pair_id))[:2] == [1, 1]
    assert (await api.act(group["id"], EXTEND, {"id": pair_id, "new_size": 2})).status_code == 200
