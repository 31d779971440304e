"""A small typed client of the HTTP API, used by every command and by the demonstration.

Answers are the API's own JSON objects, typed as far as a caller needs them. Failures are the classes of
errors.py, so that a caller never looks at an HTTP status.
"""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NotRequired, Self, TypedDict, cast

import httpx

from bilocate.cli.credentials import Credentials
from bilocate.cli.errors import ApiError, CliError, Conflict, NotFound, OutOfReach, UsageProblem
from bilocate.tls import client_context

REQUEST_TIMEOUT_SECONDS = 30.0  # longer than any call takes that is not stuck: verbs answer at once
# A controller that starts again after a kill needs about a second, which is worth that wait.
ATTEMPTS = 4
RETRY_SECONDS = 0.5
PAGE = 1000  # the most that one answer lists

PAIRS = "os-vendor-replications"
GROUPS = "os-vendor-replication-consistency-groups"


class Volume(TypedDict):
    """A volume; `size` in GiB."""

    id: str
    name: str | None
    size: int
    status: str
    availability_zone: str
    volume_type: NotRequired[str | None]
    attachments: NotRequired[list[dict[str, Any]]]


class Pair(TypedDict):
    """A replication pair; every value is a string, as in the API."""

    id: str
    name: str | None
    status: str
    volume_ids: str
    priority_station: str
    replication_consistency_group_id: str | None
    replication_status: NotRequired[str | None]
    progress: NotRequired[str | None]
    fault_level: NotRequired[str | None]
    failure_detail: NotRequired[str | None]
    failure_message: NotRequired[str]
    record_metadata: NotRequired[str | None]


class Group(TypedDict):
    """A replication consistency group."""

    id: str
    name: str | None
    status: str
    priority_station: str
    replication_ids: NotRequired[list[str]]
    replication_status: NotRequired[str | None]
    fault_level: NotRequired[str | None]
    failure_detail: NotRequired[str | None]
    failure_message: NotRequired[str]


