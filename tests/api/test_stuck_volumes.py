"""Types, and what an admin does with a stuck volume, over HTTP."""

import pytest
from tests.api.conftest import World
from tests.api.test_identity import add_user
from tests.api.test_volume_actions import act, done, refused

pytestmark = pytest.mark.anyio


async def test_a_type_says_how_many_hosts_may_attach(world: World) -> None:
    api = world.api
    made = await api.volume("az1", volume_type="multiattach")
    assert (made["volume_type"], made["multiattach"]) == ("multiattach", True)
    volume_id = made["id"]
    for host in ("h1", "h2"):
        await done(api, volume_id, "os-attach", {"host_name": host})
    assert "available" in await refused(api, volume_id, "os-retype", {"new_type": "standard"})
    for _ in range(2):
        shown = (await api.call("GET", f"volumes/{volume_id}")).json()["volume"]
        first = shown["attachments"][0]["attachment_id"]
        await done(api, volume_id, "os-detach", {"attachment_id": first})
    plain = await done(api, volume_id, "os-retype", {"new_type": "standard", "migration_policy": "never"})
    assert (plain["volume_type"], plain["multiattach"], plain["status"]) == ("standard", False, "available")
    other = (await api.volume("az2", volume_type="multiattach"))["id"]
    body = {"volume_ids": [volume_id, other], "priority_station": "az1", "replication_model": "hypermetro"}
    assert (await api.call("POST", "os-vendor-replications", {"replication": body})).status_code == 400


async def test_a_paired_volume_is_not_retyped(world: World) -> None:
    pair = await world.api.pair()
    for volume_id in pair["volume_ids"].split(","):
        said = await refused(world.api, volume_id, "os-retype", {"new_type": "multiattach"})
        assert pair["id"] in said


async def test_a_stuck_volume_is_freed(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    await done(api, volume_id, "os-reserve")
    freed = await done(
        api, volume_id, "os-reset_status", {"status": "available", "attach_status": "detached"}
    )
    assert freed["status"] == "available"
    assert (await done(api, volume_id, "os-reset_status", {"status": "error"}))["status"] == "error"
    assert "error" in await refused(api, volume_id, "os-initialize_connection", {"connector": {"host": "h"}})
    assert (await done(api, volume_id, "os-reset_status", {"migration_status": "none"}))["status"] == "error"
    await done(api, volume_id, "os-reset_status", {"status": "available"})
    assert "going on" in await refused(api, volume_id, "os-reset_status", {"status": "creating"})

    attached = await done(api, volume_id, "os-attach", {"host_name": "gone"})
    for wrong in ({"status": "available"}, {"attach_status": "detached"}):
        assert "os-force_detach" in await refused(api, volume_id, "os-reset_status", wrong)
    assert "attached" in await refused(api, volume_id, "os-force_delete")
    named = {"attachment_id": attached["attachments"][0]["attachment_id"], "connector": None}
    assert (await done(api, volume_id, "os-force_detach", named))["status"] == "available"

    await done(api, volume_id, "os-reserve")
    assert (await act(api, volume_id, "os-force_delete")).status_code == 202

    async def gone() -> bool:
        return (await api.call("GET", f"volumes/{volume_id}")).status_code == 404

    await api.until(gone)
    assert volume_id not in world.fake.agents["az1"].volumes


async def test_a_paired_volume_is_not_deleted_by_force(world: World) -> None:
    pair = await world.api.pair()
    for volume_id in pair["volume_ids"].split(","):
        assert pair["id"] in await refused(world.api, volume_id, "os-force_delete")
        assert pair["id"] in await refused(world.api, volume_id, "os-reset_status", {"status": "error"})


async def test_only_an_admin_frees_a_stuck_volume(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    member = await add_user(api, "someone", "member")
    for action, value in (
        ("os-reset_status", {"status": "error"}),
        ("os-force_delete", None),
        ("os-force_detach", None),
    ):
        response = await api.call("POST", f"volumes/{volume_id}/action", {action: value}, token=member)
        assert response.status_code == 403, action
