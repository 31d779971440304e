"""Quotas over HTTP: set by an admin, seen by a project, kept by everything that makes something."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.api.conftest import World
from tests.api.harness import GROUPS, Api, error_of, group_body
from tests.api.test_identity import add_user

pytestmark = pytest.mark.anyio


async def limit(api: Api, **limits: Any) -> dict[str, Any]:
    body = {"quota_set": {"tenant_id": api.project_id, **limits}}
    response = await api.call("PUT", f"os-quota-sets/{api.project_id}", body, version="v3")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()["quota_set"]
    return found


async def make(api: Api, size: int = 1) -> httpx.Response:
    return await api.call("POST", "volumes", {"volume": {"size": size, "availability_zone": "az1"}})


def over(response: httpx.Response) -> str:
    """What is said of a limit."""
    assert response.status_code == 413, response.text
    error = error_of(response)
    assert error["name"] == "overLimit"
    return str(error["message"])


async def test_nothing_is_limited_until_an_admin_does_it(world: World) -> None:
    api = world.api
    path = f"os-quota-sets/{api.project_id}"
    shown = (await api.call("GET", path)).json()["quota_set"]
    assert shown["id"] == api.project_id
    assert (shown["volumes"], shown["gigabytes"], shown["replication_consistency_groups"]) == (-1, -1, -1)
    assert (await api.call("GET", f"{path}/defaults")).json()["quota_set"] == shown
    changed = await limit(api, volumes=5, gigabytes="7")
    assert (changed["volumes"], changed["gigabytes"]) == (5, 7)
    await api.volume("az1", size=2)
    used = (await api.call("GET", f"{path}?usage=True")).json()["quota_set"]
    assert used["volumes"] == {"limit": 5, "in_use": 1, "reserved": 0}
    assert used["gigabytes"] == {"limit": 7, "in_use": 2, "reserved": 0}
    absolute = (await api.call("GET", "limits")).json()["limits"]["absolute"]
    assert (absolute["maxTotalVolumes"], absolute["maxTotalVolumeGigabytes"]) == (5, 7)
    assert (absolute["totalVolumesUsed"], absolute["totalGigabytesUsed"]) == (1, 2)
    assert (await api.call("DELETE", path)).status_code == 200
    assert (await api.call("GET", path)).json()["quota_set"] == shown


async def test_volumes_and_gigabytes_are_kept(world: World) -> None:
    api = world.api
    await limit(api, volumes=2, gigabytes=4)
    volume = await api.volume("az1", size=2)
    assert "gigabytes" in over(await make(api, 3))
    assert (await make(api)).status_code == 202
    assert "volumes" in over(await make(api))
    path = f"volumes/{volume['id']}/action"
    assert "gigabytes" in over(await api.call("POST", path, {"os-extend": {"new_size": 4}}))
    assert (await api.call("POST", path, {"os-extend": {"new_size": 3}})).status_code == 202
    grown = await api.settled(f"volumes/{volume['id']}", "volume")
    assert grown["size"] == 3
    # What was refused is not there, and what is deleted makes room.
    assert len((await api.call("GET", "volumes")).json()["volumes"]) == 2
    await api.call("DELETE", f"volumes/{volume['id']}")

    async def gone() -> bool:
        return (await api.call("GET", f"volumes/{volume['id']}")).status_code == 404

    await api.until(gone)
    assert (await make(api)).status_code == 202


async def test_several_at_once_do_not_get_past_a_limit(world: World) -> None:
    await limit(world.api, volumes=2)
    answers = await asyncio.gather(*(make(world.api) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 202, 413, 413, 413]


async def test_groups_are_limited_in_each_zone(world: World) -> None:
    api = world.api
    pairs = [await api.pair("az1") for _ in range(2)]
    await limit(api, replication_consistency_groups=1)
    await api.group([pairs[0]])
    response = await api.call("POST", GROUPS, group_body([pairs[1]["id"]], "az1"))
    message = over(response)
    assert "37100017" in message
    assert "az1" in message
    used = (await api.call("GET", f"os-quota-sets/{api.project_id}?usage=true")).json()["quota_set"]
    assert used["replication_consistency_groups"] == {"limit": 1, "in_use": 1, "reserved": 0}
    await limit(api, replication_consistency_groups=-1)
    await api.group([pairs[1]])


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"quota_set": []},
        {"quota_set": {"volumes": -2}},
        {"quota_set": {"volumes": "many"}},
        {"quota_set": {"volumes": None}},
        {"quota_set": {"volumes": True}},
        {"quota_set": {"volumes": 2**31}},
        {"quota_set": {"volumse": 1}},
        {"quota_set": {"snapshots": 1}},
    ],
)
async def test_a_wrong_quota_is_refused(door: Api, change: dict[str, Any]) -> None:
    response = await door.call("PUT", f"os-quota-sets/{door.project_id}", change)
    assert response.status_code == 400, response.text
    error_of(response)


@pytest.mark.parametrize("project_id", ["x" * 65, "%00"])
async def test_what_no_project_can_be_is_refused(door: Api, project_id: str) -> None:
    path = f"os-quota-sets/{project_id}"
    for method, body in (("GET", None), ("PUT", {"quota_set": {"volumes": 1}}), ("DELETE", None)):
        assert (await door.call(method, path, body)).status_code == 400


async def test_only_an_admin_sets_them_and_everybody_sees_only_their_own(world: World) -> None:
    api = world.api
    member = await add_user(api, "member", "member")
    path = f"os-quota-sets/{api.project_id}"
    body = {"quota_set": {"volumes": 1}}
    assert (await api.call("GET", path, token=member)).status_code == 200
    for method, sent in (("PUT", body), ("DELETE", None)):
        assert (await api.call(method, path, sent, token=member)).status_code == 403
    for other in ("os-quota-sets/another", "os-quota-sets/another/defaults"):
        refused = await api.call("GET", other, token=member)
        assert refused.status_code == 403
        assert (await api.call("GET", other)).status_code == 200


async def default_class(api: Api, **limits: Any) -> dict[str, Any]:
    response = await api.call("PUT", "os-quota-class-sets/default", {"quota_class_set": limits})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()["quota_class_set"]
    return found


async def test_the_default_class_is_what_a_project_has_that_has_no_limit_of_its_own(world: World) -> None:
    api = world.api
    path = f"os-quota-sets/{api.project_id}"
    shown = (await api.call("GET", "os-quota-class-sets/default")).json()["quota_class_set"]
    assert (shown["id"], shown["volumes"], shown["gigabytes"]) == ("default", -1, -1)
    assert (await default_class(api, class_name="default", volumes=1, gigabytes="9"))["gigabytes"] == 9
    for where in (path, f"{path}/defaults"):
        found = (await api.call("GET", where)).json()["quota_set"]
        assert (found["volumes"], found["gigabytes"], found["replication_consistency_groups"]) == (1, 9, -1)
    assert (await make(api)).status_code == 202
    assert "1 volumes" in over(await make(api))
    await limit(api, volumes=2)  # one's own comes before it, be it more or less
    assert (await api.call("GET", path)).json()["quota_set"]["volumes"] == 2
    assert (await make(api)).status_code == 202
    assert (await api.call("DELETE", path)).status_code == 200
    assert (await api.call("GET", path)).json()["quota_set"]["volumes"] == 1
    assert "1 volumes" in over(await make(api))


async def test_a_limit_of_its_own_frees_a_project_from_the_default_class(world: World) -> None:
    await default_class(world.api, volumes=0, replication_consistency_groups=0)
    assert "0 volumes" in over(await make(world.api))
    await limit(world.api, volumes=-1)
    pair = await world.api.pair()
    refused = await world.api.call("POST", GROUPS, group_body([pair["id"]]))
    assert "37100017" in over(refused)


async def test_of_two_calls_at_once_the_second_sees_what_the_first_took_of_the_default_class(
    world: World,
) -> None:
    await default_class(world.api, volumes=1)
    answers = await asyncio.gather(make(world.api), make(world.api))
    assert sorted(answer.status_code for answer in answers) == [202, 413]


async def test_only_admins_set_the_default_class_and_there_is_no_other(world: World) -> None:
    api = world.api
    token = await add_user(api, "somebody", "member")
    body = {"quota_class_set": {"volumes": 1}}
    refused = await api.call("PUT", "os-quota-class-sets/default", body, token=token)
    assert error_of(refused)["error_code"] == "EVS.0003"
    assert (await api.call("GET", "os-quota-class-sets/default", token=token)).status_code == 200
    for method in ("GET", "PUT"):
        unknown = await api.call(method, "os-quota-class-sets/gold", body if method == "PUT" else None)
        assert unknown.status_code == 404
    for wrong in ({"volumes": -2}, {"volumes": "many"}, {"shares": 1}):
        answer = await api.call("PUT", "os-quota-class-sets/default", {"quota_class_set": wrong})
        assert answer.status_code == 400
    assert (await api.call("PUT", "os-quota-class-sets/default", {"quota_set": {}})).status_code == 400