class Client:
    """Calls of one project. Takes a token at the first call and a new one when it has run out."""

    def __init__(self, credentials: Credentials, timeout_seconds: float = REQUEST_TIMEOUT_SECONDS) -> None:
        self.credentials = credentials
        self._http = httpx.Client(
            timeout=timeout_seconds, trust_env=False, verify=client_context(credentials.ca_file)
        )
        self._token = ""
        self._project_id = credentials.project_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    # Volumes

    def create_volume(self, name: str, size_gib: int, site: str, description: str = "") -> Volume:
        """Ask for a volume of `size_gib` GiB at `site`; it is `creating` at first."""
        body = {"name": name, "size": size_gib, "availability_zone": site, "description": description}
        return cast(Volume, self._call("POST", "volumes", {"volume": body})["volume"])

    def volume(self, volume_id: str) -> Volume:
        """One volume."""
        return cast(Volume, self._call("GET", f"volumes/{volume_id}")["volume"])

    def volumes(self, **filters: str) -> list[Volume]:
        """All volumes of the project, or those that match, such as `name=...`."""
        return cast(list[Volume], self._all("volumes/detail", "volumes", filters))

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume and its data."""
        self._call("DELETE", f"volumes/{volume_id}")

    def extend_volume(self, volume_id: str, size_gib: int) -> None:
        """Grow a volume to `size_gib` GiB; it is `extending` at first."""
        self._call("POST", f"volumes/{volume_id}/action", {"os-extend": {"new_size": size_gib}})

    def adopt_volume(self, name: str, site: str, path: str, description: str = "") -> Volume:
        """Make a volume of the device or file `path` at `site`, as it is; it is `creating` at first."""
        body = {"name": name, "host": site, "ref": {"source-name": path}, "description": description}
        return cast(Volume, self._call("POST", "os-volume-manage", {"volume": body})["volume"])

    def give_volume_back(self, volume_id: str) -> None:
        """End an adopted volume; its device or file stays as it is."""
        self._call("POST", f"volumes/{volume_id}/action", {"os-unmanage": None})

    def connect_volume(self, volume_id: str, host: str) -> dict[str, Any]:
        """Open a connection for `host`: the answer holds the NBD address, whose export name is a secret."""
        body = {"os-initialize_connection": {"connector": {"host": host}}}
        return cast(
            dict[str, Any], self._call("POST", f"volumes/{volume_id}/action", body)["connection_info"]
        )

    def disconnect_volume(self, volume_id: str, host: str) -> None:
        """End the connections of `host`."""
        body = {"os-terminate_connection": {"connector": {"host": host}}}
        self._call("POST", f"volumes/{volume_id}/action", body)

    # Pairs

    def create_pair(self, name: str, volume_ids: list[str], primary_site: str, description: str = "") -> Pair:
        """Pair two volumes; the one at `primary_site` is production."""
        body = {
            "name": name,
            "description": description,
            "volume_ids": volume_ids,
            "priority_station": primary_site,
            "replication_model": "hypermetro",
        }
        return cast(Pair, self._call("POST", PAIRS, {"replication": body})["replication"])

    def pair(self, pair_id: str) -> Pair:
        """One pair."""
        return cast(Pair, self._call("GET", f"{PAIRS}/{pair_id}")["replication"])

    def pairs(self, **filters: str) -> list[Pair]:
        """All pairs, or those that match."""
        return cast(list[Pair], self._all(PAIRS, "replications", filters))

    def delete_pair(self, pair_id: str) -> None:
        """End a pair; both volumes stay."""
        self._call("DELETE", f"{PAIRS}/{pair_id}")

    # Groups

    def create_group(self, name: str, pair_ids: list[str], primary_site: str, description: str = "") -> Group:
        """Make a group of pairs that fail over together."""
        body = {
            "name": name,
            "description": description,
            "replication_ids": pair_ids,
            "priority_station": primary_site,
            "replication_model": "hypermetro",
        }
        answer = self._call("POST", GROUPS, {"replication_consistency_group": body})
        return cast(Group, answer["replication_consistency_group"])

    def group(self, group_id: str) -> Group:
        """One group."""
        return cast(Group, self._call("GET", f"{GROUPS}/{group_id}")["replication_consistency_group"])

    def groups(self, **filters: str) -> list[Group]:
        """All groups, or those that match."""
        return cast(list[Group], self._all(GROUPS, "replication_consistency_groups", filters))

    def update_group(self, group_id: str, changes: Mapping[str, Any]) -> Group:
        """Change a group's name, description or members."""
        answer = self._call("PUT", f"{GROUPS}/{group_id}", {"replication_consistency_group": dict(changes)})
        return cast(Group, answer["replication_consistency_group"])

    def delete_group(self, group_id: str) -> None:
        """Delete an empty group."""
        self._call("DELETE", f"{GROUPS}/{group_id}")

    def act(self, group_id: str, verb: str, value: dict[str, bool] | None = None) -> None:
        """Start one of sync, stop, failover, reverse, reprotect; the answer says that it was accepted."""
        self._call("POST", f"{GROUPS}/{group_id}/action", {f"os-{verb}-replication-consistency-group": value})

    def extend_group(self, group_id: str, sizes_gib: Mapping[str, int]) -> None:
        """Grow both volumes of pairs of the group, by pair, to so many GiB; done when this returns."""
        asked = [{"id": pair_id, "new_size": size_gib} for pair_id, size_gib in sizes_gib.items()]
        body = {"os-extend-replication-volumes": {"replications": asked}}
        self._call("POST", f"{GROUPS}/{group_id}/action", body)

    # Health

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether the controller has its database and its agents, and what it says about them."""
        address = self.credentials.service_address + "/readyz"
        try:
            response = self._http.get(address)
            body = response.json()
        except httpx.HTTPError as error:
            raise OutOfReach(self._unreachable(error)) from error
        except ValueError:
            body = {}
        return response.status_code == 200, body if isinstance(body, dict) else {}

    # One call

    def _all(self, path: str, key: str, filters: Mapping[str, str]) -> list[Any]:
        """A whole list, page by page."""
        found: list[Any] = []
        params = {**filters, "limit": str(PAGE)}
        while True:
            page = self._call("GET", path, params=params)[key]
            found += page
            if len(page) < PAGE:
                return found
            params["marker"] = page[-1]["id"]

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        if not self._token:
            self._authenticate()
        response = self._send(method, path, body, params)
        if response.status_code == 401:
            # The token may have run out, or the controller's store was made anew: once more with a fresh one.
            self._authenticate()
            response = self._send(method, path, body, params)
        return _answer(response)

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: dict[str, str] | None
    ) -> httpx.Response:
        url = f"{self.credentials.service_address}/v2/{self._project_id}/{path}"
        headers = {"X-Auth-Token": self._token}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._http.request(method, url, headers=headers, json=body, params=params)
            except httpx.TransportError as error:
                # A write whose answer was lost may have been carried out; one that found nobody was not.
                again = method == "GET" or isinstance(error, httpx.ConnectError)
                if attempt == ATTEMPTS or not again:
                    raise OutOfReach(self._unreachable(error)) from error
                time.sleep(RETRY_SECONDS)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _authenticate(self) -> None:
        who = self.credentials
        project: dict[str, Any] = {"id": who.project_id}
        if not who.project_id:
            project = {"name": who.project_name, "domain": {"name": who.project_domain}}
        user = {"name": who.username, "password": who.password, "domain": {"name": who.user_domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": project}}}
        try:
            response = self._http.post(f"{who.auth_url}/auth/tokens", json=body)
        except httpx.TransportError as error:
            raise OutOfReach(self._unreachable(error)) from error
        token = _answer(response)
        self._token = response.headers.get("X-Subject-Token", "")
        if not self._token:
            raise OutOfReach(
                f"{who.auth_url} answered without a token: is OS_AUTH_URL an identity v3 address?"
            )
        self._project_id = self._project_id or str(token["token"]["project"]["id"])

    def _unreachable(self, error: Exception) -> str:
        reason = str(error) or type(error).__name__
        return (
            f"no answer from {self.credentials.service_address} ({reason}). "
            "Is the controller running? `bilocate up --state-dir DIR` starts what is not."
        )


def _answer(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a successful response; an empty one where there is no body."""
    if response.is_success:
        if not response.content:
            return {}
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise OutOfReach(
                f"{response.request.url} did not answer with a JSON object: is this the right address?"
            )
        return body
    raise _failure(response)


def _failure(response: httpx.Response) -> CliError:
    """The exception for a refused call, with the message the API gave."""
    status = response.status_code
    message = _message(response)
    if status == 401:
        return ApiError(f"{message} Check OS_USERNAME and OS_PASSWORD, or source DIR/openrc again.", status)
    kinds: dict[int, type[CliError]] = {
        400: UsageProblem,
        404: NotFound,
        409: Conflict,
        502: OutOfReach,
        503: OutOfReach,
        504: OutOfReach,
    }
    kind = kinds.get(status)
    return kind(message) if kind is not None else ApiError(message, status)


def _message(response: httpx.Response) -> str:
    fallback = f"{response.request.method} {response.request.url.path} was answered {response.status_code}."
    try:
        body = response.json()
    except ValueError:
        return fallback
    if not isinstance(body, dict):
        return fallback
    for part in body.values():
        if isinstance(part, dict) and isinstance(part.get("message"), str):
            return str(part["message"])
    return fallback
