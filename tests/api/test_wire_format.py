"""The wire format, byte for byte, of every resource. Clients in other languages hang on each of these bytes.

Strings are strings, nulls are nulls, times have no zone, `volume_ids` keeps its order, 200 and 202 are exact. What is
to be said is in golden/: one conversation each.
"""

from datetime import UTC, datetime

import pytest
from tests.api.conftest import World
from tests.api.harness import GROUPS, PAIRS, Api, Json, group_body, pair_body
from tests.api.managing import Manager
from tests.api.story import Story

from bilocate.api import wire

pytestmark = pytest.mark.anyio
MICRO = {"OpenStack-API-Version": "volume 3.44"}


def test_a_time_has_six_digits_behind_the_second_also_where_they_are_zeros() -> None:
    whole = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None)
    assert wire.time(whole) == "2026-01-02T03:04:05.000000"
    assert wire.time(whole.replace(microsecond=60)) == "2026-01-02T03:04:05.000060"
    assert wire.time(None) is None


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_volumes(world: World, version: str) -> None:
    story = Story(world.api)
    # As the OpenStack command line sends it: what is not set is null.
    asked = {
        "size": 1, "availability_zone": "az1", "name": "données", "description": None, "volume_type": None,
        "snapshot_id": None, "source_volid": None, "imageRef": None, "consistencygroup_id": None,
        "metadata": {"a": "1"},
    }  # fmt: skip
    made = await story.here("POST", "volumes", {"volume": asked}, version=version)
    volume_id = story.introduce(made, "volume", "VOLUME")
    story.name(made.json()["volume"]["user_id"], "USER")
    await world.api.settled(f"volumes/{volume_id}", "volume")
    path = f"volumes/{volume_id}"
    await story.here("GET", path, version=version)
    await story.here("PUT", path, {"volume": {"name": "renamed"}}, version=version)
    await story.here("GET", "volumes", version=version)
    await story.here("GET", "volumes/detail?limit=1", version=version)
    connector = {"connector": {"host": "host-1"}}
    way = await story.here("POST", f"{path}/action", {"os-initialize_connection": connector}, version=version)
    data = way.json()["connection_info"]["data"]
    story.name(data["export"], "EXPORT")
    story.name(data["attachment_id"], "CONNECTION")
    await story.here("GET", path, version=version)
    await story.here("POST", f"{path}/action", {"os-terminate_connection": connector}, version=version)
    await story.here("POST", f"{path}/action", {"os-extend": {"new_size": 2}}, version=version)
    await world.api.settled(path, "volume")
    await story.here("DELETE", path, version=version)
    story.ends(f"volumes_{version}")


async def test_pairs(world: World) -> None:
    story = Story(world.api)
    first, second = (await world.api.volume("az2"))["id"], (await world.api.volume("az1"))["id"]
    story.name(first, "VOLUME-AT-AZ2")
    story.name(second, "VOLUME-AT-AZ1")
    # Production is at az1, and the volume at az2 was named first: it stays first.
    made = await story.here("POST", PAIRS, pair_body([first, second], name="pair"))
    pair_id = story.introduce(made, "replication", "PAIR")
    await world.api.settled(f"{PAIRS}/{pair_id}", "replication")
    await story.here("GET", f"{PAIRS}/{pair_id}")
    await story.here("GET", PAIRS)
    await story.here("GET", f"{PAIRS}?name=no+such")
    await story.here("DELETE", f"{PAIRS}/{pair_id}")
    story.ends("pairs")


