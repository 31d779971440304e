"""Volumes over HTTP: their wire format, their lists, and hosts' connections."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.api.conftest import World
from tests.api.harness import URL, Api, error_of
from tests.api.test_identity import add_user

pytestmark = pytest.mark.anyio
CONNECT, DISCONNECT = "os-initialize_connection", "os-terminate_connection"
NOBODY = "11111111-2222-4333-8444-555555555555"


async def test_a_volume_is_told_as_clients_expect_it(world: World) -> None:
    api = world.api
    # What the OpenStack command line sends: every field, most of them null.
    asked: dict[str, Any] = {
        "size": 2,
        "name": "data",
        "description": None,
        "availability_zone": "az2",
        "volume_type": None,
        "metadata": {"a": "b"},
        "imageRef": None,
        "snapshot_id": None,
        "source_volid": None,
        "consistencygroup_id": None,
        "user_id": None,
        "project_id": None,
        "multiattach": False,
        "status": "creating",
        "attach_status": "detached",
    }
    response = await api.call("POST", "volumes", {"volume": asked}, version="v3")
    assert response.status_code == 202
    assert response.json()["volume"]["status"] == "creating"
    volume_id = response.json()["volume"]["id"]
    volume = await api.settled(f"volumes/{volume_id}", "volume")
    assert volume["size"] == 2
    assert volume["bootable"] == "false"
    assert volume["multiattach"] is False
    assert volume["availability_zone"] == "az2"
    assert volume["volume_type"] == "standard"
    assert volume["metadata"] == {"a": "b"}
    assert volume["attachments"] == []
    assert volume["description"] == ""
    assert volume["os-vol-tenant-attr:tenant_id"] == api.project_id
    made = datetime.strptime(volume["created_at"], "%Y-%m-%dT%H:%M:%S.%f")
    assert abs(datetime.now(UTC).replace(tzinfo=None) - made) < timedelta(minutes=5)
    assert {"rel": "self", "href": f"{URL}/v2/{api.project_id}/volumes/{volume_id}"} in volume["links"]
    assert world.fake.agents["az2"].volumes[volume_id].size_bytes == 2 * 1024**3


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"size": 0}, 400),
        ({"size": "x"}, 400),
        ({"size": None}, 400),
        ({"size": True}, 400),
        ({"size": 10**9}, 400),
        ({"name": 1}, 400),
        ({"name": "ü" * 128}, 400),
        ({"name": "\0"}, 400),
        ({"name": "\ud800"}, 400),
        ({"metadata": {"a": 1}}, 400),
        ({"metadata": []}, 400),
        ({"availability_zone": "az9"}, 400),
        ({"volume_type": "gold"}, 404),
        ({"snapshot_id": "x"}, 501),
        ({"imageRef": "x"}, 501),
    ],
)
async def test_a_wrong_volume_is_refused(door: Api, change: dict[str, Any], status: int) -> None:
    body = {"volume": {"size": 1, "availability_zone": "az1", **change}}
    response = await door.call("POST", "volumes", body)
    assert response.status_code == status, response.text
    error_of(response)
    assert (await door.call("GET", "volumes")).json()["volumes"] == []


async def test_a_size_may_be_a_text_and_the_zone_left_out(world: World) -> None:
    volume = await world.api.made("volumes", {"volume": {"size": "1", "volume_type": "standard"}})
    assert volume["size"] == 1
    assert volume["availability_zone"] == "az1"


async def test_update_changes_names_and_metadata(world: World) -> None:
    api = world.api
    volume = await api.volume("az1", metadata={"a": "b"})
    change = {"name": "new", "metadata": {"c": "d"}}
    response = await api.call("PUT", f"volumes/{volume['id']}", {"volume": change})
    assert response.status_code == 200
    changed = response.json()["volume"]
    assert (changed["name"], changed["metadata"]) == ("new", {"c": "d"})
    assert changed["updated_at"] >= changed["created_at"]
    assert (await api.call("PUT", f"volumes/{volume['id']}", {"volume": {"name": 1}})).status_code == 400
    assert (await api.call("PUT", f"volumes/{NOBODY}", {"volume": {}})).status_code == 404


async def test_lists_are_filtered_sorted_and_paged(world: World) -> None:
    api = world.api
    names = ["c", "a", "b", "a"]
    made = [await api.volume("az1" if name == "a" else "az2", name=name) for name in names]

    async def names_of(query: str) -> list[str]:
        response = await api.call("GET", f"volumes/detail?{query}")
        assert response.status_code == 200, response.text
        return [volume["name"] for volume in response.json()["volumes"]]

    assert await names_of("") == ["a", "b", "a", "c"]  # the newest first
    assert await names_of("sort=name:asc,created_at:desc") == ["a", "a", "b", "c"]
    assert await names_of("sort_key=name&sort_dir=desc") == ["c", "b", "a", "a"]
    assert await names_of("name=a&availability_zone=az1") == ["a", "a"]
    assert await names_of("status=available&limit=9999999") == ["a", "b", "a", "c"]
    assert await names_of("status=nonsense") == []
    assert await names_of(f"changes-since={made[2]['created_at']}&sort_key=created_at&sort_dir=asc") == [
        "b",
        "a",
    ]
    assert await names_of("offset=1&limit=2") == ["b", "a"]
    # Every page hands over to the next, and together they are the list.
    pages: list[str] = []
    path = "volumes?limit=1&sort=name:asc"
    for _ in range(5):
        response = (await api.call("GET", path)).json()
        pages += [volume["name"] for volume in response["volumes"]]
        if "volumes_links" not in response:
            break
        path = response["volumes_links"][0]["href"].split(f"/v2/{api.project_id}/")[1]
    assert pages == ["a", "a", "b", "c"]
    summary = (await api.call("GET", "volumes?limit=1")).json()["volumes"][0]
    assert set(summary) == {"id", "name", "links"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=x", "EVS.1023"),
        ("limit=-1", "EVS.1023"),
        ("offset=9999999999999", "EVS.1023"),
        ("marker=nobody", "EVS.1024"),
        (f"marker={NOBODY}", "EVS.1024"),
        ("sort_key=size_gib", "EVS.1039"),
        ("sort_dir=up", "EVS.1040"),
        ("sort=name:up", "EVS.1040"),
        ("changes-since=yesterday", "EVS.5400"),
        ("name=%00", "EVS.5400"),
    ],
)
async def test_a_wrong_query_is_named(door: Api, query: str, code: str) -> None:
    response = await door.call("GET", f"volumes?{query}")
    assert response.status_code == 400
    assert error_of(response)["error_code"] == code


async def test_a_host_connects_and_disconnects(world: World) -> None:
    api = world.api
    volume = await api.volume("az2")
    agent = world.fake.agents["az2"]
    path = f"volumes/{volume['id']}/action"
    connector = {"connector": {"host": "h1", "initiator": "x", "multipath": False}}
    response = await api.call("POST", path, {CONNECT: connector})
    assert response.status_code == 200
    info = response.json()["connection_info"]
    assert info["driver_volume_type"] == "nbd"
    data = info["data"]
    assert data["uri"] == f"nbd://127.0.0.1:{data['port']}/{data['export']}"
    assert len(data["export"]) >= 43
    # It was answered only when the agent had it.
    assert [each["name"] for each in agent.volumes[volume["id"]].exports] == [data["export"]]
    again = (await api.call("POST", path, {CONNECT: connector})).json()["connection_info"]["data"]
    assert again["export"] != data["export"]
    other = (await api.call("POST", path, {CONNECT: {"connector": {"host": "h2"}}})).json()
    shown = (await api.call("GET", f"volumes/{volume['id']}")).json()["volume"]
    assert [each["host"] for each in shown["bilocate:connections"]] == ["h1", "h1", "h2"]
    assert shown["status"] == "available"
    assert data["export"] not in str(shown)
    in_use = await api.call("DELETE", f"volumes/{volume['id']}")
    assert in_use.status_code == 409
    assert "disconnect" in error_of(in_use)["message"]
    ended = await api.call("POST", path, {DISCONNECT: connector})
    assert ended.status_code == 202
    assert ended.content == b""
    left = [each["name"] for each in agent.volumes[volume["id"]].exports]
    assert left == [other["connection_info"]["data"]["export"]]
    assert (await api.call("POST", path, {DISCONNECT: connector})).status_code == 202
    assert (await api.call("POST", path, {DISCONNECT: {"connector": {"host": "h2"}}})).status_code == 202
    deleted = await api.call("DELETE", f"volumes/{volume['id']}")
    assert deleted.status_code == 202
    assert deleted.content == b""


WRONG_ACTIONS: tuple[tuple[dict[str, Any], int], ...] = (
    ({}, 400),
    ({CONNECT: None}, 400),
    ({CONNECT: {"connector": {}}}, 400),
    ({CONNECT: {"connector": {"host": "h", "x": "y" * 5000}}}, 400),
    ({CONNECT: {"connector": {"host": "h"}}, DISCONNECT: {"connector": {"host": "h"}}}, 400),
    ({"os-nonsense": None}, 400),
    ({"os-extend": None}, 400),
    ({"os-extend": {"new_size": "two"}}, 400),
    ({"os-extend": {"new_size": 1}}, 400),
    ({"os-attach": None}, 400),
    ({"os-attach": {}}, 400),
    ({"os-attach": {"host_name": "h", "mode": "wo"}}, 400),
    ({"os-attach": {"host_name": 1}}, 400),
    ({"os-detach": []}, 400),
    ({"os-detach": {"attachment_id": NOBODY}}, 404),
    ({"os-detach": None}, 409),
    ({"os-retype": None}, 400),
    ({"os-retype": {}}, 400),
    ({"os-retype": {"new_type": "standard"}}, 400),
    ({"os-retype": {"new_type": "gold"}}, 404),
    ({"os-retype": {"new_type": "multiattach", "migration_policy": "always"}}, 400),
    ({"os-reset_status": None}, 400),
    ({"os-reset_status": {}}, 400),
    ({"os-reset_status": {"status": "nonsense"}}, 400),
    ({"os-reset_status": {"attach_status": "half"}}, 400),
    ({"os-reset_status": {"migration_status": "migrating"}}, 400),
    ({"os-reset_status": {"attach_status": "attached"}}, 409),
    ({"os-force_detach": []}, 400),
    ({"os-force_detach": {"connector": {}}}, 400),
    ({"os-force_detach": {"attachment_id": NOBODY}}, 404),
    ({"os-force_detach": None}, 409),
    ({"os-set_image_metadata": None}, 400),
    ({"os-set_image_metadata": {"metadata": {"a": 1}}}, 400),
    ({"os-unset_image_metadata": {}}, 400),
    ({"os-unset_image_metadata": {"key": "nothing"}}, 404),
    ({"os-volume_upload_image": {}}, 501),
)


async def test_a_wrong_action_is_refused(world: World) -> None:
    volume = await world.api.volume("az1")
    for body, status in WRONG_ACTIONS:
        response = await world.api.call("POST", f"volumes/{volume['id']}/action", body)
        assert response.status_code == status, body
        error_of(response)


async def test_an_agent_that_is_away_refuses_and_changes_nothing(world: World) -> None:
    api, agent = world.api, world.fake.agents["az1"]
    volume = await api.volume("az1")
    path = f"volumes/{volume['id']}/action"
    connect = {CONNECT: {"connector": {"host": "h"}}}
    agent.up = False
    for response in (
        await api.call("POST", path, connect),
        await api.call("POST", "volumes", {"volume": {"size": 1, "availability_zone": "az1"}}),
        await api.call("DELETE", f"volumes/{volume['id']}"),
    ):
        assert response.status_code == 503, response.text
        assert int(response.headers["Retry-After"]) > 0
        assert "az1" in error_of(response)["message"]
    agent.up = True
    shown = (await api.call("GET", f"volumes/{volume['id']}")).json()["volume"]
    assert shown["bilocate:connections"] == []
    assert shown["status"] == "available"
    agent.deaf = True
    late = await api.call("POST", path, connect)
    assert late.status_code == 504
    assert error_of(late)["name"] == "gatewayTimeout"
    agent.deaf = False


async def test_an_agent_that_refuses_out_of_turn_is_502(world: World) -> None:
    volume = await world.api.volume("az1")
    world.fake.agents["az1"].refuse["PUT volumes"] = "nonsense"
    connect = {CONNECT: {"connector": {"host": "h"}}}
    response = await world.api.call("POST", f"volumes/{volume['id']}/action", connect)
    assert response.status_code == 502
    assert error_of(response)["name"] == "badGateway"


async def test_zones_types_and_limits(world: World) -> None:
    api = world.api
    await api.volume("az1")
    zones = (await api.call("GET", "os-availability-zone")).json()["availabilityZoneInfo"]
    assert [zone["zoneName"] for zone in zones] == ["az1", "az2"]
    assert zones[0]["zoneState"] == {"available": True}
    types = (await api.call("GET", "types")).json()["volume_types"]
    assert [each["name"] for each in types] == ["standard", "multiattach"]
    for wanted in (types[0]["id"], "standard", "default"):
        assert (await api.call("GET", f"types/{wanted}")).json()["volume_type"] == types[0]
    assert (await api.call("GET", f"types/{types[1]['id']}")).json()["volume_type"] == types[1]
    assert (await api.call("GET", "types/gold")).status_code == 404
    limits = (await api.call("GET", "limits")).json()["limits"]["absolute"]
    assert (limits["totalVolumesUsed"], limits["totalGigabytesUsed"]) == (1, 1)


async def test_services_are_the_sites_agents_and_told_to_admins(world: World) -> None:
    api = world.api
    world.fake.agents["az2"].up = False
    for site in ("az1", "az2"):
        await api.parts.operations.observer.fresh(site)

    async def told(query: str = "") -> list[tuple[str, str, str]]:
        listed = (await api.call("GET", f"os-services{query}")).json()["services"]
        assert all((each["zone"], each["status"]) == (each["host"], "enabled") for each in listed)
        return [(each["binary"], each["host"], each["state"]) for each in listed]

    both = [("bilocate-site", "az1", "up"), ("bilocate-site", "az2", "down")]
    assert await told() == both
    assert await told("?host=az2&binary=bilocate-site") == both[1:]
    assert await told("?binary=cinder-backup") == []
    member = await add_user(api, "ada", "member")
    assert (await api.call("GET", "os-services", token=member)).status_code == 403


async def test_the_summary_of_a_project(world: World) -> None:
    api = world.api
    await api.volume("az1", size=2, metadata={"a": "1"})
    await api.volume("az2", metadata={"a": "2", "b": "1"})

    async def told(microversion: str) -> Any:
        headers = {"OpenStack-API-Version": f"volume {microversion}"}
        response = await api.call("GET", "volumes/summary", version="v3", headers=headers)
        return response.json().get("volume-summary"), response.status_code

    assert await told("3.12") == ({"total_count": 2, "total_size": 3}, 200)
    metadata = {"a": ["1", "2"], "b": ["1"]}
    assert await told("3.36") == ({"total_count": 2, "total_size": 3, "metadata": metadata}, 200)
    assert await told("3.11") == (None, 404)


async def test_another_projects_volume_is_not_there(world: World) -> None:
    volume = await world.api.volume("az1")
    for method, path in (
        ("GET", volume["id"]),
        ("DELETE", volume["id"]),
        ("GET", "nonsense"),
        ("GET", NOBODY),
    ):
        response = await world.api.call(method, f"volumes/{path}", project="another")
        assert response.status_code == 404
        assert error_of(response)["name"] == "itemNotFound"
