"""Users, projects, roles and who has which, by HTTP."""

import asyncio
from typing import Any

import pytest
from tests.api.harness import Api
from tests.api.managing import V3, Manager

from bilocate.api.identity.first_admin import DOMAIN_ID
from bilocate.api.identity.management import _PATHS
from bilocate.store.models import Volume

pytestmark = pytest.mark.anyio
NOBODY = "0" * 32


@pytest.fixture
def manager(api: Api) -> Manager:
    return Manager(api)


@pytest.mark.parametrize("kind", ["project", "user", "role"])
async def test_made_listed_shown_changed_and_deleted(manager: Manager, kind: str) -> None:
    made = await manager.made(kind, name="Ünïcødé 名前", description="a b")
    assert made["name"] == "Ünïcødé 名前"
    assert made["links"]["self"].endswith(f"{V3}/{kind}s/{made['id']}")
    listed = (await manager.ask("GET", f"{kind}s?name=Ünïcødé 名前")).json()
    assert listed[f"{kind}s"] == [made]
    assert (await manager.ask("GET", f"{kind}s?name=other")).json()[f"{kind}s"] == []
    assert (await manager.ask("GET", f"{kind}s/{made['id']}")).json()[kind] == made
    changed = await manager.ask("PATCH", f"{kind}s/{made['id']}", {kind: {"name": "n2", "description": ""}})
    assert changed.status_code == 200
    assert changed.json()[kind] == {**made, "name": "n2", "description": ""}
    assert (await manager.ask("DELETE", f"{kind}s/{made['id']}")).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        assert (await manager.ask(method, f"{kind}s/{made['id']}", {kind: {}})).status_code == 404


@pytest.mark.parametrize("kind", ["project", "user", "role"])
async def test_a_name_is_taken_once(manager: Manager, kind: str) -> None:
    made = [await manager.made(kind, name=name) for name in ("one", "two")]
    assert (await manager.ask("POST", f"{kind}s", {kind: {"name": "one"}})).status_code == 409
    renamed = await manager.ask("PATCH", f"{kind}s/{made[1]['id']}", {kind: {"name": "one"}})
    assert renamed.status_code == 409
    assert (
        await manager.ask("PATCH", f"{kind}s/{made[0]['id']}", {kind: {"name": "one"}})
    ).status_code == 200
    at_once = await asyncio.gather(
        *(manager.ask("POST", f"{kind}s", {kind: {"name": "raced"}}) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in at_once) == [201, 409, 409, 409]


@pytest.mark.parametrize("kind", ["project", "user", "role"])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": ""},
        {"name": "  "},
        {"name": 1},
        {"name": "x" * 256},
        {"name": "é" * 128},
        {"name": "a\0b"},
        {"name": "\ud800"},
        {"name": "ok", "description": "x" * 4097},
        {"name": "ok", "description": []},
        {"name": "ok", "enabled": "yes"},
        {"name": "ok", "tags": ["kept nowhere"]},
        {"name": "ok", "domain_id": 7},
    ],
)
async def test_what_can_not_be_is_400(door: Api, kind: str, values: Any) -> None:
    headers = {"X-Auth-Token": door.token, "Content-Type": "application/json"}
    body = str({kind: values}).replace("'", '"').replace("\ud800", "\\ud800")
    response = await door.http.post(f"{V3}/{kind}s", content=body.replace("\0", "\\u0000"), headers=headers)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == 400


async def test_lists_come_in_pages(manager: Manager) -> None:
    names = sorted(f"p{index}" for index in range(5))
    for name in names:
        await manager.made("project", name=name)
    seen: list[str] = []
    path = "projects?limit=2"
    while path:
        page = (await manager.ask("GET", path)).json()
        seen += [project["name"] for project in page["projects"]]
        onward = page["links"]["next"]
        path = onward.split(f"{V3}/")[1] if onward else ""
    assert seen == ["admin", *names]
    for query in ("limit=0", "limit=x", "limit=-1", "marker=nothing"):
        assert (await manager.ask("GET", f"projects?{query}")).status_code == 400