async def test_groups(world: World) -> None:
    story = Story(world.api)
    pair = await world.api.pair()
    story.name(pair["id"], "PAIR")
    for each, site in zip(pair["volume_ids"].split(","), ("AZ1", "AZ2"), strict=True):
        story.name(each, f"VOLUME-AT-{site}")
    made = await story.here("POST", GROUPS, group_body([pair["id"]], name="group", description="two words"))
    group_id = story.introduce(made, "replication_consistency_group", "GROUP")
    path, key = f"{GROUPS}/{group_id}", "replication_consistency_group"
    await world.api.settled(path, key)
    await story.here("GET", path)
    changes: Json
    for changes in ({}, {key: {}}, {key: {"name": "renamed"}}):
        await story.here("PUT", path, changes)
        await world.api.settled(path, key)
    await story.here("POST", f"{path}/action", {"os-sync-replication-consistency-group": None})
    await world.api.told(path, key, lambda found: bool(found["replication_status"] == "active"))
    await story.here("GET", path)
    await story.here("GET", f"{PAIRS}/{pair['id']}")
    await story.here("POST", f"{path}/action", {"os-reverse-replication-consistency-group": None})
    await world.api.told(path, key, lambda found: bool(found["priority_station"] == "az2"))
    await world.api.settled(path, key)
    await story.here("POST", f"{path}/action", {"os-failover-replication-consistency-group": None})
    await world.api.settled(path, key, "failovered")
    await story.here("GET", path)
    await story.here("POST", f"{path}/action", {"os-reprotect-replication-consistency-group": None})
    await world.api.told(path, key, lambda found: bool(found["replication_status"] == "active"))
    extend = {"replications": [{"id": pair["id"], "new_size": 2}]}
    await story.here("POST", f"{path}/action", {"os-extend-replication-volumes": extend})
    await story.here("POST", f"{path}/action", {"os-stop-replication-consistency-group": None})
    await world.api.told(path, key, lambda found: bool(found["replication_status"] == "active-stopped"))
    await story.here("PUT", path, {key: {"remove_replication_ids": [pair["id"]]}})
    await world.api.settled(path, key)
    await story.here("GET", GROUPS)
    await story.here("DELETE", path)
    story.ends("groups")


async def test_attachments(world: World) -> None:
    story = Story(world.api)
    volume_id = story.name((await world.api.volume("az1"))["id"], "VOLUME")
    asked = {"volume_uuid": volume_id, "instance_uuid": "server-1", "connector": None}
    made = await story.here("POST", "attachments", {"attachment": asked}, version="v3", headers=MICRO)
    attachment_id = story.introduce(made, "attachment", "ATTACHMENT")
    path = f"attachments/{attachment_id}"
    connector = {"attachment": {"connector": {"host": "host-1", "mountpoint": "/dev/vdb"}}}
    way = await story.here("PUT", path, connector, version="v3", headers=MICRO)
    story.name(way.json()["attachment"]["connection_info"]["export"], "EXPORT")
    await story.here("POST", f"{path}/action", {"os-complete": {}}, version="v3", headers=MICRO)
    for each in (path, "attachments", "attachments/detail", "volumes/summary"):
        await story.here("GET", each, version="v3", headers=MICRO)
    shown = await story.here("GET", f"volumes/{volume_id}", version="v3", keep=False)
    assert shown.json()["volume"]["status"] == "in-use"
    await story.here("DELETE", path, version="v3", headers=MICRO)
    story.ends("attachments")


async def test_what_is_said_of_a_volume(world: World) -> None:
    story = Story(world.api)
    volume_id = story.name((await world.api.volume("az1"))["id"], "VOLUME")
    path = f"volumes/{volume_id}"
    for action, value in (
        ("os-set_image_metadata", {"metadata": {"os": "linux", "arch": "x86"}}),
        ("os-unset_image_metadata", {"key": "arch"}),
        ("os-show_image_metadata", None),
        ("os-retype", {"new_type": "multiattach", "migration_policy": "never"}),
        ("os-update_readonly_flag", {"readonly": True}),
    ):
        await story.here("POST", f"{path}/action", {action: value})
    shown = await story.here("GET", path, keep=False)
    story.name(shown.json()["volume"]["user_id"], "USER")
    await story.here("GET", path)
    connector = {"connector": {"host": "host-1"}}
    way = await story.here("POST", f"{path}/action", {"os-initialize_connection": connector}, keep=False)
    data = way.json()["connection_info"]["data"]
    story.name(data["export"], "EXPORT")
    story.name(data["attachment_id"], "CONNECTION")
    await story.here("POST", f"{path}/action", {"os-update_readonly_flag": {"readonly": False}})
    await story.here("POST", f"{path}/action", {"os-force_detach": connector})
    await story.here("POST", f"{path}/action", {"os-reset_status": {"status": "error"}})
    await story.here("POST", f"{path}/action", {"os-force_delete": None})
    story.ends("volume_actions")


