"""The identity service, as openrc files and OpenStack's clients use it."""

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.api.harness import URL, Api, error_of, read_openrc

from bilocate.api.identity.first_admin import make_first_admin
from bilocate.store.columns import utc_now
from bilocate.store.identity_models import Role, RoleAssignment, Token, User

pytestmark = pytest.mark.anyio
TOKENS = "/identity/v3/auth/tokens"


async def add_user(api: Api, name: str, role: str | None, project_id: str = "") -> str:
    """A user with one role; returns a token of theirs."""
    password = f"{name}'s password"
    hashed = await api.passwords.hash(password)
    async with api.parts.database.writing() as db:
        user = User(domain_id="default", name=name, password_hash=hashed)
        db.add(user)
        await db.flush()
        if role is not None:
            role_id = (await db.scalars(select(Role.id).where(Role.name == role))).one()
            db.add(RoleAssignment(user_id=user.id, role_id=role_id, project_id=project_id or api.project_id))
    identity = api.auth()["identity"]
    identity["password"]["user"].update(name=name, password=password)
    scope: Any = {"project": {"id": project_id or api.project_id}} if role else "unscoped"
    response = await api.log_in(identity=identity, scope=scope)
    assert response.status_code == 201, response.text
    return response.headers["X-Subject-Token"]


async def test_the_openrc_is_private_and_logs_in(api: Api) -> None:
    file = api.parts.config.openrc_file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    openrc = read_openrc(file)
    assert set(openrc) == {
        "OS_AUTH_URL",
        "OS_USERNAME",
        "OS_PASSWORD",
        "OS_PROJECT_NAME",
        "OS_PROJECT_ID",
        "OS_USER_DOMAIN_NAME",
        "OS_PROJECT_DOMAIN_NAME",
        "OS_IDENTITY_API_VERSION",
        "OS_REGION_NAME",
    }
    assert openrc["OS_AUTH_URL"] == f"{URL}/identity/v3"
    response = await api.log_in()
    assert response.status_code == 201
    token = response.json()["token"]
    assert token["project"]["id"] == openrc["OS_PROJECT_ID"]
    assert [role["name"] for role in token["roles"]] == ["admin"]
    assert token["methods"] == ["password"]
    assert token["expires_at"].endswith("Z")
    assert openrc["OS_PASSWORD"] not in response.text


async def test_a_second_start_makes_no_second_admin(api: Api, tmp_path: Path) -> None:
    before = api.parts.config.openrc_file.read_text()
    await make_first_admin(api.parts.database, api.passwords, api.parts.config, URL)
    assert api.parts.config.openrc_file.read_text() == before
    assert not list(tmp_path.glob("*.new"))


async def test_a_kill_before_the_openrc_got_its_name_loses_no_password(api: Api) -> None:
    openrc = api.parts.config.openrc_file
    openrc.rename(openrc.with_name(f"openrc.{api.parts.config.controller_name}.new"))
    await make_first_admin(api.parts.database, api.passwords, api.parts.config, URL)
    assert read_openrc(openrc) == api.credentials


async def test_the_catalogue_has_every_service_with_all_interfaces(door: Api) -> None:
    catalog = (await door.log_in()).json()["token"]["catalog"]
    urls = {entry["type"]: {each["url"] for each in entry["endpoints"]} for entry in catalog}
    project = door.project_id
    assert urls == {
        "identity": {f"{URL}/identity/v3"},
        "volumev2": {f"{URL}/v2/{project}"},
        "volumev3": {f"{URL}/v3/{project}"},
        "block-storage": {f"{URL}/v3/{project}"},
        "evs": {f"{URL}/v2/{project}"},
    }
    for entry in catalog:
        assert {each["interface"] for each in entry["endpoints"]} == {"public", "internal", "admin"}
        assert {each["region_id"] for each in entry["endpoints"]} == {"RegionOne"}
    asked = await door.http.get("/identity/v3/auth/catalog", headers={"X-Auth-Token": door.token})
    assert asked.json()["catalog"] == catalog
    short = await door.http.post(f"{TOKENS}?nocatalog", json={"auth": door.auth()})
    assert "catalog" not in short.json()["token"]


