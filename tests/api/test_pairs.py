"""Replication pairs over HTTP: the documented wire format, every rule at the door, every filter."""

import json
import re
from typing import Any

import pytest
from tests.api.conftest import World
from tests.api.harness import PAIRS, Api, error_of, pair_body

pytestmark = pytest.mark.anyio
NOBODY = "11111111-2222-4333-8444-555555555555"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")


async def test_the_wire_format(world: World) -> None:
    api = world.api
    volumes = [(await api.volume(site))["id"] for site in ("az2", "az1")]
    response = await api.call("POST", PAIRS, pair_body(volumes, "az1", name="p", description="d"))
    assert response.status_code == 202
    created = response.json()["replication"]
    assert created == {
        "id": created["id"],
        "name": "p",
        "description": "d",
        "status": "creating",
        "replication_consistency_group_id": None,
        "volume_ids": ",".join(volumes),  # in the order in which they were given
        "priority_station": "az1",
        "created_at": created["created_at"],
        "updated_at": created["updated_at"],
    }
    shown = await api.settled(f"{PAIRS}/{created['id']}", "replication")
    assert shown == {
        **created,
        "status": "available",
        "updated_at": shown["updated_at"],
        "replication_model": "hypermetro",
        "replication_status": "inactive",
        "progress": None,
        "failure_detail": None,
        "record_metadata": shown["record_metadata"],
        "fault_level": "0",
    }
    assert TIME.fullmatch(shown["created_at"])
    assert TIME.fullmatch(shown["updated_at"])
    metadata = json.loads(shown["record_metadata"])
    assert metadata == {"volume_size": 1, "volume_type": "standard", "multiattach": False}
    assert all(isinstance(value, str | None) for value in shown.values())
    listed = (await api.call("GET", PAIRS)).json()
    assert listed == {"replications": [shown]}


@pytest.mark.parametrize(
    "change",
    [
        {"volume_ids": []},
        {"volume_ids": "one,two"},
        {"volume_ids": [1, 2]},
        {"volume_ids": [NOBODY, NOBODY]},
        {"volume_ids": None},
        {"priority_station": None},
        {"priority_station": 1},
        {"replication_model": None},
        {"replication_model": "asynchronous"},
        {"name": "n" * 256},
        {"name": "ü" * 128},  # 256 bytes in 128 characters
        {"description": "d" * 256},
        {"description": []},
    ],
)
async def test_what_is_wrong_in_itself_is_400(door: Api, change: dict[str, Any]) -> None:
    body = pair_body([NOBODY, NOBODY.replace("1", "2")], **change)
    response = await door.call("POST", PAIRS, body)
    assert response.status_code == 400, response.text
    assert error_of(response)["name"] == "badRequest"


async def test_255_bytes_are_a_name(world: World) -> None:
    pair = await world.api.pair(name="ü" * 127 + "u", description="d" * 255)
    assert len(pair["name"].encode()) == 255


async def test_volumes_that_do_not_fit_are_400(world: World) -> None:
    api = world.api
    first, second = await api.volume("az1"), await api.volume("az1")
    same_site = await api.call("POST", PAIRS, pair_body([first["id"], second["id"]]))
    assert same_site.status_code == 400
    bigger = await api.volume("az2", size=2)
    sizes = await api.call("POST", PAIRS, pair_body([first["id"], bigger["id"]]))
    assert sizes.status_code == 400
    assert "37100041" in error_of(sizes)["message"]
    fits = await api.volume("az2")
    elsewhere = await api.call("POST", PAIRS, pair_body([first["id"], fits["id"]], "az9"))
    assert elsewhere.status_code == 400
    unknown = await api.call("POST", PAIRS, pair_body([first["id"], NOBODY]))
    assert unknown.status_code == 404


async def test_states_in_the_way_are_409(world: World) -> None:
    api = world.api
    pair = await api.pair()
    production, dr = pair["volume_ids"].split(",")
    free = [(await api.volume(site))["id"] for site in ("az1", "az2")]
    taken = await api.call("POST", PAIRS, pair_body([production, free[1]]))
    assert taken.status_code == 409
    assert "37100053" in error_of(taken)["message"]
    taken = await api.call("POST", PAIRS, pair_body([free[0], dr]))
    assert "37100054" in error_of(taken)["message"]
    connect = {"os-initialize_connection": {"connector": {"host": "h"}}}
    refused = await api.call("POST", f"volumes/{dr}/action", connect)
    assert refused.status_code == 409
    assert "az1" in error_of(refused)["message"]
    assert (await api.call("POST", f"volumes/{production}/action", connect)).status_code == 200
    assert (await api.call("POST", f"volumes/{free[1]}/action", connect)).status_code == 200
    attached = await api.call("POST", PAIRS, pair_body(free))
    assert attached.status_code == 409
    assert "37100058" in error_of(attached)["message"]
    for volume_id in (production, dr):
        deleted = await api.call("DELETE", f"volumes/{volume_id}")
        assert deleted.status_code == 409