async def test_metadata_and_tags(world: World) -> None:
    story = Story(world.api)
    volume_id = story.name((await world.api.volume("az1"))["id"], "VOLUME")
    path = f"volumes/{volume_id}/metadata"
    await story.here("POST", path, {"metadata": {"b": "2", "a": "1"}})
    await story.here("GET", path)
    await story.here("PUT", f"{path}/a", {"meta": {"a": "3"}})
    await story.here("GET", f"{path}/a")
    await story.here("DELETE", f"{path}/a")
    await story.here("PUT", path, {"metadata": {}})
    for tags in (f"os-vendor-volumes/{volume_id}/tags", f"os-vendor-tags/volumes/{volume_id}"):
        is_old = "os-vendor-tags" in tags
        await story.here("POST", tags, {"tags": {"k": "v"} if is_old else [{"key": "k", "value": "v"}]})
        await story.here("GET", tags)
        await story.here("PUT", f"{tags}/k", {"tag": {"k": "w"} if is_old else {"key": "k", "value": "w"}})
        await story.here("GET", f"{tags}/k")
        await story.here("DELETE", f"{tags}/k")
    batch = {"action": "create", "tags": [{"key": "k", "value": "v"}]}
    await story.here("POST", f"os-vendor-volumes/{volume_id}/tags/action", batch)
    story.ends("metadata_and_tags")


async def test_what_a_project_finds(world: World) -> None:
    story = Story(world.api)
    await world.api.until(lambda: _answers(world.api))
    for path in ("types", "types/default", "os-availability-zone", "limits", "os-services", "snapshots"):
        await story.here("GET", path)
    quotas = f"os-quota-sets/{world.api.project_id}"
    await story.here("GET", quotas)
    await story.here("GET", f"{quotas}?usage=true")
    await story.here("PUT", quotas, {"quota_set": {"volumes": 5, "gigabytes": "7"}})
    await story.here("GET", f"{quotas}/defaults")
    await story.here("DELETE", quotas)
    story.ends("catalogue")


async def _answers(api: Api) -> bool:
    zones = (await api.call("GET", "os-availability-zone")).json()["availabilityZoneInfo"]
    return all(zone["zoneState"]["available"] for zone in zones)


async def test_versions(door: Api) -> None:
    story = Story(door)
    for path in ("/", "/v2", "/v2/", "/v3", "/v3/", "/identity", "/identity/v3", "/identity/v3/"):
        await story.ask("GET", path, headers={"X-Auth-Token": ""})
    story.ends("versions")


