"""A scene for every verb: how to get to where it is accepted, the call, and what must be true at its end.

All play in one installation, one after the other; each begins from whatever the one before has left.
"""

import contextlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import httpx
from tests.real.harness.checker import check
from tests.real.harness.host import Host
from tests.real.harness.images import assert_equal
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.protected import SIZE_GIB, Protected, protect, wait_available
from tests.real.harness.waiting import wait_for

from bilocate.cli.client import Volume
from bilocate.cli.errors import NotFound
from bilocate.cli.installation import control_of


class Scene(ABC):
    """One verb's."""

    verb: ClassVar[str]

    def __init__(self, installation: Installation, host: Host) -> None:
        self.installation, self.host = installation, host
        self.client = installation.client

    @abstractmethod
    def prepare(self) -> None:
        """Everything the call needs."""

    @abstractmethod
    def call(self) -> None:
        """The call; the controller may die before it has answered."""

    @abstractmethod
    def ended_right(self, target_id: str) -> None:
        """Assert what must be true when the operation has ended."""

    # --- parts ---

    def volume(self, site: str) -> Volume:
        """A new volume."""
        made = self.client.create_volume("scene", SIZE_GIB, site)
        wait_available("volume", lambda: self.client.volume(made["id"]))
        return made

    def pair(self) -> tuple[str, list[Volume]]:
        """A new pair, and its volumes."""
        volumes = [self.volume(site) for site in SITES]
        made = self.client.create_pair("scene", [volume["id"] for volume in volumes], "az1")
        wait_available("pair", lambda: self.client.pair(made["id"]))
        return made["id"], volumes

    def assert_gone(self, look: Any) -> None:
        """It answers "not found"."""
        with contextlib.suppress(NotFound):
            raise AssertionError(f"it is still there: {look()}")

    def sessions_at(self, site: str) -> set[str]:
        """What an agent carries."""
        return set(self.installation.ask_agent(site, "status")["sessions"])

    def wait_sessions_gone(self, site: str, *session_ids: str) -> None:
        """Until an agent has ended these; the reconciler's next round tells it."""
        wait_for("end of sessions", lambda: not {*session_ids} & self.sessions_at(site))


class WithGroup(Scene):
    """A scene with a group of two pairs, and a host that writes if it is told to."""

    in_step: ClassVar[bool] = True
    group: Protected

    def prepare(self) -> None:
        self.group = protect(self.installation, in_step=self.in_step)

    def write(self, site: str) -> None:
        """The host writes at `site`."""
        self.host.start(self.group.connect(site), records=200)

    def assert_all_there(self, *sites: str) -> None:
        """What the host was told is at these sites, and the copies are equal if there are two."""
        self.host.pause()
        for site in sites:
            check(self.host, self.group.files(site))
        if len(sites) == 2:
            self.group.assert_equal()


class CreateVolume(Scene):
    verb = "create_volume"

    def prepare(self) -> None:
        pass

    def call(self) -> None:
        self.client.create_volume("scene", SIZE_GIB, "az1")

    def ended_right(self, target_id: str) -> None:
        assert self.client.volume(target_id)["status"] == "available"
        file = self.installation.volume_file("az1", target_id).stat()
        assert (file.st_size, file.st_mode & 0o777) == (SIZE_GIB * 1024**3, 0o600)


class CreateCopy(WithGroup):
    verb = "create_copy"

    def prepare(self) -> None:
        super().prepare()
        self.write("az1")
        self.host.wait_acknowledged(300)
        self.host.pause()
        self.source = self.group.volumes[0]["az1"]["id"]

    def call(self) -> None:
        self.client.copy_volume("scene", self.source)

    def ended_right(self, target_id: str) -> None:
        found = self.client.volume(target_id)
        assert (found["status"], found["source_volid"]) == ("available", self.source)
        files = [self.installation.volume_file("az1", each) for each in (self.source, target_id)]
        assert_equal(files[:1], files[1:])


class ExtendVolume(Scene):
    verb = "extend_volume"

    def prepare(self) -> None:
        self.made = self.volume("az1")

    def call(self) -> None:
        self.client.extend_volume(self.made["id"], SIZE_GIB + 1)

    def ended_right(self, target_id: str) -> None:
        found = self.client.volume(target_id)
        assert (found["status"], found["size"]) == ("available", SIZE_GIB + 1)
        assert self.installation.volume_file("az1", target_id).stat().st_size == (SIZE_GIB + 1) * 1024**3


class DeleteVolume(Scene):
    verb = "delete_volume"

    def prepare(self) -> None:
        self.made = self.volume("az2")

    def call(self) -> None:
        self.client.delete_volume(self.made["id"])

    def ended_right(self, target_id: str) -> None:
        self.assert_gone(lambda: self.client.volume(target_id))
        assert not list((self.installation.layout.data("az2") / "volumes").glob(f"{target_id}*"))


class CreatePair(Scene):
    verb = "create_pair"

    def prepare(self) -> None:
        self.volumes = [self.volume(site) for site in SITES]

    def call(self) -> None:
        self.client.create_pair("scene", [volume["id"] for volume in self.volumes], "az1")

    def ended_right(self, target_id: str) -> None:
        assert self.client.pair(target_id)["status"] == "available"
        assert all(target_id in self.sessions_at(site) for site in SITES)


class DeletePair(Scene):
    verb = "delete_pair"

    def prepare(self) -> None:
        self.made, self.volumes = self.pair()

    def call(self) -> None:
        self.client.delete_pair(self.made)

    def ended_right(self, target_id: str) -> None:
        self.assert_gone(lambda: self.client.pair(target_id))
        assert not any(target_id in self.sessions_at(site) for site in SITES)
        for volume in self.volumes:
            assert self.client.volume(volume["id"])["status"] == "available"


