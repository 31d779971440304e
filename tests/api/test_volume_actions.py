"""A volume's actions over HTTP: growing, reserving, attaching and detaching."""

from typing import Any

import httpx
import pytest
from tests.api.conftest import World
from tests.api.harness import PAIRS, Api, error_of

pytestmark = pytest.mark.anyio
GIB = 1024**3
SERVER = "99999999-2222-4333-8444-555555555555"


async def act(api: Api, volume_id: str, action: str, value: Any = None) -> httpx.Response:
    return await api.call("POST", f"volumes/{volume_id}/action", {action: value})


async def done(api: Api, volume_id: str, action: str, value: Any = None) -> dict[str, Any]:
    """The action is accepted; the volume as it is then."""
    response = await act(api, volume_id, action, value)
    assert response.status_code == 202, response.text
    assert response.content == b""
    volume: dict[str, Any] = (await api.call("GET", f"volumes/{volume_id}")).json()["volume"]
    return volume


async def refused(api: Api, volume_id: str, action: str, value: Any = None) -> str:
    """The action is refused for a state; what is said."""
    response = await act(api, volume_id, action, value)
    assert response.status_code == 409, response.text
    return str(error_of(response)["message"])


async def test_a_volume_grows_at_its_site(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    assert (await done(api, volume_id, "os-extend", {"new_size": 3}))["status"] in ("extending", "available")
    grown = await api.settled(f"volumes/{volume_id}", "volume")
    assert grown["size"] == 3
    assert world.fake.agents["az1"].volumes[volume_id].size_bytes == 3 * GIB
    await done(api, volume_id, "os-extend", {"new_size": "4"})
    assert (await api.settled(f"volumes/{volume_id}", "volume"))["size"] == 4


@pytest.mark.parametrize("size", [1, 2])
async def test_a_volume_never_shrinks(world: World, size: int) -> None:
    volume_id = (await world.api.volume("az1", size=2))["id"]
    response = await act(world.api, volume_id, "os-extend", {"new_size": size})
    assert response.status_code == 400
    assert error_of(response)["error_code"] == "EVS.1015"


async def test_a_paired_volume_does_not_grow_alone(world: World) -> None:
    pair = await world.api.pair()
    for volume_id in pair["volume_ids"].split(","):
        message = await refused(world.api, volume_id, "os-extend", {"new_size": 2})
        assert pair["id"] in message
        assert "os-extend-replication-volumes" in message


async def test_a_volume_grows_when_its_pair_is_gone(world: World) -> None:
    """Its session may not have ended at the site yet: it is ended first."""
    api = world.api
    pair = await api.pair()
    volume_id = pair["volume_ids"].split(",")[0]
    assert (await api.call("DELETE", f"{PAIRS}/{pair['id']}")).status_code == 202

    async def free() -> bool:
        return (await api.call("GET", f"{PAIRS}/{pair['id']}")).status_code == 404

    await api.until(free)
    await done(api, volume_id, "os-extend", {"new_size": 2})
    assert (await api.settled(f"volumes/{volume_id}", "volume"))["size"] == 2


async def test_growing_that_fails_says_so_and_is_repeated(world: World) -> None:
    api, agent = world.api, world.fake.agents["az1"]
    volume_id = (await api.volume("az1"))["id"]
    agent.refuse["PUT volumes"] = "volume_unusable"
    await done(api, volume_id, "os-extend", {"new_size": 2})
    failed = await api.settled(f"volumes/{volume_id}", "volume", "error_extending")
    assert failed["size"] == 1
    assert "volume_unusable" in failed["failure_message"]
    assert "error_extending" in await refused(api, volume_id, "os-reserve")
    agent.refuse.clear()
    await done(api, volume_id, "os-extend", {"new_size": 2})
    assert (await api.settled(f"volumes/{volume_id}", "volume"))["size"] == 2


async def test_growing_at_a_site_that_is_away_changes_nothing(world: World) -> None:
    volume_id = (await world.api.volume("az1"))["id"]
    world.fake.agents["az1"].up = False
    assert (await act(world.api, volume_id, "os-extend", {"new_size": 2})).status_code == 503
    assert (await world.api.call("GET", f"volumes/{volume_id}")).json()["volume"]["status"] == "available"


async def test_a_size_that_a_site_reached_in_an_earlier_try_is_told(world: World) -> None:
    """The try before ended in an error, and yet the disk had grown: a disk is never made smaller."""
    api, agent = world.api, world.fake.agents["az1"]
    volume_id = (await api.volume("az1"))["id"]
    agent.volumes[volume_id].size_bytes = 5 * GIB
    await done(api, volume_id, "os-extend", {"new_size": 2})
    assert (await api.settled(f"volumes/{volume_id}", "volume"))["size"] == 5


async def test_a_server_attaches_and_detaches(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    assert (await done(api, volume_id, "os-reserve"))["status"] == "attaching"
    assert "attaching" in await refused(api, volume_id, "os-reserve")
    attach = {"instance_uuid": SERVER, "mountpoint": "/dev/vdb"}
    attached = await done(api, volume_id, "os-attach", attach)
    assert attached["status"] == "in-use"
    ((found),) = attached["attachments"]
    assert {key: found[key] for key in ("volume_id", "server_id", "device", "host_name")} == {
        "volume_id": volume_id,
        "server_id": SERVER,
        "device": "/dev/vdb",
        "host_name": None,
    }
    assert found["attached_at"] is not None
    assert attached["bilocate:connections"] == []
    # In use: no second one, no deletion, but growing is possible.
    assert found["attachment_id"] in await refused(api, volume_id, "os-attach", {"host_name": "h2"})
    assert found["attachment_id"] in await refused(api, volume_id, "os-reserve")
    assert (await api.call("DELETE", f"volumes/{volume_id}")).status_code == 409
    await done(api, volume_id, "os-extend", {"new_size": 2})
    assert (await api.settled(f"volumes/{volume_id}", "volume", "in-use"))["size"] == 2
    assert (await done(api, volume_id, "os-begin_detaching"))["status"] == "detaching"
    assert (await done(api, volume_id, "os-roll_detaching"))["status"] == "in-use"
    await done(api, volume_id, "os-begin_detaching")
    gone = await done(api, volume_id, "os-detach", {"attachment_id": found["attachment_id"]})
    assert (gone["status"], gone["attachments"]) == ("available", [])
    assert "no attachment" in await refused(api, volume_id, "os-detach", {})


async def test_a_reservation_is_taken_back(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    for _ in range(2):  # nothing reserved is fine
        assert (await done(api, volume_id, "os-unreserve"))["status"] == "available"
    await done(api, volume_id, "os-reserve")
    assert (await done(api, volume_id, "os-unreserve"))["status"] == "available"
    assert "in-use" in await refused(api, volume_id, "os-begin_detaching")


async def test_a_volume_for_several_hosts_stays_in_use_until_the_last_leaves(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1", multiattach=True))["id"]
    await done(api, volume_id, "os-attach", {"host_name": "h1"})
    assert (await done(api, volume_id, "os-reserve"))["status"] == "in-use"
    attached = await done(api, volume_id, "os-attach", {"host_name": "h2", "mode": "ro"})
    one, other = [each["attachment_id"] for each in attached["attachments"]]
    assert "attachment_id" in await refused(api, volume_id, "os-detach", {})
    left = await done(api, volume_id, "os-detach", {"attachment_id": one})
    assert (left["status"], [each["attachment_id"] for each in left["attachments"]]) == ("in-use", [other])
    assert (await done(api, volume_id, "os-detach"))["status"] == "available"


async def test_a_host_can_leave_a_volume_that_did_not_grow(world: World) -> None:
    api, agent = world.api, world.fake.agents["az1"]
    volume_id = (await api.volume("az1"))["id"]
    await done(api, volume_id, "os-attach", {"host_name": "h"})
    agent.refuse["PUT volumes"] = "volume_unusable"
    await done(api, volume_id, "os-extend", {"new_size": 2})
    await api.settled(f"volumes/{volume_id}", "volume", "error_extending")
    agent.refuse.clear()
    assert (await done(api, volume_id, "os-detach"))["status"] == "error_extending"
    assert (await api.call("DELETE", f"volumes/{volume_id}")).status_code == 202


async def test_the_dr_volume_takes_no_host(world: World) -> None:
    api = world.api
    production, dr = (await api.pair("az1"))["volume_ids"].split(",")
    for action, value in (("os-reserve", None), ("os-attach", {"host_name": "h"})):
        assert "DR copy" in await refused(api, dr, action, value)
    assert (await done(api, production, "os-attach", {"host_name": "h"}))["status"] == "in-use"


async def test_a_reader_and_another_project_change_nothing(world: World) -> None:
    volume_id = (await world.api.volume("az1"))["id"]
    response = await world.api.call(
        "POST", f"volumes/{volume_id}/action", {"os-reserve": None}, project="another"
    )
    assert response.status_code == 404


async def test_a_volume_is_called_bootable_by_its_owner(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    for bootable in (True, False):
        response = await act(api, volume_id, "os-set_bootable", {"bootable": bootable})
        assert (response.status_code, response.json()) == (200, {})
        told = (await api.call("GET", f"volumes/{volume_id}")).json()["volume"]
        assert told["bootable"] == str(bootable).lower()
        assert told["status"] == "available"
    for wrong in (None, {}, {"bootable": "yes"}, {"bootable": None}):
        assert (await act(api, volume_id, "os-set_bootable", wrong)).status_code == 400


async def test_a_volume_tells_that_it_is_not_encrypted(world: World) -> None:
    volume_id = (await world.api.volume("az1"))["id"]
    response = await world.api.call("GET", f"volumes/{volume_id}/encryption", version="v3")
    assert response.json() == {"encryption_key_id": None}
    gone = await world.api.call("GET", f"volumes/{SERVER}/encryption")
    assert gone.status_code == 404