async def test_only_admins_manage(manager: Manager) -> None:
    """Every path of the table, for each lesser role: 403, but for what is one's own."""
    project = await manager.made("project", name="p")
    other = await manager.made("user", name="other", password="x")
    for role in ("reader", "member"):
        user, token = await manager.member(role, role, project)
        for path, methods in _PATHS.items():
            where = path.format(
                id=other["id"], project_id=project["id"], user_id=user["id"], domain_id=DOMAIN_ID
            )
            for method in methods:
                if (path, method) == ("projects/{id}", "GET"):
                    where = f"projects/{NOBODY}"
                # The body of a change of password is looked at first, and tells nothing of the user.
                body = {"user": {"original_password": "x", "password": "y"}, "project": {}, "role": {}}
                response = await manager.ask(method, where, body, token=token)
                assert response.status_code == 403, (role, method, where, response.text)
        for path in (f"users/{user['id']}", f"users/{user['id']}/projects", f"projects/{project['id']}"):
            assert (await manager.ask("GET", path, token=token)).status_code == 200
    for path, methods in _PATHS.items():
        for method in methods:
            assert (await manager.ask(method, path, {}, token="")).status_code == 401


async def test_roles_are_given_told_and_taken(manager: Manager) -> None:
    project = await manager.made("project", name="p")
    user = await manager.made("user", name="u", password="x")
    path = await manager.grant(user, "member", project)
    assert (await manager.ask("PUT", path)).status_code == 204
    for method in ("HEAD", "GET"):
        assert (await manager.ask(method, path)).status_code == 204
    held = (await manager.ask("GET", path.rpartition("/")[0])).json()["roles"]
    assert [role["name"] for role in held] == ["member"]
    query = f"role_assignments?user.id={user['id']}"
    (plain,) = (await manager.ask("GET", query)).json()["role_assignments"]
    assert plain["user"] == {"id": user["id"]}
    assert plain["scope"] == {"project": {"id": project["id"]}}
    (named,) = (await manager.ask("GET", f"{query}&include_names=True")).json()["role_assignments"]
    assert named["role"]["name"] == "member"
    assert named["user"]["domain"] == {"id": "default", "name": "Default"}
    assert named["scope"]["project"]["name"] == "p"
    everyone = (await manager.ask("GET", "role_assignments?include_names")).json()["role_assignments"]
    assert len(everyone) == 3  # the first admin has one in the project and one in the domain
    assert (await manager.ask("DELETE", path)).status_code == 204
    for method in ("HEAD", "DELETE"):
        assert (await manager.ask(method, path)).status_code == 404
    for wrong in (
        path.replace(project["id"], NOBODY),
        path.replace(user["id"], NOBODY),
        path.rpartition("/")[0] + f"/{NOBODY}",
    ):
        assert (await manager.ask("PUT", wrong)).status_code == 404
    assert (
        await manager.ask("PUT", path.replace(f"projects/{project['id']}", "domains/default"))
    ).status_code == 204


async def test_a_role_that_is_taken_is_out_of_force_at_once_and_wakes_no_old_token(manager: Manager) -> None:
    project = await manager.made("project", name="p")
    user, token = await manager.member("u", "member", project)
    path = await manager.grant(user, "reader", project)
    assert (await manager.ask("DELETE", path)).status_code == 204
    assert await manager.valid(token)  # there is a role left
    path = await manager.grant(user, "member", project)
    assert (await manager.ask("DELETE", path)).status_code == 204
    assert not await manager.valid(token)
    await manager.grant(user, "member", project)
    assert not await manager.valid(token)


async def test_tokens_end_with_their_project_user_and_role(manager: Manager) -> None:
    for kind in ("project", "user"):
        project = await manager.made("project", name=f"p of {kind}")
        user, token = await manager.member(f"u of {kind}", "member", project)
        target = {"project": project, "user": user}[kind]
        for change, back in (({"enabled": False}, {"enabled": True}),):
            path = f"{kind}s/{target['id']}"
            assert (await manager.ask("PATCH", path, {kind: change})).status_code == 200
            assert not await manager.valid(token)
            assert (await manager.ask("PATCH", path, {kind: back})).status_code == 200
            assert not await manager.valid(token)
        token = (await manager.log_in(user, user["name"], project)).headers["X-Subject-Token"]
        assert (await manager.ask("DELETE", f"{kind}s/{target['id']}")).status_code == 204
        assert not await manager.valid(token)
    role = await manager.made("role", name="observer")
    project = await manager.made("project", name="p of role")
    _, token = await manager.member("u of role", "observer", project)
    assert await manager.valid(token)
    assert (await manager.ask("DELETE", f"roles/{role['id']}")).status_code == 204
    assert not await manager.valid(token)


