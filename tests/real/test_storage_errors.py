"""Item 15. Disks that are full or fail, at either site: rule 6, and the status tells."""

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.real.conftest import MakeInstallation
from tests.real.harness.checker import check
from tests.real.harness.events import Kind
from tests.real.harness.faults import MIB, Faults, SmallDisk
from tests.real.harness.host import Host
from tests.real.harness.installation import Installation
from tests.real.harness.protected import Protected, protect
from tests.real.harness.record import place_of
from tests.real.harness.waiting import wait_for

PRIMARY_ABNORMAL, SECONDARY_ABNORMAL = "37100177", "37100178"
FULL_AT_BYTES = 20 * MIB  # a host's phase takes 8 MiB over both volumes

MakeFaulty = Callable[[str], tuple[Installation, Faults]]


@pytest.fixture
def make_faulty(make_installation: MakeInstallation, tmp_path: Path) -> MakeFaulty:
    """An installation in which one site's disks fail on demand."""

    def make(site: str) -> tuple[Installation, Faults]:
        faults = Faults(tmp_path / f"faults-{site}.json")
        return make_installation(settings={site: faults.setting}), faults

    return make


def failing_place(group: Protected, site: str, operation: str = "write") -> dict[str, Any]:
    """A fault at one of the blocks that the first host writes again and again."""
    place = place_of(1, 1)
    return {
        "operation": operation,
        "errno": "EIO",
        "disk": f"{group.volumes[place.volume][site]['id']}*",
        "first_byte": place.offset,
        "end_byte": place.offset + 4096,
    }


def failures(host: Host, since: float) -> set[int]:
    """The errors that the host was told."""
    return {event.extra for event in host.events if event.kind is Kind.FAILED and event.at >= since}


def test_a_failed_write_at_the_primary_is_told_and_cleared_by_a_resync_alone(
    make_faulty: MakeFaulty, host: Host
) -> None:
    """A block of the production disk can't be written: the host gets EIO, all other writes go on, and the group
    tells that production's storage is abnormal (fault level 2: fail over). When the disk works again it stays told,
    until a sync has made both copies equal."""
    installation, faults = make_faulty("az1")
    group = protect(installation)
    host.start(group.connect("az1"))
    began = time.monotonic()
    faults.set(failing_place(group, "az1"))
    host.wait_event(Kind.FAILED, began)
    seen = group.wait("told storage error", lambda seen: seen.get("replication_status") == "error")
    assert (seen["fault_level"], seen["failure_detail"]) == ("2", PRIMARY_ABNORMAL)
    host.wait_acknowledged(3000)
    assert failures(host, began) == {errno.EIO}
    assert not host.count(Kind.DISCONNECTED)
    faults.set()
    host.wait_acknowledged(3000)
    assert group.seen()["replication_status"] == "error", "it was forgotten without a resync"
    group.act("sync")
    group.wait_in_step()
    assert group.seen()["fault_level"] == "0"
    host.pause()
    group.assert_equal()
    check(host, group.files("az1"))
    check(host, group.files("az2"))


def test_a_primary_with_a_failing_disk_is_failed_over_without_loss(
    make_faulty: MakeFaulty, host: Host
) -> None:
    """Fault level 2 says: fail over. Whoever does finds everything that was acknowledged."""
    installation, faults = make_faulty("az1")
    group = protect(installation)
    host.start(group.connect("az1"))
    began = time.monotonic()
    faults.set(
        failing_place(group, "az1"),
        {**failing_place(group, "az1", "read"), "first_byte": 0, "end_byte": None},
    )
    host.wait_event(Kind.FAILED, began)
    group.wait("told storage error", lambda seen: seen.get("fault_level") == "2")
    host.connect(group.fail_over("az2"))
    host.wait_acknowledged(200)
    host.pause()
    check(host, group.files("az2"))
    faults.set()
    group.reprotect()
    group.assert_equal()


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["write", "flush"])
def test_a_failing_disk_at_the_secondary_costs_protection_and_no_write(
    make_faulty: MakeFaulty, host: Host, operation: str
) -> None:
    """The secondary can't write, or can't flush: nothing is confirmed that it does not have, hosts go on at the
    primary alone without an error, the group tells that it is not protected, and when the disk works again it heals
    by itself."""
    installation, faults = make_faulty("az2")
    group = protect(installation)
    host.start(group.connect("az1"))
    began = time.monotonic()
    faults.set(failing_place(group, "az2", operation))
    group.wait("told loss of protection", lambda seen: seen.get("fault_level") == "5")
    host.wait_acknowledged(1000)
    assert group.seen()["replication_status"] != "active"
    assert not failures(host, began)
    assert not host.count(Kind.DISCONNECTED)
    if operation == "write":
        told = group.wait("told cause", lambda seen: seen.get("failure_detail") is not None)
        assert told["failure_detail"] == SECONDARY_ABNORMAL
    faults.set()
    group.wait_in_step()
    host.pause()
    group.assert_equal()
    check(host, group.files("az2"))


