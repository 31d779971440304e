"""Clients of the load run: each speaks to whichever controller answers, and knows what it asked for."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from bilocate.cli.credentials import Credentials

GROUPS = "os-vendor-replication-consistency-groups"
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.15
# What is asked again: away, shutting down, a site in between, or the call's outcome is not known.
AGAIN = frozenset({502, 503, 504})


@dataclass
class Asked:
    """One call that may have begun an operation. `accepted`: None when nobody knows."""

    request_id: str
    accepted: bool | None


@dataclass
class Diary:
    """What all clients saw together."""

    calls: list[tuple[float, int]] = field(default_factory=list)  # seconds and status
    asked: list[Asked] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    cycles: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """One more of it came to its end."""
        with self.lock:
            self.cycles[what] = self.cycles.get(what, 0) + 1


class LoadClient:
    """One thread's hand on the API."""

    def __init__(self, addresses: list[str], credentials: Credentials, diary: Diary, seed: int) -> None:
        self.draw = random.Random(seed)
        self._addresses, self._credentials, self._diary = addresses, credentials, diary
        self._present = self.draw.randrange(len(addresses))
        self._http = httpx.Client(timeout=20.0, trust_env=False)
        self._token = ""

    def close(self) -> None:
        """Give its connections back."""
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, begins: bool = False) -> httpx.Response:
        """One call, at the next controller after one that is away, until it is answered for good.

        `begins`: it may begin an operation; then it is asked once, and an answer that is lost is None in the diary
        and a 503 here.
        """
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            if not self._token:
                self._log_in(give_up)
            request_id = f"load-{uuid.uuid4().hex}"
            headers = {"X-Auth-Token": self._token, "X-Request-Id": request_id}
            answer = self._send(method, f"/v2/{self._credentials.project_id}/{path}", headers, body)
            if begins:
                known = None if answer is None or answer.status_code in AGAIN else answer.is_success
                with self._diary.lock:
                    self._diary.asked.append(Asked(request_id, known))
            if answer is not None and answer.status_code == 401:
                self._token = ""
            elif answer is not None and answer.status_code not in AGAIN:
                return answer
            elif begins:
                return answer if answer is not None else httpx.Response(503)
            if time.monotonic() > give_up:
                raise AssertionError(f"{method} {path} was not answered for {PATIENCE_SECONDS:g} s: {answer}")
            time.sleep(LOOK_SECONDS)

    def until(self, what: str, look: Callable[[], bool]) -> None:
        """Look until it is so."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not look():
            if time.monotonic() > give_up:
                raise AssertionError(f"no {what} within {PATIENCE_SECONDS:g} s")
            time.sleep(LOOK_SECONDS)

    def _log_in(self, give_up: float) -> None:
        told = self._credentials
        domain = {"name": told.user_domain}
        user = {"name": told.username, "domain": domain, "password": told.password}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": {"id": told.project_id}}}}
        while time.monotonic() < give_up:
            answer = self._send("POST", "/identity/v3/auth/tokens", {}, body)
            if answer is not None and answer.status_code == 201:
                self._token = answer.headers["X-Subject-Token"]
                return
            time.sleep(LOOK_SECONDS)
        raise AssertionError("no login was answered")

    def _send(self, method: str, path: str, headers: dict[str, str], body: Any) -> httpx.Response | None:
        began = time.monotonic()
        try:
            answer = self._http.request(
                method, self._addresses[self._present] + path, headers=headers, json=body
            )
        except httpx.TransportError:
            self._present = (self._present + 1) % len(self._addresses)
            return None
        with self._diary.lock:
            self._diary.calls.append((time.monotonic() - began, answer.status_code))
            if answer.status_code == 500:
                self._diary.broken.append(f"{method} {path}: {answer.text}")
        if answer.status_code == 503:
            self._present = (self._present + 1) % len(self._addresses)
        return answer


def volumes_come_and_go(client: LoadClient, diary: Diary, number: int) -> None:
    """Create, list, show, rename, connect and disconnect, delete: one volume."""
    name = f"load-{number}-{uuid.uuid4().hex[:8]}"
    site = client.draw.choice(("az1", "az2"))
    client.call(
        "POST", "volumes", {"volume": {"size": 1, "name": name, "availability_zone": site}}, begins=True
    )
    time.sleep(LOOK_SECONDS)
    found = client.call("GET", f"volumes/detail?name={name}").json()["volumes"]
    if not found:
        return  # the answer was lost, and it was not carried out
    (volume,) = found
    path = f"volumes/{volume['id']}"
    client.until(f"{name} available", lambda: settled(client, path) == "available")
    client.call("GET", f"volumes?limit={client.draw.choice((1, 10, 100))}")
    client.call("PUT", path, {"volume": {"description": "of the load run"}})
    connector = {"connector": {"host": f"host-{number}"}}
    client.call("POST", f"{path}/action", {"os-initialize_connection": connector})
    client.call("POST", f"{path}/action", {"os-terminate_connection": connector})

    def gone() -> bool:
        answer = client.call("GET", path)
        if answer.status_code == 404:
            return True
        if answer.json()["volume"]["status"] in ("available", "error_deleting"):
            client.call("DELETE", path, begins=True)
        return False

    client.until(f"end of {name}", gone)
    diary.count("volumes made and deleted")


def settled(client: LoadClient, path: str) -> str:
    return str(client.call("GET", path).json()["volume"]["status"])


def fails_over_and_back(client: LoadClient, diary: Diary, group_id: str) -> None:
    """One group: failover, reprotect; production is at the other site then."""
    path = f"{GROUPS}/{group_id}"

    def is_now(status: str, replication: str = "") -> bool:
        group = client.call("GET", path).json()["replication_consistency_group"]
        return group["status"] == status and replication in ("", group["replication_status"])

    for verb, done in (
        ("failover", lambda: is_now("failovered")),
        ("reprotect", lambda: is_now("available", "active")),
    ):

        def reached(verb: str = verb, done: Callable[[], bool] = done) -> bool:
            if done():
                return True
            client.call(
                "POST", f"{path}/action", {f"os-{verb}-replication-consistency-group": None}, begins=True
            )
            time.sleep(0.5)
            return done()

        client.until(f"end of the {verb} of {group_id}", reached)
        diary.count(f"{verb}s")
