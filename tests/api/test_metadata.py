"""A volume's metadata and tags over HTTP, by calls of their own."""

import asyncio
from typing import Any

import pytest
from tests.api.conftest import World
from tests.api.harness import error_of

pytestmark = pytest.mark.anyio
NOBODY = "11111111-2222-4333-8444-555555555555"


async def test_metadata_is_merged_replaced_and_removed(world: World) -> None:
    api = world.api
    volume = await api.volume("az1", metadata={"a": "1"})
    path = f"volumes/{volume['id']}/metadata"

    async def told(method: str, rest: str = "", body: Any = None) -> Any:
        response = await api.call(method, f"{path}{rest}", body)
        assert response.status_code == 200, response.text
        return response.json() if response.content else None

    assert await told("GET") == {"metadata": {"a": "1"}}
    assert await told("POST", body={"metadata": {"b": "2", "a": "3"}}) == {"metadata": {"a": "3", "b": "2"}}
    assert await told("GET", "/b") == {"meta": {"b": "2"}}
    assert await told("PUT", "/b", {"meta": {"b": "4"}}) == {"meta": {"b": "4"}}
    assert await told("DELETE", "/a") is None
    assert await told("GET") == {"metadata": {"b": "4"}}
    assert await told("PUT", body={"metadata": {"c": "5"}}) == {"metadata": {"c": "5"}}
    shown = (await api.call("GET", f"volumes/{volume['id']}")).json()["volume"]
    assert shown["metadata"] == {"c": "5"}
    assert shown["updated_at"] is not None
    assert await told("PUT", body={"metadata": {}}) == {"metadata": {}}


async def test_wrong_metadata_is_refused(world: World) -> None:
    api = world.api
    volume = await api.volume("az1", metadata={"a": "1"})
    path = f"volumes/{volume['id']}/metadata"
    many = {str(number): "x" for number in range(128)}
    wrong: list[tuple[str, str, Any, int]] = [
        ("POST", "", {}, 400),
        ("POST", "", {"metadata": []}, 400),
        ("POST", "", {"metadata": {"b": 1}}, 400),
        ("POST", "", {"metadata": {"": "1"}}, 400),
        ("POST", "", {"metadata": {"b": "x" * 256}}, 400),
        ("POST", "", {"metadata": many}, 400),  # with the one that there is: too many
        ("PUT", "/a", {"meta": {"b": "1"}}, 400),
        ("PUT", "/a", {"meta": {"a": "1", "b": "1"}}, 400),
        ("PUT", "/a", {"metadata": {"a": "1"}}, 400),
        ("GET", "/b", None, 404),
        ("DELETE", "/b", None, 404),
    ]
    for method, rest, body, status in wrong:
        response = await api.call(method, path + rest, body)
        assert response.status_code == status, (method, rest, body)
        error_of(response)
    assert (await api.call("GET", path)).json() == {"metadata": {"a": "1"}}
    assert (await api.call("GET", f"volumes/{NOBODY}/metadata")).status_code == 404
    assert (await api.call("GET", path, project="another")).status_code == 404


async def test_metadata_changed_by_several_at_once_is_all_there(world: World) -> None:
    api = world.api
    path = f"volumes/{(await api.volume('az1'))['id']}/metadata"
    keys = [f"k{number}" for number in range(8)]
    await asyncio.gather(*(api.call("PUT", f"{path}/{key}", {"meta": {key: "v"}}) for key in keys))
    assert (await api.call("GET", path)).json() == {"metadata": dict.fromkeys(keys, "v")}