async def test_errors(world: World) -> None:
    story = Story(world.api)
    nowhere = "00000000-0000-4000-8000-000000000000"
    volume_id = story.name((await world.api.volume("az1"))["id"], "VOLUME")
    await story.here("POST", PAIRS, "{")
    await story.here("POST", PAIRS, {})
    await story.here("POST", PAIRS, pair_body([volume_id]))
    await story.here("GET", f"{PAIRS}?limit=0")
    await story.here("GET", f"{PAIRS}?marker={nowhere}")
    await story.here("GET", f"{PAIRS}?sort_key=colour")
    await story.here("GET", f"{PAIRS}?sort_dir=up")
    await story.here("POST", f"volumes/{volume_id}/action", {})
    await story.here("POST", f"volumes/{volume_id}/action", {"os-extend": {"new_size": 1}})
    await story.here("GET", PAIRS, headers={"X-Auth-Token": "no such token"})
    manager = Manager(world.api)
    other = await manager.made("project", name="other")
    for role in ("member", "reader"):
        _, token = await manager.member(role, role, other)
        headers = {"X-Auth-Token": token}
        await story.here("GET", PAIRS, headers=headers)
        await story.ask("POST", f"/v2/{story.name(other['id'], 'OTHER')}/volumes", {}, headers=headers)
    await story.here("GET", f"{PAIRS}/{nowhere}")
    await story.here("GET", "no-such-thing")
    await story.here("PATCH", PAIRS)
    await story.here("GET", PAIRS, headers={"Accept": "text/html"})
    await story.here("GET", "volumes", version="v3", headers={"OpenStack-API-Version": "volume 3.99"})
    await story.here("POST", f"volumes/{volume_id}/action", {"os-begin_detaching": None})
    await story.here(
        "PUT", f"os-quota-sets/{world.api.project_id}", {"quota_set": {"volumes": 1}}, keep=False
    )
    await story.here("POST", "volumes", {"volume": {"size": 1, "availability_zone": "az1"}})
    await story.here("POST", "volumes", {"volume": {"size": 1, "imageRef": nowhere}})
    await story.ask("GET", "/identity/v3/auth/tokens", headers={"X-Auth-Token": "no such token"})
    await story.ask("GET", "/identity/v3/users/nobody")
    story.ends("errors")


async def test_tokens(api: Api) -> None:
    story = Story(api)
    rc = api.credentials
    story.name(rc["OS_PASSWORD"], "PASSWORD")
    for number, scope in enumerate(({"project": {"id": api.project_id}}, "unscoped")):
        body = {"auth": {**api.auth(), "scope": scope}}
        made = await story.ask("POST", "/identity/v3/auth/tokens", body, headers={"X-Auth-Token": ""})
        secret = story.name(made.headers["X-Subject-Token"], f"TOKEN-{number}")
        told = made.json()["token"]
        story.name(told["user"]["id"], "USER")
        story.name(told["audit_ids"][0], f"AUDIT-{number}")
        for role in told.get("roles", []):
            story.name(role["id"], f"ROLE-{role['name']}")
        await story.ask("GET", "/identity/v3/auth/tokens", headers={"X-Subject-Token": secret})
        await story.ask("GET", "/identity/v3/auth/projects", headers={"X-Auth-Token": secret})
        await story.ask("GET", "/identity/v3/auth/catalog", headers={"X-Auth-Token": secret})
        await story.ask("DELETE", "/identity/v3/auth/tokens", headers={"X-Subject-Token": secret})
    story.ends("tokens")


async def test_users_projects_and_roles(api: Api) -> None:
    story = Story(api)
    v3 = "/identity/v3"
    made = await story.ask("POST", f"{v3}/projects", {"project": {"name": "new", "description": None}})
    project_id = story.introduce(made, "project", "NEW-PROJECT")
    asked = {"name": "someone", "password": "secret", "default_project_id": project_id}
    user_id = story.introduce(await story.ask("POST", f"{v3}/users", {"user": asked}), "user", "SOMEONE")
    role_id = story.introduce(
        await story.ask("POST", f"{v3}/roles", {"role": {"name": "auditor"}}), "role", "AUDITOR"
    )
    grant = f"{v3}/projects/{project_id}/users/{user_id}/roles"
    await story.ask("PUT", f"{grant}/{role_id}")
    await story.ask("HEAD", f"{grant}/{role_id}")
    await story.ask("GET", grant)
    await story.ask("GET", f"{v3}/role_assignments?user.id={user_id}")
    await story.ask("GET", f"{v3}/role_assignments?user.id={user_id}&include_names=true")
    await story.ask("GET", f"{v3}/users/{user_id}")
    await story.ask("GET", f"{v3}/users?name=someone")
    await story.ask("PATCH", f"{v3}/projects/{project_id}", {"project": {"enabled": False}})
    await story.ask("DELETE", f"{grant}/{role_id}")
    await story.ask("GET", f"{v3}/domains/default")
    for path in (f"users/{user_id}", f"roles/{role_id}", f"projects/{project_id}"):
        await story.ask("DELETE", f"{v3}/{path}")
    story.ends("identity")