async def test_delete_leaves_the_volumes(world: World) -> None:
    api = world.api
    pair = await api.pair()
    response = await api.call("DELETE", f"{PAIRS}/{pair['id']}")
    assert response.status_code == 202
    assert response.content == b""

    async def is_gone() -> bool:
        return (await api.call("GET", f"{PAIRS}/{pair['id']}")).status_code == 404

    await api.until(is_gone)
    assert len((await api.call("GET", "volumes")).json()["volumes"]) == 2
    gone = await api.call("DELETE", f"{PAIRS}/{pair['id']}")
    assert gone.status_code == 404
    assert error_of(gone)["error_code"] == "EVS.5404"


async def test_a_pair_in_a_group_is_not_deleted(world: World) -> None:
    pair = await world.api.pair()
    await world.api.group([pair])
    response = await world.api.call("DELETE", f"{PAIRS}/{pair['id']}")
    assert response.status_code == 409
    assert "group" in error_of(response)["message"]


async def test_a_site_that_is_away_refuses_a_new_pair(world: World) -> None:
    api = world.api
    volumes = [(await api.volume(site))["id"] for site in ("az1", "az2")]
    world.fake.agents["az2"].up = False
    response = await api.call("POST", PAIRS, pair_body(volumes))
    assert response.status_code == 503
    assert (await api.call("GET", PAIRS)).json() == {"replications": []}
    world.fake.agents["az2"].up = True
    assert (await api.call("POST", PAIRS, pair_body(volumes))).status_code == 202


async def test_every_filter(world: World) -> None:
    api = world.api
    first = await api.pair(name="first")
    second = await api.pair("az2", name="second")
    group = await api.group([first])

    async def named(query: str) -> list[str]:
        response = await api.call("GET", f"{PAIRS}?{query}")
        assert response.status_code == 200, response.text
        return [pair["name"] for pair in response.json()["replications"]]

    assert await named("") == ["second", "first"]
    assert await named("sort_dir=asc") == ["first", "second"]
    assert await named("sort_key=name&sort_dir=asc") == ["first", "second"]
    assert await named("sort_key=updated_at&sort_dir=desc&limit=1") in (["first"], ["second"])
    assert await named("limit=1") == ["second"]
    assert await named("limit=1&offset=1") == ["first"]
    assert await named(f"marker={second['id']}") == ["first"]
    assert await named(f"marker={first['id']}") == []
    assert await named("name=first") == ["first"]
    assert await named("status=available") == ["second", "first"]
    assert await named("status=error") == []
    assert await named(f"replication_consistency_group_id={group['id']}") == ["first"]
    assert await named("priority_station=az2") == ["second"]
    volume_ids = first["volume_ids"]
    assert await named(f"volume_ids={volume_ids}") == ["first"]
    assert await named(f"volume_ids=['{volume_ids.split(',')[0]}']") == ["first"]
    assert await named(f"volume_id={volume_ids.split(',')[1]}") == ["first"]
    assert await named(f"volume_id={volume_ids.split(',')[1]}&volume_ids={second['volume_ids']}") == []
    assert await named(f"changes-since={second['created_at']}Z") == ["second"]
    assert await named("changes-since=2999-01-01T00:00:00%2B02:00") == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "EVS.1023"),
        ("limit=1001", "EVS.1023"),
        ("limit=one", "EVS.1023"),
        ("offset=-1", "EVS.1023"),
        (f"marker={NOBODY}", "EVS.1024"),
        ("sort_key=progress", "EVS.1039"),
        ("sort_dir=down", "EVS.1040"),
        ("status=failovered", "EVS.5400"),
        ("volume_ids=x", "EVS.1002"),
        ("changes-since=x", "EVS.5400"),
    ],
)
async def test_a_wrong_query_is_named(door: Api, query: str, code: str) -> None:
    response = await door.call("GET", f"{PAIRS}?{query}")
    assert response.status_code == 400
    assert error_of(response)["error_code"] == code
