"""Adopting devices and files over HTTP: by block storage's call, by admins alone, given back as they are."""

from typing import Any

import pytest
from tests.api.conftest import World
from tests.api.harness import GROUPS, PAIRS, Json, error_of, pair_body
from tests.api.test_extend_group import EXTEND
from tests.api.test_identity import add_user

from bilocate.domain.geometry import GIB

pytestmark = pytest.mark.anyio
DEVICE = "/dev/disk/by-id/orders"


def body(source: str = DEVICE, **more: Any) -> Json:
    return {"volume": {"host": "az1", "ref": {"source-name": source}, "name": "orders", **more}}


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_a_device_becomes_a_volume_and_is_given_back(world: World, version: str) -> None:
    api, agent = world.api, world.fake.agents["az1"]
    agent.devices[DEVICE] = 3 * GIB
    answer = await api.call("POST", "os-volume-manage", body(metadata={"k": "v"}), version=version)
    assert answer.status_code == 202, answer.text
    volume = answer.json()["volume"]
    assert (volume["status"], volume["size"], volume["availability_zone"]) == ("creating", 3, "az1")
    shown = await api.settled(f"volumes/{volume['id']}", "volume")
    assert (shown["name"], shown["metadata"]) == ("orders", {"k": "v"})
    assert shown["bilocate:adopted_from"] == DEVICE
    assert agent.volumes[volume["id"]].source == DEVICE
    again = await api.call("POST", "os-volume-manage", body(), version=version)
    assert again.status_code == 409
    assert "in use" in error_of(again)["message"]
    path = f"volumes/{volume['id']}"
    assert (
        await api.call("POST", f"{path}/action", {"os-unmanage": None}, version=version)
    ).status_code == 202

    async def gone() -> bool:
        return (await api.call("GET", path)).status_code == 404

    await api.until(gone)
    assert volume["id"] not in agent.volumes


async def test_by_the_names_that_clients_use(world: World) -> None:
    agent = world.fake.agents["az2"]
    for number, fields in enumerate(
        (
            {"host": "az2@backend#pool", "ref": {"source-id": "/dev/0"}},
            {"host": "elsewhere", "availability_zone": "az2", "ref": {"source-name": "/dev/1"}},
            {"host": None, "availability_zone": "az2", "ref": {"source-name": "/dev/2"}, "volume_type": None},
        )
    ):
        agent.devices[f"/dev/{number}"] = GIB
        answer = await world.api.call("POST", "os-volume-manage", {"volume": fields}, version="v3")
        assert answer.status_code == 202, answer.text
        await world.api.settled(f"volumes/{answer.json()['volume']['id']}", "volume")


WRONG: tuple[tuple[Json, int], ...] = (
    ({}, 400),
    ({"volume": {}}, 400),
    (body(ref=None), 400),
    (body(ref={"source-name": ""}), 400),
    (body(ref={"source-name": 7}), 400),
    (body(ref={"source-name": "/" + 4096 * "x"}), 400),
    (body(host=""), 400),
    (body(host="az9"), 400),
    (body("/dev/unknown"), 400),
    (body("/dev/odd"), 400),
    (body("/dev/tiny"), 400),
    (body(volume_type="none-such"), 404),
)


async def test_what_is_refused_makes_nothing(world: World) -> None:
    api = world.api
    world.fake.agents["az1"].devices = {"/dev/odd": GIB + 512, "/dev/tiny": 512, DEVICE: GIB}
    for asked, status in WRONG:
        answer = await api.call("POST", "os-volume-manage", asked)
        assert answer.status_code == status, (asked, answer.text)
        error_of(answer)
    assert (
        await api.call("POST", "os-volume-manage", body(), token=await add_user(api, "someone", "member"))
    ).status_code == 403
    assert (await api.call("GET", "os-volume-manage")).status_code == 405
    world.fake.agents["az1"].up = False
    assert (await api.call("POST", "os-volume-manage", body())).status_code == 503
    world.fake.agents["az1"].up = True
    assert (await api.call("GET", "volumes")).json()["volumes"] == []


async def test_only_what_was_adopted_is_given_back_and_only_by_an_admin(world: World) -> None:
    api = world.api
    plain = await api.volume("az1")
    answer = await api.call("POST", f"volumes/{plain['id']}/action", {"os-unmanage": None})
    assert answer.status_code == 409
    assert "delete it instead" in error_of(answer)["message"]
    member = await add_user(api, "someone", "member")
    answer = await api.call("POST", f"volumes/{plain['id']}/action", {"os-unmanage": None}, token=member)
    assert answer.status_code == 403


async def test_an_adopted_volume_is_paired_but_does_not_grow_in_its_pair(world: World) -> None:
    api = world.api
    world.fake.agents["az1"].devices[DEVICE] = GIB
    made = (await api.call("POST", "os-volume-manage", body())).json()["volume"]
    await api.settled(f"volumes/{made['id']}", "volume")
    other = await api.volume("az2")
    pair = await api.made(PAIRS, pair_body([made["id"], other["id"]]))
    answer = await api.call("POST", f"volumes/{made['id']}/action", {"os-unmanage": None})
    assert answer.status_code == 409  # the pair has it
    group = await api.group([pair])
    answer = await api.act(group["id"], EXTEND, {"id": pair["id"], "new_size": 2})
    assert answer.status_code == 409
    assert "adopted" in error_of(answer)["message"]
    assert (await api.call("GET", f"{GROUPS}/{group['id']}")).status_code == 200
