"""The read-only flag over HTTP."""

from typing import Any

import pytest
from tests.api.conftest import World
from tests.api.test_volume_actions import act, done, refused

pytestmark = pytest.mark.anyio
FLAG = "os-update_readonly_flag"


async def test_a_read_only_volume_tells_it_and_so_do_its_ways_in(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1", metadata={"owner": "shop"}))["id"]
    marked = await done(api, volume_id, FLAG, {"readonly": True})
    assert marked["metadata"] == {"owner": "shop", "readonly": "True"}
    assert (await api.call("GET", f"volumes/{volume_id}/metadata")).json() == {"metadata": {"owner": "shop"}}

    response = await act(api, volume_id, "os-initialize_connection", {"connector": {"host": "h"}})
    data = response.json()["connection_info"]["data"]
    assert (data["access_mode"], data["discard"]) == ("ro", False)
    agent = world.fake.agents["az1"].volumes[volume_id]
    assert [each["name"] for each in agent.read_only_exports] == [data["export"]]
    assert agent.exports == []
    assert (await act(api, volume_id, "os-attach", {"host_name": "h", "mode": "rw"})).status_code == 400
    attached = await done(api, volume_id, "os-attach", {"host_name": "h"})
    assert attached["metadata"] == {"owner": "shop", "readonly": "True", "attached_mode": "ro"}
    assert "available" in await refused(api, volume_id, FLAG, {"readonly": False})
    assert "attached_mode" not in (await done(api, volume_id, "os-detach"))["metadata"]

    assert "connection of host h" in await refused(api, volume_id, FLAG, {"readonly": False})
    await done(api, volume_id, "os-terminate_connection", {"connector": {"host": "h"}})
    assert (await done(api, volume_id, FLAG, {"readonly": False}))["metadata"] == {"owner": "shop"}


async def test_an_attachment_may_be_for_reading_only(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    asked = {"volume_uuid": volume_id, "connector": {"host": "h"}, "mode": "ro"}
    at = {"version": "v3", "headers": {"OpenStack-API-Version": "volume 3.44"}}
    made = (await api.call("POST", "attachments", {"attachment": asked}, **at)).json()["attachment"]
    assert (made["attach_mode"], made["connection_info"]["access_mode"]) == ("ro", "ro")
    assert len(world.fake.agents["az1"].volumes[volume_id].read_only_exports) == 1


async def test_the_flag_is_true_or_false(world: World) -> None:
    volume_id = (await world.api.volume("az1"))["id"]
    wrongs: list[Any] = [None, {}, {"readonly": None}, {"readonly": "yes"}, []]
    for wrong in wrongs:
        assert (await act(world.api, volume_id, FLAG, wrong)).status_code == 400


async def test_a_flag_that_its_site_does_not_hear_of_is_not_set(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    world.fake.agents["az1"].up = False
    assert (await act(api, volume_id, FLAG, {"readonly": True})).status_code == 503
    assert (await api.call("GET", f"volumes/{volume_id}")).json()["volume"]["metadata"] == {}
