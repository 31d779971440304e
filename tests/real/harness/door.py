"""Calls as they are, without a client's patience and repetitions: what HTTP says is what the test gets."""

from typing import Any

import httpx

from bilocate.cli.credentials import Credentials


class Door:
    """One controller's API. `headers` are the first admin's, with a token of its own."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self.address, self.credentials = address, credentials
        self.project_id = credentials.project_id
        self.http = httpx.Client(base_url=address, trust_env=False, timeout=30)
        self.headers = {"X-Auth-Token": self.token(credentials.username, credentials.password)}

    @property
    def volumes(self) -> str:
        """The path of the project's volumes."""
        return f"/v2/{self.project_id}/volumes"

    @property
    def host_and_port(self) -> tuple[str, int]:
        """For a socket of one's own."""
        url = self.http.base_url
        assert url.port is not None
        return url.host, url.port

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call in the project, unless `path` begins with a slash."""
        headers = {**self.headers, **options.pop("headers", {})}
        where = path if path.startswith("/") else f"/v2/{self.project_id}/{path}"
        return self.http.request(method, where, headers=headers, **options)

    def log_in(self, username: str, password: str) -> httpx.Response:
        """The answer to a user's password."""
        user = {"name": username, "domain": {"name": "Default"}, "password": password}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": {"id": self.project_id}}}}
        return self.http.post("/identity/v3/auth/tokens", json=body)

    def token(self, username: str, password: str) -> str:
        """A user's token in the project."""
        answer = self.log_in(username, password)
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()