async def test_unscoped_domain_and_default_scopes(api: Api) -> None:
    unscoped = (await api.log_in(scope="unscoped")).json()["token"]
    assert "project" not in unscoped
    assert "roles" not in unscoped
    domain = (await api.log_in(scope={"domain": {"id": "default"}})).json()["token"]
    assert domain["domain"] == {"id": "default", "name": "Default"}
    auth = api.auth()
    del auth["scope"]
    default = await api.http.post(TOKENS, json={"auth": auth})
    assert default.json()["token"]["project"]["id"] == api.project_id


async def test_a_token_buys_a_token_that_lives_no_longer(api: Api) -> None:
    unscoped = await api.log_in(scope="unscoped")
    secret = unscoped.headers["X-Subject-Token"]
    identity = {"methods": ["token"], "token": {"id": secret}}
    response = await api.log_in(identity=identity)
    assert response.status_code == 201
    token = response.json()["token"]
    assert token["methods"] == ["password", "token"]
    assert token["expires_at"] <= unscoped.json()["token"]["expires_at"]
    assert token["audit_ids"][1] == unscoped.json()["token"]["audit_ids"][0]
    headers = {"X-Auth-Token": secret}
    projects = await api.http.get("/identity/v3/auth/projects", headers=headers)
    assert [project["id"] for project in projects.json()["projects"]] == [api.project_id]
    # Revoking the first ends what was made from it.
    gone = await api.http.delete(TOKENS, headers={**headers, "X-Subject-Token": secret})
    assert gone.status_code == 204
    assert (await api.call("GET", "volumes", token=response.headers["X-Subject-Token"])).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"password": "wrong"},
        {"name": "nobody"},
        {"domain": {"name": "elsewhere"}},
        {"password": "x" * 50_000},
    ],
)
async def test_who_is_not_who_they_say_gets_401(door: Api, change: dict[str, Any]) -> None:
    identity = door.auth()["identity"]
    identity["password"]["user"].update(change)
    response = await door.log_in(identity=identity)
    assert response.status_code == 401
    # This service's clients look for this shape.
    assert response.json()["error"]["code"] == 401
    assert response.json()["error"]["title"] == "Unauthorized"


async def test_a_scope_without_a_role_gets_401(api: Api) -> None:
    token = await add_user(api, "idle", None)
    identity = {"methods": ["token"], "token": {"id": token}}
    response = await api.log_in(identity=identity)
    assert response.status_code == 401
    assert (await api.call("GET", "volumes", token=token)).status_code == 403
    assert (await api.log_in(scope={"project": {"id": "nowhere"}})).status_code == 401
    assert (await api.log_in(scope={"domain": {"name": "nowhere"}})).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"auth": []}, 400),
        ({"auth": {"identity": {}}}, 400),
        ({"auth": {"identity": {"methods": []}}}, 400),
        ({"auth": {"identity": {"methods": ["password"]}}}, 400),
        (
            {
                "auth": {
                    "identity": {"methods": ["password"], "password": {"user": {"id": 1, "password": "p"}}}
                }
            },
            400,
        ),
        (
            {
                "auth": {
                    "identity": {
                        "methods": ["password"],
                        "password": {"user": {"name": "a", "password": "p"}},
                    }
                }
            },
            400,
        ),
        ({"auth": {"identity": {"methods": ["totp"], "totp": {}}}}, 501),
        ({"auth": {"identity": {"methods": ["token"], "token": {"id": "nonsense"}}}}, 401),
    ],
)
async def test_a_malformed_authentication_is_named(door: Api, body: Any, status: int) -> None:
    response = await door.http.post(TOKENS, json=body)
    assert response.status_code == status
    assert response.json()["error"]["message"]