async def test_put_takes_the_names_of_both_versions(world: World) -> None:
    api = world.api
    path = f"volumes/{(await api.volume('az1'))['id']}"
    old = {"display_name": "n", "display_description": "d"}
    changed = (await api.call("PUT", path, {"volume": old})).json()["volume"]
    assert (changed["name"], changed["description"]) == ("n", "d")
    new = {"name": "", "description": "", "metadata": None}
    changed = (await api.call("PUT", path, {"volume": new})).json()["volume"]
    assert (changed["name"], changed["description"]) == ("", "")
    assert (await api.call("PUT", path, {"volume": {}})).status_code == 200


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_tags_are_added_replaced_and_removed(world: World, version: str) -> None:
    api = world.api
    path = f"os-vendor-volumes/{(await api.volume('az1'))['id']}/tags"

    async def told(method: str, rest: str = "", body: Any = None, status: int = 200) -> Any:
        response = await api.call(method, f"{path}{rest}", body, version=version)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def tags(**found: str) -> dict[str, Any]:
        return {"tags": [{"key": key, "value": value} for key, value in found.items()]}

    assert await told("GET") == tags()
    assert await told("POST", body=tags(b="2", a="1")) == tags(a="1", b="2")
    assert await told("POST", body={"tags": {"c": "3"}}) == tags(a="1", b="2", c="3")
    assert await told("PUT", "/a", {"tag": {"key": "a", "value": ""}}) == {"tag": {"key": "a", "value": ""}}
    assert await told("GET", "/a") == {"tag": {"key": "a", "value": ""}}
    assert await told("DELETE", "/a", status=204) is None
    batch = {"action": "create", **tags(d="4", b="5")}
    assert await told("POST", "/action", batch, status=204) is None
    assert await told("GET") == tags(b="5", c="3", d="4")
    gone = {"action": "delete", "tags": [{"key": "c"}, {"key": "nothing"}]}
    assert await told("POST", "/action", gone, status=204) is None
    assert await told("GET") == tags(b="5", d="4")
    assert await told("PUT", body=tags(e="ü")) == tags(e="ü")
    assert await told("PUT", body={"tags": []}) == tags()


async def test_tags_at_their_older_address_are_objects(world: World) -> None:
    api = world.api
    path = f"os-vendor-tags/volumes/{(await api.volume('az1'))['id']}"
    assert (await api.call("POST", path, {"tags": {"a": "1"}})).json() == {"tags": {"a": "1"}}
    assert (await api.call("PUT", f"{path}/b", {"tag": {"b": "2"}})).json() == {"tag": {"b": "2"}}
    assert (await api.call("GET", f"{path}/b")).json() == {"tag": {"b": "2"}}
    assert (await api.call("PUT", f"{path}/b", {"tag": {"key": "b", "value": ""}})).status_code == 400
    assert (await api.call("DELETE", f"{path}/a")).status_code == 204
    assert (await api.call("GET", path)).json() == {"tags": {"b": "2"}}
    for action, given, left in (
        ("create", {"b": "3", "c": "4"}, {"b": "3", "c": "4"}),
        ("create", [{"key": "d", "value": ""}], {"b": "3", "c": "4", "d": ""}),
        ("delete", [{"key": "b"}, {"key": "nothing"}], {"c": "4", "d": ""}),
    ):
        done = await api.call("POST", f"{path}/action", {"action": action, "tags": given})
        assert (done.status_code, done.content) == (204, b"")
        assert (await api.call("GET", path)).json() == {"tags": left}
    many = {str(number): "" for number in range(9)}
    refused = await api.call("POST", f"{path}/action", {"action": "create", "tags": many})
    assert refused.status_code == 400
    assert (await api.call("POST", f"{path}/action", {"action": "keep", "tags": {}})).status_code == 400
    assert (await api.call("GET", path)).json() == {"tags": {"c": "4", "d": ""}}
    assert (await api.call("GET", "os-vendor-tags/snapshots")).status_code == 501


async def test_wrong_tags_are_refused(world: World) -> None:
    api = world.api
    path = f"os-vendor-volumes/{(await api.volume('az1'))['id']}/tags"
    ten = {str(number): "" for number in range(10)}
    assert (await api.call("PUT", path, {"tags": ten})).status_code == 200
    wrong: list[tuple[str, str, Any, int]] = [
        ("POST", "", {}, 400),
        ("POST", "", {"tags": "x"}, 400),
        ("POST", "", {"tags": ["x"]}, 400),
        ("POST", "", {"tags": {"one more": ""}}, 400),
        ("PUT", "", {"tags": {"": ""}}, 400),
        ("PUT", "", {"tags": {"k" * 37: ""}}, 400),
        ("PUT", "", {"tags": {"k": "v" * 44}}, 400),
        ("PUT", "", {"tags": {"k": 1}}, 400),
        ("PUT", "", {"tags": {"a=b": ""}}, 400),
        ("PUT", "", {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}, 400),
        ("PUT", "", {"tags": [{"key": "a"}]}, 400),
        ("PUT", "/a", {"tag": {"key": "b", "value": ""}}, 400),
        ("POST", "/action", {"action": "keep", "tags": []}, 400),
        ("GET", "/a", None, 404),
        ("DELETE", "/a", None, 404),
    ]
    for method, rest, body, status in wrong:
        response = await api.call(method, path + rest, body)
        assert response.status_code == status, (method, rest, body)
        error_of(response)
    assert len((await api.call("GET", path)).json()["tags"]) == 10
    assert (await api.call("GET", f"os-vendor-volumes/{NOBODY}/tags")).status_code == 404
