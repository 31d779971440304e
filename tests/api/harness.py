"""The API in this process on a database of its own, and a client that holds a token."""

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from tests.api.contract import hold

from bilocate.api.app import build_app
from bilocate.api.context import Parts
from bilocate.api.gate import Gate
from bilocate.api.identity.first_admin import make_first_admin
from bilocate.api.identity.passwords import Passwords
from bilocate.config import ApiLimits, ControllerConfig, SiteAddress
from bilocate.operations.agents import AgentClient
from bilocate.operations.service import Operations
from bilocate.operations.settings import settings_of
from bilocate.store.database import Database
from bilocate.store.schema import upgrade

URL = "http://api.test"
CONTROL_TOKEN = "0123456789abcdef" * 4
NOWHERE = "http://127.0.0.1:9"  # nothing listens there: connections are refused at once
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # what is tested is not how slow it is
PAIRS = "os-vendor-replications"
GROUPS = "os-vendor-replication-consistency-groups"
Json = dict[str, Any]


def config_in(
    directory: Path,
    control_urls: dict[str, str] | None = None,
    limits: ApiLimits | None = None,
    zones: dict[str, str] | None = None,
) -> ControllerConfig:
    """A controller's settings, with two sites, or with those of `zones`, each in its zone."""
    zone_of = zones or {"az1": "", "az2": ""}
    urls = {**dict.fromkeys(zone_of, NOWHERE), **(control_urls or {})}
    sites = {
        site: SiteAddress(url, f"127.0.0.1:{1000 + index}", "127.0.0.1", 10809 + index, zone_of.get(site, ""))
        for index, (site, url) in enumerate(urls.items())
    }
    return ControllerConfig(
        key_file=directory / "key",
        openrc_file=directory / "openrc",
        database_url=f"sqlite+aiosqlite:///{directory}/controller.db",
        sites=sites,
        limits=limits or ApiLimits(),
    )


def pair_body(volume_ids: list[str], primary: str = "az1", /, **fields: Any) -> Json:
    """What makes a pair."""
    asked = {"volume_ids": volume_ids, "priority_station": primary, "replication_model": "hypermetro"}
    return {"replication": {**asked, **fields}}


def group_body(pair_ids: list[str], primary: str = "az1", /, **fields: Any) -> Json:
    """What makes a group."""
    asked = {"replication_ids": pair_ids, "priority_station": primary, "replication_model": "hypermetro"}
    return {"replication_consistency_group": {**asked, **fields}}