async def test_tokens_are_validated_for_their_owner_and_for_admins(api: Api) -> None:
    member = await add_user(api, "member", "member")
    as_admin = {"X-Auth-Token": api.token, "X-Subject-Token": member}
    shown = await api.http.get(TOKENS, headers=as_admin)
    assert shown.status_code == 200
    assert shown.json()["token"]["user"]["name"] == "member"
    assert (await api.http.head(TOKENS, headers=as_admin)).status_code == 200
    as_member = {"X-Auth-Token": member, "X-Subject-Token": api.token}
    assert (await api.http.get(TOKENS, headers=as_member)).status_code == 403
    nothing = {"X-Auth-Token": api.token, "X-Subject-Token": "nothing"}
    assert (await api.http.get(TOKENS, headers=nothing)).status_code == 404
    assert (await api.http.get(TOKENS)).status_code == 401


async def test_only_hashes_are_kept(api: Api, tmp_path: Path) -> None:
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("controller.db*"))
    assert api.token.encode() not in kept
    assert api.credentials["OS_PASSWORD"].encode() not in kept
    async with api.parts.database.reading() as db:
        hashes = (await db.scalars(select(User.password_hash))).all()
    assert all(each.startswith("$argon2id$") for each in hashes)


async def test_a_token_ends_by_time_and_with_its_user(api: Api) -> None:
    async with api.parts.database.writing() as db:
        await db.execute(update(Token).values(expires_at=utc_now() - timedelta(seconds=1)))
    response = await api.call("GET", "volumes")
    assert response.status_code == 401
    assert error_of(response)["error_code"] == "EVS.0002"
    assert response.headers["WWW-Authenticate"].startswith("Keystone")
    token = (await api.log_in()).headers["X-Subject-Token"]
    assert (await api.call("GET", "volumes", token=token)).status_code == 200
    async with api.parts.database.writing() as db:
        await db.execute(update(User).values(enabled=False))
    assert (await api.call("GET", "volumes", token=token)).status_code == 401
    assert (await api.log_in()).status_code == 401


async def test_roles_are_enforced(api: Api) -> None:
    reader = await add_user(api, "reader", "reader")
    member = await add_user(api, "member", "member")
    assert (await api.call("GET", "volumes", token=reader)).status_code == 200
    assert (await api.call("HEAD", "volumes", token=reader)).status_code == 200
    for method, path in (("POST", "volumes"), ("PUT", "volumes/x"), ("DELETE", "volumes/x")):
        refused = await api.call(method, path, {}, token=reader)
        assert refused.status_code == 403
        assert error_of(refused)["error_code"] == "EVS.0003"
    assert (await api.call("DELETE", "volumes/x", token=member)).status_code == 404


async def test_another_project_is_closed_but_to_admins(api: Api) -> None:
    member = await add_user(api, "member", "member")
    refused = await api.call("GET", "volumes", project="another", token=member)
    assert refused.status_code == 403
    assert error_of(refused)["error_code"] == "EVS.0001"
    assert (await api.call("GET", "volumes", project="another")).status_code == 200
    # Nothing in a project is told to whoever may not look into it, not even that there is nothing.
    assert (await api.call("GET", "nothing", project="another", token=member)).status_code == 403
    assert (await api.call("GET", "nothing", project="another", token="")).status_code == 401


async def test_discovery_needs_no_token(door: Api) -> None:
    version = (await door.http.get("/identity/v3")).json()["version"]
    assert version["id"].startswith("v3")
    assert version["links"][0]["href"] == f"{URL}/identity/v3/"
    assert (await door.http.get("/identity")).status_code == 300
    root = await door.http.get("/")
    assert root.status_code == 300
    assert {each["id"] for each in root.json()["versions"]} == {"v2.0", "v3.0"}
    v3 = (await door.http.get("/v3/")).json()["versions"][0]
    assert (v3["min_version"], v3["version"]) == ("3.0", "3.44")
    assert (await door.http.get("/v2/")).json()["versions"][0]["links"][0]["href"] == f"{URL}/v2/"


async def test_what_can_not_be_managed_here_says_so(door: Api) -> None:
    headers = {"X-Auth-Token": door.token}
    for path in ("groups", "services/x", "endpoints", "regions"):
        response = await door.http.get(f"/identity/v3/{path}", headers=headers)
        assert response.status_code == 501
    assert (await door.http.get("/identity/v3/groups")).status_code == 401