class CreateGroup(Scene):
    verb = "create_group"

    def prepare(self) -> None:
        self.pairs = [self.pair()[0] for _ in range(2)]

    def call(self) -> None:
        self.client.create_group("scene", self.pairs, "az1")

    def ended_right(self, target_id: str) -> None:
        group = self.client.group(target_id)
        assert (group["status"], set(group["replication_ids"])) == ("available", set(self.pairs))
        for site in SITES:
            self.wait_sessions_gone(site, *self.pairs)
            assert target_id in self.sessions_at(site)


class UpdateGroup(WithGroup):
    verb = "update_group"
    in_step = False

    def call(self) -> None:
        changes = {"name": "renamed", "remove_replication_ids": self.group.pair_ids[:1]}
        self.client.update_group(self.group.group_id, changes)

    def ended_right(self, target_id: str) -> None:
        group = self.client.group(target_id)
        assert (group["status"], group["name"]) == ("available", "renamed")
        assert group["replication_ids"] == self.group.pair_ids[1:]
        left = self.client.pair(self.group.pair_ids[0])
        assert (left["status"], left["replication_consistency_group_id"]) == ("available", None)
        assert all({target_id, left["id"]} <= self.sessions_at(site) for site in SITES)


class DeleteGroup(WithGroup):
    verb = "delete_group"
    in_step = False

    def prepare(self) -> None:
        super().prepare()
        self.client.update_group(self.group.group_id, {"remove_replication_ids": self.group.pair_ids})
        wait_available("group", self.group.seen)

    def call(self) -> None:
        self.client.delete_group(self.group.group_id)

    def ended_right(self, target_id: str) -> None:
        self.assert_gone(self.group.seen)
        for site in SITES:
            self.wait_sessions_gone(site, target_id)


class Sync(WithGroup):
    verb = "sync"
    in_step = False

    def call(self) -> None:
        self.group.act("sync")

    def ended_right(self, target_id: str) -> None:
        self.group.wait_in_step()
        self.group.assert_equal()


class Stop(WithGroup):
    verb = "stop"

    def prepare(self) -> None:
        super().prepare()
        self.write("az1")

    def call(self) -> None:
        self.group.act("stop")

    def ended_right(self, target_id: str) -> None:
        self.host.wait_acknowledged(50)
        self.group.wait("stopped group", lambda seen: seen.get("replication_status") == "inactive")
        self.host.pause()
        check(self.host, self.group.files("az2"), may_lack=True)
        self.group.act("sync")
        self.group.wait_in_step()
        self.assert_all_there(*SITES)


class ExtendGroup(WithGroup):
    verb = "extend_group"

    def prepare(self) -> None:
        super().prepare()
        self.write("az1")

    def call(self) -> None:
        self.client.extend_group(self.group.group_id, dict.fromkeys(self.group.pair_ids, SIZE_GIB + 1))

    def ended_right(self, target_id: str) -> None:
        self.host.wait_acknowledged(50)
        self.group.wait_in_step()
        assert self.group.sizes() == {SIZE_GIB + 1}
        self.assert_all_there(*SITES)


class Failover(WithGroup):
    verb = "failover"

    def prepare(self) -> None:
        super().prepare()
        self.write("az1")

    def call(self) -> None:
        self.group.act("failover")

    def ended_right(self, target_id: str) -> None:
        self.group.wait_failed_over("az2")
        self.host.connect(self.group.connect("az2"))
        self.host.wait_acknowledged(50)
        self.assert_all_there("az2")


class Reprotect(WithGroup):
    verb = "reprotect"

    def prepare(self) -> None:
        super().prepare()
        self.write("az1")
        self.host.connect(self.group.fail_over("az2"))
        self.host.wait_acknowledged(50)

    def call(self) -> None:
        self.group.act("reprotect")

    def ended_right(self, target_id: str) -> None:
        self.group.wait_in_step()
        self.assert_all_there(*SITES)


class Reverse(WithGroup):
    verb = "reverse"

    def prepare(self) -> None:
        super().prepare()
        self.write("az1")

    def call(self) -> None:
        self.group.act("reverse", force=True)

    def ended_right(self, target_id: str) -> None:
        group = self.group.wait_in_step()
        assert group["priority_station"] == "az2"
        self.host.connect(self.group.connect("az2"))
        self.host.wait_acknowledged(50)
        self.assert_all_there(*SITES)


class Settle(WithGroup):
    """A failover's check reached the secondary after it was taken back: it takes no hello, and no operation knows."""

    verb = "settle"

    def prepare(self) -> None:
        super().prepare()
        self.write("az1")

    def call(self) -> None:
        control, row = control_of(self.installation.layout, "az2"), self.group.row()
        url = f"{control.url}/v1/sessions/{self.group.group_id}/precheck"
        body = {"epoch": row["epoch"], "attempt": row["epoch"]}  # of an attempt of long ago
        httpx.post(url, json=body, headers=control.headers, timeout=5, trust_env=False).raise_for_status()

    def ended_right(self, target_id: str) -> None:
        assert not self.group.row()["held"]
        self.group.wait_in_step()
        assert not self.group.half("az2")["holds_hello"]
        self.assert_all_there(*SITES)


def scene_of(verb: str, installation: Installation, host: Host) -> Scene:
    """:raises KeyError: a verb has none yet."""
    kinds: dict[str, Any] = {kind.verb: kind for kind in _below(Scene) if hasattr(kind, "verb")}
    scene: Scene = kinds[verb](installation, host)
    return scene


def _below(kind: Any) -> list[Any]:
    found: list[Any] = []
    for below in kind.__subclasses__():
        found += [below, *_below(below)]
    return found