MakeFull = Callable[[str], tuple[Installation, Callable[[], None]]]


@pytest.fixture
def make_full(make_installation: MakeInstallation, make_faulty: MakeFaulty) -> Iterator[MakeFull]:
    """An installation in which one site has little room, and how to make more. Who is not root gets disks that
    say that they are full."""
    small: list[SmallDisk] = []

    def make(site: str) -> tuple[Installation, Callable[[], None]]:
        if not SmallDisk.can_be_made():
            installation, faults = make_faulty(site)
            faults.set({"operation": "write", "errno": "ENOSPC", "first_byte": FULL_AT_BYTES})
            return installation, faults.set
        installation = make_installation(up=False)
        small.append(SmallDisk(installation.layout.data(site) / "volumes", FULL_AT_BYTES))
        installation.up()
        return installation, lambda: small[0].grow(200 * MIB)

    yield make
    for disk in small:
        disk.remove()


def fill(group: Protected, host: Host) -> None:
    """Write to ever new places until the host is told that there is no room, or there can't be any left."""
    uris = group.connect("az1")
    host.write()
    for _ in range(4):
        host.connect(uris)
        enough = host.acknowledged + 2500  # all places of a phase, and some twice
        wait_for("phase's end", lambda: host.count(Kind.FAILED) or host.acknowledged >= enough)  # noqa: B023
        if host.count(Kind.FAILED):
            return


@pytest.mark.slow
def test_a_full_disk_at_the_primary_is_answered_and_nothing_is_lost(make_full: MakeFull, host: Host) -> None:
    """No room at the primary: hosts are told ENOSPC. What was acknowledged stays; when there is room again, a sync
    makes both copies equal."""
    installation, make_room = make_full("az1")
    group = protect(installation)
    began = time.monotonic()
    fill(group, host)
    host.wait_event(Kind.FAILED, began)
    assert failures(host, began) == {errno.ENOSPC}
    seen = group.wait("told storage error", lambda seen: seen.get("replication_status") == "error")
    assert (seen["fault_level"], seen["failure_detail"]) == ("2", PRIMARY_ABNORMAL)
    host.pause()
    check(host, group.files("az1"))
    check(host, group.files("az2"))
    make_room()
    host.write()
    host.wait_acknowledged(200)
    group.act("sync")
    group.wait_in_step()
    host.pause()
    group.assert_equal()
    check(host, group.files("az1"))


@pytest.mark.slow
def test_a_full_disk_at_the_secondary_is_told_and_heals_when_there_is_room(
    make_full: MakeFull, host: Host
) -> None:
    """No room at the secondary: hosts never hear of it, the group is not protected and tells why, and heals by
    itself when there is room."""
    installation, make_room = make_full("az2")
    group = protect(installation)
    began = time.monotonic()
    fill(group, host)
    group.wait("told loss of protection", lambda seen: seen.get("fault_level") == "5")
    host.wait_acknowledged(500)
    assert not failures(host, began)
    make_room()
    group.wait_in_step()
    host.pause()
    group.assert_equal()
    check(host, group.files("az2"))
