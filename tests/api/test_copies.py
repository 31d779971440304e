"""Volumes made as copies of others over HTTP: block storage's `source_volid`."""

from typing import Any

import pytest
from tests.api.conftest import World
from tests.api.harness import Api, error_of
from tests.api.test_isolation import other_token

pytestmark = pytest.mark.anyio
NOBODY = "11111111-2222-4333-8444-555555555555"


async def create(api: Api, **asked: Any) -> Any:
    return await api.call("POST", "volumes", {"volume": asked}, version="v3")


async def refused(api: Api, status: int, **asked: Any) -> str:
    answer = await create(api, **asked)
    assert answer.status_code == status, answer.text
    return str(error_of(answer)["message"])


async def test_a_copy_takes_from_its_source_what_is_not_asked(world: World) -> None:
    api = world.api
    source = await api.made(
        "volumes", {"volume": {"size": 2, "availability_zone": "az2", "volume_type": "multiattach"}}
    )
    for action, value in (
        ("os-set_bootable", {"bootable": True}),
        ("os-set_image_metadata", {"metadata": {"os": "linux"}}),
    ):
        done = await api.call("POST", f"volumes/{source['id']}/action", {action: value}, version="v3")
        assert done.status_code == 200, done.text
    world.fake.agents["az2"].volumes[source["id"]].content = 7
    answer = await create(
        api, source_volid=source["id"], size=None, name="copy", metadata={"a": "b"}, availability_zone=None
    )
    assert answer.status_code == 202, answer.text
    told = answer.json()["volume"]
    assert (told["status"], told["source_volid"], told["size"]) == ("creating", source["id"], 2)
    copy = await api.settled(f"volumes/{told['id']}", "volume")
    assert copy["status"] == "available"
    assert copy["source_volid"] == source["id"]
    assert copy["snapshot_id"] is None
    for key in (
        "size",
        "availability_zone",
        "volume_type",
        "multiattach",
        "bootable",
        "volume_image_metadata",
    ):
        assert copy[key] == (await api.call("GET", f"volumes/{source['id']}")).json()["volume"][key], key
    assert (copy["name"], copy["metadata"]) == ("copy", {"a": "b"})
    assert world.fake.agents["az2"].volumes[copy["id"]].content == 7
    listed = (await api.call("GET", "volumes/detail?name=copy")).json()["volumes"]
    assert [each["source_volid"] for each in listed] == [source["id"]]


async def test_a_copy_may_be_larger_and_of_another_type(world: World) -> None:
    api = world.api
    source = await api.volume("az1")
    copy = await api.made(
        "volumes", {"volume": {"source_volid": source["id"], "size": 5, "volume_type": "multiattach"}}
    )
    assert (copy["size"], copy["volume_type"], copy["multiattach"]) == (5, "multiattach", True)
    assert world.fake.agents["az1"].volumes[copy["id"]].size_bytes == 5 * 1024**3


async def test_copies_that_cannot_be_are_refused(world: World) -> None:
    api = world.api
    source = await api.made("volumes", {"volume": {"size": 2, "availability_zone": "az1"}})
    source_id = source["id"]
    assert "has 2 GiB" in await refused(api, 400, source_volid=source_id, size=1)
    assert "is in az1" in await refused(api, 400, source_volid=source_id, availability_zone="az2")
    await refused(api, 400, source_volid=source_id, size=0)
    await refused(api, 400, source_volid=17)
    await refused(api, 404, source_volid=NOBODY)
    await refused(api, 404, source_volid="no id")
    await refused(api, 404, source_volid="", size=1)
    await refused(api, 404, source_volid=source_id, volume_type="gold")
    await refused(api, 501, source_volid=source_id, snapshot_id=NOBODY)
    await refused(api, 501, source_replica=source_id, size=2)
    world.fake.agents["az1"].volumes[source_id].consistent = False
    assert "not_consistent" in await refused(api, 409, source_volid=source_id)
    world.fake.agents["az1"].up = False
    await refused(api, 503, source_volid=source_id)
    assert len((await api.call("GET", "volumes")).json()["volumes"]) == 1


async def test_another_projects_volume_is_no_source(world: World) -> None:
    api = world.api
    source = await api.volume("az1")
    project, token = await other_token(api, "member")
    body = {"volume": {"source_volid": source["id"]}}
    answer = await api.call("POST", "volumes", body, project=project, token=token, version="v3")
    assert answer.status_code == 404
    assert source["id"] in error_of(answer)["message"]


async def test_a_copy_counts_against_the_quota(world: World) -> None:
    api = world.api
    source = await api.volume("az1")
    limits = {"quota_set": {"gigabytes": 3}}
    path = f"os-quota-sets/{api.project_id}"
    assert (await api.call("PUT", path, limits, version="v3")).status_code == 200
    assert "gigabytes" in await refused(api, 413, source_volid=source["id"], size=3)
    await api.made("volumes", {"volume": {"source_volid": source["id"], "size": 2}})


async def test_a_source_is_kept_while_it_is_copied_and_the_reason_is_told(world: World) -> None:
    api = world.api
    agent = world.fake.agents["az1"]
    source = await api.volume("az1")

    async def goes_on() -> None:
        agent.copies.clear()  # as if it had just begun

    agent.before["PUT copy"] = goes_on
    copy = (await create(api, source_volid=source["id"])).json()["volume"]
    assert copy["status"] == "creating"
    answer = await api.call("DELETE", f"volumes/{source['id']}")
    assert answer.status_code == 409
    assert copy["id"] in error_of(answer)["message"]
    grow = {"os-extend": {"new_size": 2}}
    answer = await api.call("POST", f"volumes/{source['id']}/action", grow)
    assert answer.status_code == 409
    assert copy["id"] in error_of(answer)["message"]
    del agent.before["PUT copy"]
    agent.refuse["PUT copy"] = "copy_failed"
    failed = await api.settled(f"volumes/{copy['id']}", "volume", "error")
    assert failed["status"] == "error"
    assert "copy_failed" in failed["failure_message"]
    assert (await api.call("DELETE", f"volumes/{copy['id']}")).status_code == 202
    assert (await api.call("DELETE", f"volumes/{source['id']}")).status_code == 202
