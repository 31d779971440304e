"""A group of pairs in an installation, and what a person does with it through the API."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from tests.real.harness.images import assert_equal
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.waiting import wait_for

from bilocate.cli.client import Group, Volume
from bilocate.cli.errors import CliError
from bilocate.client.exchange import Answer, Request, Steps
from bilocate.domain.geometry import GIB

SIZE_GIB = 1
STEP_SECONDS = 20.0
SYNC_SECONDS = 60.0
HOST_NAME = "test-host"


@dataclass
class Protected:
    """A group; `volumes[n][zone]` is the volume of pair n there. `at`: its site in each zone."""

    installation: Installation
    group_id: str
    volumes: list[dict[str, Volume]]
    pair_ids: list[str]
    connected_as: dict[str, str] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=lambda: dict(zip(SITES, SITES, strict=True)))

    # --- looking ---

    def seen(self) -> Group:
        """The group as the API shows it now."""
        return self.installation.client.group(self.group_id)

    def words(self) -> str:
        """The group in a few words, for messages."""
        try:
            group = self.seen()
        except CliError as error:
            return f"the group can't be seen: {error}"
        names = ("status", "replication_status", "fault_level", "priority_station", "failure_message")
        halves = {site: self._half(site) for site in SITES}
        return ", ".join(f"{name} {group.get(name)}" for name in names) + f"; {halves}"

    def wait(self, what: str, fits: Callable[[Group], bool], timeout_seconds: float = STEP_SECONDS) -> Group:
        """The group as soon as it fits."""

        def look() -> Group | None:
            try:
                group = self.seen()
            except CliError:
                return None  # the controller is away for a moment
            return group if fits(group) else None

        found = wait_for(what, look, timeout_seconds, self.words, look_seconds=0.02)
        assert found is not None
        return found

    def wait_in_step(self, timeout_seconds: float = SYNC_SECONDS) -> Group:
        """Both sites hold the same, and every write goes to both."""
        return self.wait("step", is_in_step, timeout_seconds)

    def row(self) -> dict[str, Any]:
        """The arbiter's row."""
        (row,) = self.installation.query("SELECT * FROM sessions WHERE id = ?", self.group_id)
        return row

    def half(self, site: str) -> dict[str, Any]:
        """One site's half of the session, as its agent tells it."""
        return self.installation.ask_agent(self.at[site], f"sessions/{self.group_id}")

    def files(self, site: str, count: int = 2) -> list[Path]:
        """The first volumes' files at a site."""
        found = self.installation.volume_file
        return [found(self.at[site], volume[site]["id"]) for volume in self.volumes[:count]]

    def sizes(self) -> set[int]:
        """In GiB: what the API tells of all volumes and pairs, and the agents of what they carry."""
        client = self.installation.client
        told = {client.volume(each[site]["id"])["size"] for each in self.volumes for site in SITES}
        for pair_id in self.pair_ids:
            told.add(json.loads(client.pair(pair_id).get("record_metadata") or "{}")["volume_size"])
        for site in SITES:
            told |= {each["size_bytes"] // GIB for each in self.half(site)["volumes"]}
        return told

    def assert_equal(self) -> None:
        """Both sites are the same, byte for byte. Nobody writes meanwhile."""
        count = len(self.volumes)
        assert_equal(self.files("az1", count), self.files("az2", count))

    # --- doing ---

    def act(self, verb: str, **value: bool) -> None:
        """A verb is accepted."""
        self.installation.client.act(self.group_id, verb, value or None)

    def raw_act(self, verb: str, **value: bool) -> Answer:
        """A verb's answer as it is."""
        path = f"os-vendor-replication-consistency-groups/{self.group_id}/action"
        return self._post(path, {f"os-{verb}-replication-consistency-group": value or None})

    def attach(self, volume_id: str) -> None:
        """A compute service has attached a volume."""
        server = {"instance_uuid": str(uuid4()), "mountpoint": "/dev/vdb"}
        answer = self._post(f"volumes/{volume_id}/action", {"os-attach": server})
        assert answer.status == 202, answer.content

    def detach(self, volume_id: str) -> None:
        """The compute service gives it back."""
        answer = self._post(f"volumes/{volume_id}/action", {"os-detach": {}})
        assert answer.status == 202, answer.content

    def _post(self, path: str, body: dict[str, Any]) -> Answer:
        def steps() -> Steps[Answer]:
            answer = yield Request("POST", path, body)
            assert isinstance(answer, Answer)
            return answer

        return self.installation.client.run(steps())

    def refusal(self, verb: str, **value: bool) -> str:
        """The message with which a verb is refused; it must be a 409."""
        answer = self.raw_act(verb, **value)
        assert answer.status == 409, f"{verb} was answered {answer.status}: {answer.content!r}"
        return str((answer.json() or {})["conflictingRequest"]["message"])

    def connect(self, site: str, count: int = 2) -> list[str]:
        """Addresses of the first volumes at a site, for a host."""
        client = self.installation.client
        found = []
        for volume in self.volumes[:count]:
            info = client.connect_volume(volume[site]["id"], HOST_NAME)
            found.append(str(info["data"]["uri"]))
        return found

    def fail_over(self, to: str, **value: bool) -> list[str]:
        """Fail over, and connect at the new site as soon as that is possible."""
        self.act("failover", **value)
        self.wait_failed_over(to)
        return self.connect(to)

    def wait_failed_over(self, to: str) -> None:
        """The failover has come to its end."""
        group = self.wait("end of the failover", lambda seen: seen["status"] != "failovering")
        assert (group["status"], group["priority_station"]) == ("failovered", to), self.words()

    def reprotect(self, **value: bool) -> None:
        """Reprotect, and wait until in step."""
        self.act("reprotect", **value)
        self.wait_in_step()

    def _half(self, site: str) -> object:
        try:
            return self.half(site)
        except (httpx.HTTPError, AssertionError) as error:
            return repr(error)


def is_in_step(group: Group) -> bool:
    """Available and active."""
    return (group["status"], group.get("replication_status")) == ("available", "active")


def protect(
    installation: Installation,
    pairs: int = 2,
    primary: str = "az1",
    in_step: bool = True,
    at: Mapping[str, str] | None = None,
) -> Protected:
    """Make volumes, pairs and a group of them; in step when this comes back, if asked."""
    client = installation.client
    sites = at or dict(zip(SITES, SITES, strict=True))
    volumes = [
        {site: client.create_volume(f"v{number}-{site}", SIZE_GIB, sites[site]) for site in SITES}
        for number in range(pairs)
    ]
    for volume in volumes:
        for made in volume.values():
            wait_available("volume", partial(client.volume, made["id"]))
    ids = []
    for number, volume in enumerate(volumes):
        pair = client.create_pair(f"p{number}", [volume[site]["id"] for site in SITES], primary)
        ids.append(pair["id"])
    for pair_id in ids:
        wait_available("pair", partial(client.pair, pair_id))
    group = client.create_group("g", ids, primary)
    wait_available("group", lambda: client.group(group["id"]))
    made_group = Protected(installation, group["id"], volumes, ids, at=sites)
    if in_step:
        made_group.act("sync")
        made_group.wait_in_step()
    return made_group


def wait_available(what: str, look: Callable[[], Any]) -> None:
    """Until something new may be used."""
    seen: list[Any] = []

    def available() -> bool:
        seen[:] = [look()]
        return bool(seen[0]["status"] == "available")

    began = time.monotonic()
    wait_for(f"available {what}", available, STEP_SECONDS, lambda: f"{seen} since {began}")
