"""Users, projects and roles by HTTP, for tests: short ways to ask as one who may, or as another."""

from dataclasses import dataclass
from typing import Any

import httpx
from tests.api.harness import Api

Json = dict[str, Any]
V3 = "/identity/v3"


@dataclass(slots=True)
class Manager:
    """Asks the identity service of an API."""

    api: Api

    async def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> httpx.Response:
        """One call, as the first admin unless told another token."""
        headers = {"X-Auth-Token": self.api.token if token is None else token}
        return await self.api.http.request(method, f"{V3}/{path}", json=body, headers=headers)

    async def made(self, kind: str, **values: Any) -> Json:
        """POST of a project, user or role."""
        response = await self.ask("POST", f"{kind}s", {kind: values})
        assert response.status_code == 201, response.text
        found: Json = response.json()[kind]
        return found

    async def role_id(self, name: str) -> str:
        """The id of a role."""
        (found,) = (await self.ask("GET", f"roles?name={name}")).json()["roles"]
        return str(found["id"])

    async def grant(self, user: Json, role: str, project: Json) -> str:
        """Give a role; returns the assignment's path."""
        path = f"projects/{project['id']}/users/{user['id']}/roles/{await self.role_id(role)}"
        assert (await self.ask("PUT", path)).status_code == 204
        return path

    async def log_in(self, user: Json, password: str, project: Json | None = None) -> httpx.Response:
        """A token by password, for a project or for nothing."""
        asked = {"id": user["id"], "password": password}
        scope: Any = {"project": {"id": project["id"]}} if project else "unscoped"
        body = {"identity": {"methods": ["password"], "password": {"user": asked}}, "scope": scope}
        return await self.api.http.post(f"{V3}/auth/tokens", json={"auth": body})

    async def member(self, name: str, role: str, project: Json) -> tuple[Json, str]:
        """A user of that name and password with a role, and a token of theirs."""
        user = await self.made("user", name=name, password=name)
        await self.grant(user, role, project)
        response = await self.log_in(user, name, project)
        assert response.status_code == 201, response.text
        return user, response.headers["X-Subject-Token"]

    async def valid(self, token: str) -> bool:
        """Whether a token is taken."""
        status = (await self.ask("GET", "auth/projects", token=token)).status_code
        assert status in (200, 401)
        return status == 200