@dataclass(slots=True)
class Api:
    """A running API. `call` speaks as the first admin unless told another token."""

    gate: Gate
    parts: Parts
    passwords: Passwords
    http: httpx.AsyncClient
    credentials: dict[str, str]
    token: str = ""

    @property
    def project_id(self) -> str:
        """The first admin's project."""
        return self.credentials["OS_PROJECT_ID"]

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """One call below /v2/{p}, or below what `version` and `project` name."""
        version, project = options.pop("version", "v2"), options.pop("project", self.project_id)
        headers = {"X-Auth-Token": options.pop("token", self.token), **options.pop("headers", {})}
        if body is not None:
            options["content"] = json.dumps(body)  # what no text can be is sent too, escaped
        return await self.http.request(method, f"/{version}/{project}/{path}", headers=headers, **options)

    async def made(self, path: str, body: Any, status: str = "available") -> Json:
        """POST, then wait until what was made has that status; the outer key is taken off."""
        response = await self.call("POST", path, body)
        assert response.status_code == 202, response.text
        ((key, found),) = response.json().items()
        return await self.settled(f"{path}/{found['id']}", key, status)

    async def settled(self, path: str, key: str, status: str = "available") -> Json:
        """Look until the thing at `path` has that status."""
        return await self.told(path, key, lambda found: bool(found["status"] == status))

    async def told(self, path: str, key: str, condition: Callable[[Json], bool]) -> Json:
        """Look at the thing at `path` until the condition holds of it."""
        found: Json = {}

        async def look() -> bool:
            response = await self.call("GET", path)
            assert response.status_code == 200, response.text
            found.clear()
            found.update(response.json()[key])
            return condition(found)

        await self.until(look)
        return found

    async def until(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Look until it holds, after each operation that ends here."""
        async with asyncio.timeout(20):
            while not await look():
                under_way = list(self.parts.operations.runner._carrying.values())
                await asyncio.wait(under_way or [asyncio.create_task(asyncio.sleep(0.01))])

    async def volume(self, site: str, **fields: Any) -> Json:
        """A volume that is available."""
        body = {"volume": {"size": 1, "availability_zone": site, "name": f"volume at {site}", **fields}}
        return await self.made("volumes", body)

    async def pair(self, primary: str = "az1", **fields: Any) -> Json:
        """A pair of two new volumes that is available."""
        volumes = [(await self.volume(site))["id"] for site in ("az1", "az2")]
        return await self.made(PAIRS, pair_body(volumes, primary, **fields))

    async def group(self, pairs: list[Json], primary: str = "az1", **fields: Any) -> Json:
        """A group that is available."""
        body = group_body([pair["id"] for pair in pairs], primary, **fields)
        return await self.made(GROUPS, body)

    async def act(self, group_id: str, action: str, value: Any = None) -> httpx.Response:
        """One of the group's verbs."""
        return await self.call("POST", f"{GROUPS}/{group_id}/action", {action: value})

    async def log_in(self, **changes: Any) -> httpx.Response:
        """A token by password; `changes` are made to the auth object."""
        return await self.http.post("/identity/v3/auth/tokens", json={"auth": {**self.auth(), **changes}})

    def auth(self, password: str | None = None) -> Json:
        """The first admin's authentication by the openrc's words."""
        rc = self.credentials
        user = {
            "name": rc["OS_USERNAME"],
            "domain": {"name": rc["OS_USER_DOMAIN_NAME"]},
            "password": password or rc["OS_PASSWORD"],
        }
        project = {"name": rc["OS_PROJECT_NAME"], "domain": {"name": rc["OS_PROJECT_DOMAIN_NAME"]}}
        return {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": project},
        }

    async def close(self) -> None:
        """Give everything back."""
        await self.http.aclose()
        await self.parts.operations.agents.close()
        self.passwords.close()
        await self.parts.database.close()


async def open_api(config: ControllerConfig, database: Database, agents: AgentClient | None = None) -> Api:
    """The API on its database, with a token of the first admin. Operations are not started."""
    passwords = Passwords(config.identity, CHEAP)
    if not config.openrc_file.exists():  # what `first_start` has is migrated already
        await upgrade(database)
    await make_first_admin(database, passwords, config, URL)
    operations = Operations(database, settings_of(config, CONTROL_TOKEN), agents=agents)
    parts = Parts(config, database, operations, CONTROL_TOKEN, URL)
    gate = build_app(parts, passwords)
    transport = httpx.ASGITransport(gate, raise_app_exceptions=False)
    http = httpx.AsyncClient(transport=transport, base_url=URL, timeout=30)
    http.event_hooks = {"response": [hold]}  # whatever a test asks: the answer is what the document says
    api = Api(gate, parts, passwords, http, read_openrc(config.openrc_file))
    api.token = (await api.log_in()).headers["X-Subject-Token"]
    return api


def read_openrc(file: Path) -> dict[str, str]:
    """What it exports."""
    words = shlex.split(file.read_text())
    return dict(word.split("=", 1) for word in words if "=" in word)


def error_of(response: httpx.Response) -> Json:
    """The one error in an answer: its name, code, message and error_code."""
    ((name, error),) = response.json().items()
    assert error["code"] == response.status_code
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["error_code"].startswith("EVS.")
    return {"name": name, **error}