async def test_the_last_admin_is_not_locked_out(manager: Manager) -> None:
    api = manager.api
    own = (await manager.ask("GET", "users?name=admin")).json()["users"][0]
    project = {"id": api.project_id}
    role = f"projects/{api.project_id}/users/{own['id']}/roles/{await manager.role_id('admin')}"
    attempts = (
        ("DELETE", f"users/{own['id']}", None),
        ("PATCH", f"users/{own['id']}", {"user": {"enabled": False}}),
        ("DELETE", role, None),
        ("DELETE", f"projects/{api.project_id}", None),
        ("PATCH", f"projects/{api.project_id}", {"project": {"enabled": False}}),
    )
    for method, path, body in attempts:
        response = await manager.ask(method, path, body)
        assert response.status_code == 409, path
        assert "nobody could undo it" in response.json()["error"]["message"]
    for name in ("admin", "member", "reader"):
        ours = f"roles/{await manager.role_id(name)}"
        assert (await manager.ask("DELETE", ours)).status_code == 403
        assert (await manager.ask("PATCH", ours, {"role": {"name": "x"}})).status_code == 403
    # One without a password, or who is disabled, could not undo it either.
    for values in ({}, {"password": "x", "enabled": False}):
        other = await manager.made("user", name=f"other{len(values)}", **values)
        await manager.grant(other, "admin", project)
        assert (await manager.ask("DELETE", f"users/{own['id']}")).status_code == 409
    able = await manager.made("user", name="able", password="x")
    await manager.grant(able, "admin", project)
    # Both at once: one of them stays.
    token = (await manager.log_in(able, "x", project)).headers["X-Subject-Token"]
    answers = await asyncio.gather(
        manager.ask("DELETE", f"users/{own['id']}", token=token), manager.ask("DELETE", f"users/{able['id']}")
    )
    assert sorted(answer.status_code for answer in answers) in ([204, 401], [204, 409])


async def test_a_project_with_volumes_is_not_deleted(manager: Manager, api: Api) -> None:
    project = await manager.made("project", name="p")
    async with api.parts.database.writing() as db:
        db.add(Volume(project_id=project["id"], name="v", size_gib=1, site="az1", volume_type="x"))
    response = await manager.ask("DELETE", f"projects/{project['id']}")
    assert response.status_code == 409
    assert "1 volumes" in response.json()["error"]["message"]
    assert (await manager.ask("GET", f"projects/{project['id']}")).status_code == 200


async def test_passwords_are_changed_by_their_user_and_by_admins(manager: Manager) -> None:
    project = await manager.made("project", name="p")
    user, token = await manager.member("u", "reader", project)
    path = f"users/{user['id']}/password"
    for asked, status in (
        ({"password": "new", "original_password": "wrong"}, 401),
        ({"password": "new"}, 400),
        ({"password": "", "original_password": "u"}, 400),
        ({"password": "x" * 1025, "original_password": "u"}, 400),
        ({"original_password": "u"}, 400),
    ):
        assert (await manager.ask("POST", path, {"user": asked}, token)).status_code == status
    asked = {"password": "new", "original_password": "u"}
    assert (await manager.ask("POST", path, {"user": asked}, token)).status_code == 204
    assert not await manager.valid(token)
    assert (await manager.log_in(user, "u")).status_code == 401
    again = await manager.log_in(user, "new")
    assert again.status_code == 201
    assert (
        await manager.ask("PATCH", f"users/{user['id']}", {"user": {"password": "third"}})
    ).status_code == 200
    assert not await manager.valid(again.headers["X-Subject-Token"])
    assert (await manager.log_in(user, "third")).status_code == 201
    for response in (await manager.ask("GET", f"users/{user['id']}"), await manager.ask("GET", "users")):
        assert "argon2" not in response.text
        assert "hash" not in response.text


@pytest.mark.parametrize("password", ["", "decoy", "x" * 2000])
async def test_nobody_logs_in_as_a_user_without_a_password(manager: Manager, password: str) -> None:
    user = await manager.made("user", name="u")
    assert (await manager.log_in(user, password)).status_code in (400, 401)


async def test_domains_can_be_looked_at(manager: Manager) -> None:
    (domain,) = (await manager.ask("GET", "domains")).json()["domains"]
    assert (domain["id"], domain["name"]) == ("default", "Default")
    assert (await manager.ask("GET", "domains/default")).json()["domain"] == domain
    assert (await manager.ask("GET", "domains/other")).status_code == 404
    for method, path in (("POST", "domains"), ("PATCH", "domains/default"), ("DELETE", "domains/default")):
        assert (await manager.ask(method, path, {})).status_code == 501
