"""Users, projects and roles of a Keystone, made by its admin."""

import time
from typing import Any

import httpx
from tests.keystone.server import KeystoneServer

PASSWORD = "a password of the tests"
ROLES = ("member", "reader", "service")


class People:
    """An admin's calls."""

    def __init__(self, keystone: KeystoneServer) -> None:
        self._keystone = keystone
        self._http = httpx.Client(base_url=keystone.url, timeout=30, trust_env=False)
        self._http.headers["X-Auth-Token"] = self.token("admin", "admin", keystone.password)

    def close(self) -> None:
        self._http.close()

    def token(self, username: str, project: str | None, password: str = PASSWORD) -> str:
        """A token by password; for no project: an unscoped one."""
        domain = {"name": "Default"}
        user = {"name": username, "password": password, "domain": domain}
        scope: Any = {"project": {"name": project, "domain": domain}} if project else "unscoped"
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
        answer = self._http.post("auth/tokens", json={"auth": auth}).raise_for_status()
        return str(answer.headers["x-subject-token"])

    def application_credential(self, username: str, project: str, **fields: Any) -> tuple[str, str]:
        """Make one of a user's, for a project; its address and a token by it."""
        own = {"X-Auth-Token": self.token(username, project)}
        user_id = self._http.get("auth/tokens", headers=own | {"X-Subject-Token": own["X-Auth-Token"]})
        path = f"users/{user_id.raise_for_status().json()['token']['user']['id']}/application_credentials"
        body = {"application_credential": {"name": f"of the tests {time.monotonic_ns()}", **fields}}
        made = (
            self._http.post(path, headers=own, json=body).raise_for_status().json()["application_credential"]
        )
        named = {"id": made["id"], "secret": made["secret"]}
        identity = {"methods": ["application_credential"], "application_credential": named}
        answer = self._http.post("auth/tokens", json={"auth": {"identity": identity}}).raise_for_status()
        return f"{path}/{made['id']}", str(answer.headers["x-subject-token"])

    def end_application_credential(self, username: str, project: str, path: str) -> None:
        """By its user."""
        self._http.delete(path, headers={"X-Auth-Token": self.token(username, project)}).raise_for_status()

    def revoke(self, token: str) -> None:
        self._http.delete("auth/tokens", headers={"X-Subject-Token": token}).raise_for_status()

    def project(self, name: str) -> str:
        """Its id; it is made if it is not there."""
        found = self._http.get("projects", params={"name": name}).raise_for_status().json()["projects"]
        return str(found[0]["id"]) if found else self._made("project", {"name": name, "domain_id": "default"})

    def user(self, name: str, role: str, project: str) -> None:
        """Make a user with a role in a project."""
        roles = self._http.get("roles", params={"name": role}).raise_for_status().json()["roles"]
        user_id = self._made("user", {"name": name, "password": PASSWORD, "domain_id": "default"})
        path = f"projects/{self.project(project)}/users/{user_id}/roles/{roles[0]['id']}"
        self._http.put(path).raise_for_status()

    def _made(self, kind: str, fields: dict[str, str]) -> str:
        answer = self._http.post(f"{kind}s", json={kind: fields}).raise_for_status()
        return str(answer.json()[kind]["id"])
