"""Attachments of block storage v3 over HTTP, as a compute service uses them."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.api.conftest import World
from tests.api.harness import PAIRS, Api, error_of, pair_body
from tests.api.test_identity import add_user

pytestmark = pytest.mark.anyio
SERVER = "99999999-2222-4333-8444-555555555555"
NOBODY = "11111111-2222-4333-8444-555555555555"
Json = dict[str, Any]


async def call(
    api: Api, method: str, path: str, body: Any = None, microversion: str = "3.44", **options: Any
) -> httpx.Response:
    headers = {"OpenStack-API-Version": f"volume {microversion}"}
    return await api.call(method, path, body, version="v3", headers=headers, **options)


async def create(api: Api, volume_id: str, connector: Json | None = None) -> Json:
    body = {"attachment": {"volume_uuid": volume_id, "instance_uuid": SERVER, "connector": connector}}
    response = await call(api, "POST", "attachments", body)
    assert response.status_code == 200, response.text
    found: Json = response.json()["attachment"]
    return found


async def connect(api: Api, attachment_id: str, host: str = "h1") -> Json:
    body = {"attachment": {"connector": {"host": host, "mountpoint": "/dev/vdb"}}}
    response = await call(api, "PUT", f"attachments/{attachment_id}", body)
    assert response.status_code == 200, response.text
    found: Json = response.json()["attachment"]
    return found


async def complete(api: Api, attachment_id: str) -> httpx.Response:
    return await call(api, "POST", f"attachments/{attachment_id}/action", {"os-complete": None})


async def status_of(api: Api, volume_id: str) -> str:
    return str((await api.call("GET", f"volumes/{volume_id}")).json()["volume"]["status"])


async def test_a_server_is_attached_in_three_steps(world: World) -> None:
    api, agent = world.api, world.fake.agents["az1"]
    volume_id = (await api.volume("az1"))["id"]
    made = await create(api, volume_id)
    attachment_id = made["id"]
    assert made == {
        "id": attachment_id,
        "status": "reserved",
        "instance": SERVER,
        "volume_id": volume_id,
        "attach_mode": "rw",
        "attached_at": None,
        "detached_at": None,
        "connection_info": {},
    }
    assert await status_of(api, volume_id) == "reserved"
    assert agent.volumes[volume_id].exports == []
    too_early = await complete(api, attachment_id)
    assert too_early.status_code == 409
    assert "connector" in error_of(too_early)["message"]

    connected = await connect(api, attachment_id)
    info = connected["connection_info"]
    assert connected["status"] == "attaching"
    assert info["driver_volume_type"] == "nbd"
    assert info["uri"] == f"nbd://127.0.0.1:{info['port']}/{info['export']}"
    assert info["attachment_id"] == attachment_id
    # It was answered only when the agent had it, and a repeated call gets the same.
    assert [each["name"] for each in agent.volumes[volume_id].exports] == [info["export"]]
    assert (await connect(api, attachment_id))["connection_info"] == info
    assert await status_of(api, volume_id) == "attaching"
    assert (await api.call("GET", f"volumes/{volume_id}")).json()["volume"]["attachments"] == []

    for _ in range(2):
        completed = await complete(api, attachment_id)
        assert (completed.status_code, completed.content) == (204, b"")
    volume = (await api.call("GET", f"volumes/{volume_id}")).json()["volume"]
    assert volume["status"] == "in-use"
    ((shown),) = volume["attachments"]
    assert (shown["attachment_id"], shown["server_id"], shown["host_name"]) == (attachment_id, SERVER, "h1")
    assert (shown["device"], shown["attached_at"] is None) == ("/dev/vdb", False)
    assert info["export"] not in str(volume)
    again = await call(
        api, "PUT", f"attachments/{attachment_id}", {"attachment": {"connector": {"host": "h2"}}}
    )
    assert again.status_code == 409

    ended = await call(api, "DELETE", f"attachments/{attachment_id}")
    assert (ended.status_code, ended.json()) == (200, {"attachments": []})
    assert await status_of(api, volume_id) == "available"
    assert agent.volumes[volume_id].exports == []
    assert (await call(api, "GET", f"attachments/{attachment_id}")).status_code == 404
    assert (await call(api, "DELETE", f"attachments/{attachment_id}")).status_code == 404


async def test_lists_tell_no_secret_and_are_filtered(world: World) -> None:
    api = world.api
    first, second = [(await api.volume("az1"))["id"] for _ in range(2)]
    one = await create(api, first)
    other = await create(api, second, {"host": "h1"})
    assert other["status"] == "attaching"
    secret = other["connection_info"]["export"]

    async def ids(query: str) -> list[str]:
        response = await call(api, "GET", f"attachments{query}")
        assert response.status_code == 200, response.text
        assert secret not in response.text
        return [each["id"] for each in response.json()["attachments"]]

    for path in ("", "/detail"):
        assert await ids(path) == [other["id"], one["id"]]
        assert await ids(f"{path}?limit=1") == [other["id"]]
        assert await ids(f"{path}?marker={other['id']}") == [one["id"]]
        assert await ids(f"{path}?volume_id={first}") == [one["id"]]
        assert await ids(f"{path}?status=attaching&instance_id={SERVER}") == [other["id"]]
        assert await ids(f"{path}?status=nonsense") == []
    short = (await call(api, "GET", "attachments?limit=1")).json()["attachments"][0]
    assert set(short) == {"id", "status", "instance", "volume_id"}
    shown = (await call(api, "GET", f"attachments/{other['id']}")).json()["attachment"]
    assert shown == other
    assert (await call(api, "GET", f"attachments/{other['id']}", project="another")).status_code == 404
    assert (await call(api, "GET", "attachments", project="another")).json() == {"attachments": []}


async def test_whoever_may_only_read_gets_no_secret(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    made = await create(api, volume_id, {"host": "h1"})
    reader = await add_user(api, "reader", "reader")
    shown = await call(api, "GET", f"attachments/{made['id']}", token=reader)
    assert shown.status_code == 200
    assert shown.json()["attachment"] == {**made, "connection_info": {}}
    assert (await call(api, "DELETE", f"attachments/{made['id']}", token=reader)).status_code == 403


async def test_of_two_that_want_it_at_once_one_gets_it(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    body = {"attachment": {"volume_uuid": volume_id, "connector": {"host": "h"}}}
    both = await asyncio.gather(*(call(api, "POST", "attachments", body) for _ in range(2)))
    assert sorted(response.status_code for response in both) == [200, 409]
    exports = world.fake.agents["az1"].volumes[volume_id].exports
    ((made),) = [response.json()["attachment"] for response in both if response.status_code == 200]
    assert [each["name"] for each in exports] == [made["connection_info"]["export"]]


async def test_a_volume_for_one_host_takes_one_attachment(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    first = await create(api, volume_id)
    body = {"attachment": {"volume_uuid": volume_id}}
    second = await call(api, "POST", "attachments", body)
    assert second.status_code == 409
    assert first["id"] in error_of(second)["message"]
    for action in ("os-unreserve", "os-reserve"):
        assert (await api.call("POST", f"volumes/{volume_id}/action", {action: None})).status_code == 409
    # What has not been ended counts as attached, the reserved one too.
    assert (await api.call("DELETE", f"volumes/{volume_id}")).status_code == 409


async def test_a_volume_for_several_hosts_takes_several(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1", multiattach=True))["id"]
    first, second = [await _attached(api, volume_id, host) for host in ("h1", "h2")]
    ended = await call(api, "DELETE", f"attachments/{first}")
    assert [each["id"] for each in ended.json()["attachments"]] == [second]
    assert await status_of(api, volume_id) == "in-use"
    await call(api, "DELETE", f"attachments/{second}")
    assert await status_of(api, volume_id) == "available"


async def _attached(api: Api, volume_id: str, host: str = "h1") -> str:
    attachment_id = (await create(api, volume_id, {"host": host}))["id"]
    assert (await complete(api, attachment_id)).status_code == 204
    return str(attachment_id)


async def test_a_site_that_is_away_keeps_a_reservation_a_reservation(world: World) -> None:
    api, agent = world.api, world.fake.agents["az1"]
    volume_id = (await api.volume("az1"))["id"]
    made = await create(api, volume_id)
    agent.up = False
    body: Json = {"attachment": {"connector": {"host": "h"}}}
    assert (await call(api, "PUT", f"attachments/{made['id']}", body)).status_code == 503
    assert (await call(api, "GET", f"attachments/{made['id']}")).json()["attachment"] == made
    assert await status_of(api, volume_id) == "reserved"
    # It ends without the site, which is told when it is back.
    assert (await call(api, "DELETE", f"attachments/{made['id']}")).status_code == 200
    body["attachment"]["volume_uuid"] = volume_id
    assert (await call(api, "POST", "attachments", body)).status_code == 503
    assert (await call(api, "GET", "attachments")).json() == {"attachments": []}
    assert await status_of(api, volume_id) == "available"


async def test_the_dr_volume_takes_no_attachment_and_an_attached_one_does_not_become_it(world: World) -> None:
    api = world.api
    production, dr = (await api.pair("az1"))["volume_ids"].split(",")
    refused = await call(api, "POST", "attachments", {"attachment": {"volume_uuid": dr}})
    assert refused.status_code == 409
    assert "DR copy" in error_of(refused)["message"]
    await _attached(api, production)
    held, free = (await api.volume("az2"))["id"], (await api.volume("az1"))["id"]
    await _attached(api, held)
    response = await api.call("POST", PAIRS, pair_body([free, held], "az1"))
    assert response.status_code == 409
    assert "37100058" in error_of(response)["message"]


async def test_an_attachment_keeps_production_where_it_is(world: World) -> None:
    api = world.api
    pair = await api.pair("az1")
    group = await api.group([pair])
    assert (await api.act(group["id"], "os-sync-replication-consistency-group")).status_code == 200
    path = f"os-vendor-replication-consistency-groups/{group['id']}"
    key = "replication_consistency_group"
    await api.told(path, key, lambda found: bool(found["replication_status"] == "active"))
    production = pair["volume_ids"].split(",")[0]
    attachment_id = (await create(api, production))["id"]
    reverse = await api.act(group["id"], "os-reverse-replication-consistency-group")
    assert reverse.status_code == 409
    assert production in error_of(reverse)["message"]
    # A failover leaves it, and the reprotect waits for its end.
    assert (await api.act(group["id"], "os-failover-replication-consistency-group")).status_code == 200
    await api.settled(path, key, "failovered")
    assert (await call(api, "GET", f"attachments/{attachment_id}")).status_code == 200
    # It gets no export any more; the volume that is production now takes attachments.
    body = {"attachment": {"connector": {"host": "h"}}}
    assert (await call(api, "PUT", f"attachments/{attachment_id}", body)).status_code == 409
    assert (await create(api, pair["volume_ids"].split(",")[1], {"host": "h"}))["status"] == "attaching"
    reprotect = "os-reprotect-replication-consistency-group"
    assert (await api.act(group["id"], reprotect)).status_code == 409
    assert (await call(api, "DELETE", f"attachments/{attachment_id}")).status_code == 200
    assert (await api.act(group["id"], reprotect)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "EVS.1052"),
        ({"attachment": {}}, 400, "EVS.1002"),
        ({"attachment": {"volume_uuid": "x"}}, 400, "EVS.1002"),
        ({"attachment": {"volume_uuid": NOBODY}}, 404, "EVS.5404"),
        ({"attachment": {"volume_uuid": NOBODY, "mode": "wo"}}, 400, "EVS.5400"),
        ({"attachment": {"volume_uuid": NOBODY, "instance_uuid": 1}}, 400, "EVS.5400"),
        ({"attachment": {"volume_uuid": NOBODY, "connector": []}}, 400, "EVS.5400"),
        ({"attachment": {"volume_uuid": NOBODY, "connector": {"ip": "::1"}}}, 400, "EVS.5400"),
        (
            {"attachment": {"volume_uuid": NOBODY, "connector": {"host": "h", "x": "y" * 5000}}},
            400,
            "EVS.5400",
        ),
    ],
)
async def test_a_wrong_attachment_is_refused(door: Api, body: Json, status: int, code: str) -> None:
    response = await call(door, "POST", "attachments", body)
    assert response.status_code == status, response.text
    assert error_of(response)["error_code"] == code


async def test_a_wrong_change_is_refused(world: World) -> None:
    api = world.api
    attachment_id = (await create(api, (await api.volume("az1"))["id"]))["id"]
    path = f"attachments/{attachment_id}"
    wrong: list[Json] = [{}, {"attachment": {}}, {"attachment": {"connector": None}}]
    for body in wrong:
        assert (await call(api, "PUT", path, body)).status_code == 400
    for action in ({}, {"os-nonsense": None}, {"os-complete": None, "os-nonsense": None}):
        assert (await call(api, "POST", f"{path}/action", action)).status_code == 400
    assert (await call(api, "PATCH", path)).status_code == 405


async def test_older_microversions_have_no_attachments(door: Api) -> None:
    for microversion, method, path in (
        ("3.26", "GET", "attachments"),
        ("3.0", "GET", "attachments/detail"),
        ("3.26", "POST", "attachments"),
        ("3.26", "GET", f"attachments/{NOBODY}"),
        ("3.43", "POST", f"attachments/{NOBODY}/action"),
    ):
        body: Json | None = {} if method == "POST" else None
        response = await call(door, method, path, body, microversion)
        assert response.status_code == 404
        assert "OpenStack-API-Version" in error_of(response)["message"]
    assert (await call(door, "GET", "attachments", microversion="3.27")).status_code == 200
    assert (await door.call("GET", "attachments", version="v2")).status_code == 404
