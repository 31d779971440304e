"""Projects are closed to each other: every route that the application has, found by looking at it."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route, Router
from tests.api.conftest import World
from tests.api.harness import GROUPS, PAIRS, Api, error_of
from tests.api.managing import Manager

from bilocate.api.resource import Resource

pytestmark = pytest.mark.anyio


def project_routes(api: Api) -> Iterator[tuple[str, str]]:
    """Each method and path of every route below a project."""
    router: Any = api.gate._app
    while not isinstance(router, Router):
        router = router._app
    for route in router.routes:
        assert isinstance(route, Route)
        if "{project_id}" in route.path and isinstance(route.app, Resource):
            for method in route.app.methods:
                yield method, route.path


async def other_token(api: Api, role: str) -> tuple[str, str]:
    """Another project's id, and a token of it."""
    manager = Manager(api)
    project = await manager.made("project", name="other")
    _, token = await manager.member("other", role, project)
    return str(project["id"]), token


@pytest.mark.parametrize("role", ["reader", "member"])
async def test_another_projects_path_is_403_by_every_route(api: Api, role: str) -> None:
    _, token = await other_token(api, role)
    routes = list(project_routes(api))
    assert len(routes) > 150
    for method, path in routes:
        url = path.replace("{rest:path}", "rest").format(project_id=api.project_id, id="x", key="k")
        response = await api.http.request(method, url, json={}, headers={"X-Auth-Token": token})
        assert response.status_code == 403, (method, url)
        if method != "HEAD":
            assert error_of(response)["error_code"] == "EVS.0001"


async def test_another_projects_things_are_404_by_every_route_and_in_no_list(world: World) -> None:
    api = world.api
    pair = await api.pair()
    group = await api.group([pair])
    volume = await api.volume("az1")
    kinds = {"volumes": volume["id"], PAIRS: pair["id"], GROUPS: group["id"]}
    before = [(await api.call("GET", f"{kind}/{key}")).json() for kind, key in kinds.items()]
    project, token = await other_token(api, "member")
    asked = 0
    for method, path in project_routes(api):
        if "{id}" not in path or "/types/" in path or "quota" in path:
            continue
        for key in kinds.values():
            url = path.replace("{rest:path}", "rest").format(project_id=project, id=key, key="k")
            headers = {"X-Auth-Token": token, "OpenStack-API-Version": "volume latest"}
            response = await api.http.request(method, url, json={}, headers=headers)
            # A body may be wrong before anybody looks for the thing.
            expected = (404,) if method in ("GET", "HEAD", "DELETE") else (404, 400)
            assert response.status_code in (*expected, 501), (method, url, response.text)
            asked += 1
    assert asked > 150
    for path, version in (("volumes", "v2"), ("volumes/detail", "v3"), (PAIRS, "v2"), (GROUPS, "v2")):
        listed = await api.call("GET", path, project=project, token=token, version=version)
        assert list(listed.json().values()) == [[]], path
    after = [(await api.call("GET", f"{kind}/{key}")).json() for kind, key in kinds.items()]
    assert after == before
