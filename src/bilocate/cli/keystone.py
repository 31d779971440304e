"""`bilocate keystone register`: tell a Keystone where Bilocate is, so that clients find it in their catalogue.

Source of the calls: Keystone's API reference, version 3, "Service catalog and endpoints".
"""

from typing import Annotated, Any

import httpx
import typer

from bilocate.cli import output
from bilocate.cli.credentials import Credentials, find_credentials
from bilocate.cli.errors import ApiError, OutOfReach
from bilocate.cli.options import StateDirOption
from bilocate.tls import client_context

TIMEOUT_SECONDS = 30.0
DEFAULT_REGION = "RegionOne"  # as Keystone's own bootstrap has it

app = typer.Typer(no_args_is_help=True, help="A Keystone that knows the callers.")


@app.callback()
def _group() -> None:
    """Makes `register` a command of its own, though it is the only one."""


@app.command()
def register(
    url: Annotated[str, typer.Option("--url", help="Where clients reach the controllers, without a path.")],
    region: Annotated[str, typer.Option("--region", help="Default: OS_REGION_NAME, or RegionOne.")] = "",
    state_dir: StateDirOption = None,
) -> None:
    """Enter Bilocate's services and addresses, as an admin of the Keystone at OS_AUTH_URL.

    May be repeated: what is there stays, an address that has changed is changed.
    """
    from bilocate.api.identity.views import INTERFACES, SERVICES  # its imports cost time

    credentials = find_credentials(state_dir)
    region = region or credentials.region or DEFAULT_REGION
    with _Admin(credentials) as admin:
        admin.require_region(region)
        for kind, name, path in SERVICES:
            if kind == "identity":
                continue  # that is Keystone itself
            service_id = admin.service(kind, name)
            address = url.rstrip("/") + path.replace("{p}", "$(project_id)s")
            for interface in INTERFACES:
                done = admin.endpoint(service_id, interface, region, address)
                print(f"{kind:13} {interface:8} {address}  {done}")
    output.say(f"the catalogue of {credentials.auth_url} leads to {url} in {region}", output.GOOD)


class _Admin:
    """An admin's calls to a Keystone."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._url = credentials.tokens_url.removesuffix("/auth/tokens")
        self._http = httpx.Client(
            timeout=TIMEOUT_SECONDS, trust_env=False, verify=client_context(credentials.ca_file)
        )

    def __enter__(self) -> "_Admin":
        answer = self._send("POST", "auth/tokens", self._credentials.body())
        self._http.headers["X-Auth-Token"] = answer.headers["x-subject-token"]
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def require_region(self, region: str) -> None:
        """Make it, where there is none of the name."""
        known = self._list("regions", {})
        if all(each["id"] != region for each in known):
            self._send("POST", "regions", {"region": {"id": region}})

    def service(self, kind: str, name: str) -> str:
        """The id of the service of this type and name."""
        for each in self._list("services", {"type": kind}):
            if each.get("name") == name:
                return str(each["id"])
        body = {"service": {"type": kind, "name": name, "enabled": True}}
        return str(self._send("POST", "services", body).json()["service"]["id"])

    def endpoint(self, service_id: str, interface: str, region: str, address: str) -> str:
        """Make the address of this service so; what was done."""
        there = self._list("endpoints", {"service_id": service_id, "interface": interface})
        mine = [each for each in there if each.get("region_id") == region]
        wanted: dict[str, Any] = {"url": address, "enabled": True}
        if not mine:
            wanted |= {"service_id": service_id, "interface": interface, "region_id": region}
            self._send("POST", "endpoints", {"endpoint": wanted})
            return "made"
        if mine[0]["url"] == address and mine[0]["enabled"]:
            return "was there"
        self._send("PATCH", f"endpoints/{mine[0]['id']}", {"endpoint": wanted})
        return "changed"

    def _list(self, kind: str, params: dict[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._send("GET", kind, params=params).json()[kind]
        return found

    def _send(
        self, method: str, path: str, body: object = None, params: dict[str, str] | None = None
    ) -> httpx.Response:
        """:raises OutOfReach: no answer. ApiError: another than was asked for."""
        try:
            answer = self._http.request(method, f"{self._url}/{path}", json=body, params=params)
        except httpx.HTTPError as error:
            raise OutOfReach(f"Keystone at {self._url} did not answer ({error}).") from error
        if answer.is_error:
            raise ApiError(
                f"Keystone refused {method} {path} with {answer.status_code}: the user {self._credentials.username} "
                "must be an admin there.",
                answer.status_code,
            )
        return answer
