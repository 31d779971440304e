"""Something is away for a while: the secondary, the primary, the link, the controller, or a whole site."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.real.conftest import LONG, MakeHost, MakeInstallation
from tests.real.harness.checker import check
from tests.real.harness.events import Kind
from tests.real.harness.host import Host
from tests.real.harness.images import CHUNK_BYTES, differing_chunks
from tests.real.harness.installation import Installation
from tests.real.harness.late_write import LateRead, LateWrite
from tests.real.harness.power_cut import lose_unflushed, unflushed
from tests.real.harness.protected import Protected, protect
from tests.real.harness.proxy import Wire
from tests.real.harness.waiting import wait_for

pytestmark = pytest.mark.timed

STALL_SECONDS = 0.5
# A silent link is noticed by a missing heartbeat (1.5 s); then comes the wait for a resume (0.25 s).
SILENT_STALL_SECONDS = 2.5
HASH_BYTES = 32
# Hellos, heartbeats and frame headers of a few seconds.
SMALL_TALK_BYTES = 64 * 1024

Tell = Callable[..., None]


def test_hosts_go_on_alone_when_the_secondary_is_killed(wired: Installation, host: Host, tell: Tell) -> None:
    """Item 3. SIGKILL of az2's agent: hosts stall for less than half a second. When it is back both are in
    step again without anyone asking, and only what differs has crossed the link: counted by a byte comparison
    of ours before, on the wire, and by the agent."""
    group = protect(wired)
    host.start(group.connect("az1"), records=1000)
    killed = wired.kill("az2")
    host.wait_acknowledged(1000)
    group.wait("told loss of protection", lambda seen: seen.get("fault_level") == "5")
    stall = host.longest_stall(killed)
    host.pause()
    assert group.seen()["replication_status"] == "inactive"
    assert group.row()["state"] == "stale"
    files = zip(group.files("az1"), group.files("az2"), strict=True)
    differing = sum(len(differing_chunks(one, other)) for one, other in files) * CHUNK_BYTES
    before = wired.link_bytes()
    wired.start("az2")
    group.wait_in_step()
    crossed, resync = wired.link_bytes() - before, group.half("az1")["last_resync"]
    tell(
        stall_seconds=stall,
        differing_bytes=differing,
        link_bytes=crossed,
        told_link_bytes=resync["link_bytes"],
    )
    group.assert_equal()
    hashes = resync["total_bytes"] / CHUNK_BYTES * HASH_BYTES
    assert resync["differing_bytes"] == differing > 0
    assert resync["link_bytes"] <= 1.05 * differing + 2 * hashes + SMALL_TALK_BYTES
    assert crossed <= 1.05 * differing + 2 * hashes + SMALL_TALK_BYTES
    assert stall <= STALL_SECONDS
    check(host, group.files("az2"))


def test_hosts_write_on_while_a_secondary_that_was_killed_is_copied_to(
    installation: Installation, host: Host
) -> None:
    """Item 3, with hosts that never rest."""
    group = protect(installation)
    host.start(group.connect("az1"), records=500)
    installation.kill("az2")
    host.wait_acknowledged(500)
    began = time.monotonic()
    installation.start("az2")
    group.wait_in_step()
    assert host.longest_stall(began) <= STALL_SECONDS
    host.wait_acknowledged(200)
    host.pause()
    group.assert_equal()
    check(host, group.files("az2"))


def test_a_primary_that_is_killed_and_started_is_still_protected(
    installation: Installation, host: Host
) -> None:
    """Item 4. SIGKILL of the primary's agent and a restart, no failover: hosts reconnect with the same
    addresses and never read an old byte; the arbiter's row never leaves "in sync"; and a second kill right
    afterwards, with a failover this time, loses nothing either."""
    group = protect(installation)
    host.start(group.connect("az1"), records=1000)
    killed = installation.kill("az1")
    installation.start("az1")
    states = watch_row_until_served(group, host, killed)
    assert states == {"in_sync"}
    group.wait_in_step()
    assert group.half("az1")["last_resync"] is None, "it was copied, not pulled"
    host.wait_acknowledged(500)
    installation.kill("az1")
    host.connect(group.fail_over("az2"))
    host.wait_acknowledged(200)
    host.pause()
    check(host, group.files("az2"))


def test_a_primary_whose_machine_crashed_pulls_what_it_lost(
    make_installation: MakeInstallation, host: Host
) -> None:
    """Item 4, with a power cut of the primary's machine instead: everything that was acknowledged but not
    flushed is gone from its disk (the test takes it away), and the machine has another boot id. It is pulled
    from the secondary before any host is served, under the protection that there was all along."""
    installation = make_installation(settings={"az1": '[testing]\nboot_id = "before"'})
    group = protect(installation)
    host.start(group.connect("az1"), records=1000)
    wait_for("writes behind a flush", lambda: len(unflushed(host.events)) > 100)
    killed = installation.kill("az1")
    wait_for("both ends", lambda: host.count(Kind.DISCONNECTED, killed) == 2)
    assert lose_unflushed(host, group.files("az1")) > 0
    with pytest.raises(AssertionError, match=r"missing|out of order"):
        check(host, group.files("az1"))
    installation.replace("az1", 'boot_id = "before"', 'boot_id = "after"')
    installation.start("az1")
    states = watch_row_until_served(group, host, killed)
    assert states == {"in_sync"}
    group.wait_in_step()
    host.wait_acknowledged(200)
    host.pause()
    check(host, group.files("az1"))
    group.assert_equal()


def watch_row_until_served(group: Protected, host: Host, killed: float) -> set[str]:
    """The states of the arbiter's row from now until hosts are answered again."""
    states: set[str] = set()

    def answered() -> bool:
        states.add(group.row()["state"])
        return host.count(Kind.ACKNOWLEDGED, killed + 0.05) > 0

    wait_for("answer for hosts", answered, seen=group.words)
    return states


def test_a_short_cut_of_the_link_goes_by_without_a_resync(wired: Installation, host: Host) -> None:
    """Item 5. For a tenth of a second: what was under way is sent again, nobody asked the arbiter, nothing
    was copied."""
    group = protect(wired)
    host.start(group.connect("az1"))
    before, copied = group.row(), group.half("az1")["last_resync"]
    cut = time.monotonic()
    wired.set_link(Wire.CUT)
    time.sleep(0.1)
    wired.set_link(Wire.WHOLE)
    host.wait_acknowledged(500)
    assert host.longest_stall(cut) <= STALL_SECONDS
    after = group.row()
    assert (after["state"], after["version"]) == ("in_sync", before["version"])
    assert group.half("az1")["last_resync"] == copied
    group.wait_in_step()
    host.pause()
    group.assert_equal()
    check(host, group.files("az2"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "wire", [wire for wire in Wire if wire is not Wire.WHOLE], ids=lambda wire: wire.value
)
def test_a_long_cut_is_lived_through_alone_and_heals(wired: Installation, host: Host, wire: Wire) -> None:
    """Item 5. For ten seconds: hosts go on at the primary alone, and all of it heals when the link does. The
    same when the link is silent instead, both ways or one way: then a missing heartbeat tells."""
    seconds = 10.0 if LONG else 4.0
    group = protect(wired)
    host.start(group.connect("az1"))
    cut = time.monotonic()
    wired.set_link(wire)
    group.wait("told loss of protection", lambda seen: seen.get("fault_level") == "5")
    assert group.row()["state"] == "stale"
    host.wait_acknowledged(500)
    time.sleep(max(0.0, cut + seconds - time.monotonic()))
    limit = STALL_SECONDS if wire is Wire.CUT else SILENT_STALL_SECONDS
    assert host.longest_stall(cut) <= limit
    assert not host.count(Kind.DISCONNECTED)
    wired.set_link(Wire.WHOLE)
    group.wait_in_step()
    host.wait_acknowledged(200)
    host.pause()
    group.assert_equal()
    check(host, group.files("az2"))


@pytest.mark.slow
def test_an_isolated_primary_answers_nothing_and_gives_way(wired: Installation, make_host: MakeHost) -> None:
    """Item 6. The primary is cut off from the secondary and the controller, but not from its hosts: it must
    not answer a write, because nobody may know of it. After a failover and its return it demotes itself and
    disconnects its hosts."""
    group = protect(wired)
    old, new = make_host(), make_host()
    old.start(group.connect("az1"))
    isolated = time.monotonic()
    wired.isolate("az1", Wire.SILENT)
    time.sleep(2.2)  # longer than a heartbeat's timeout and a permit's wait: what it must not do takes time
    reads = old.reads
    time.sleep(0.8)
    assert old.reads == reads, "reads were answered, though the lost link had been noticed (rule 2)"
    silence = old.longest_stall(isolated)
    assert silence > 2.5, f"writes were answered; the longest stall was {silence:g} s"
    new.start(group.fail_over("az2"))
    answered = old.acknowledged
    wired.isolate("az1", Wire.WHOLE)
    old.wait_event(Kind.DISCONNECTED, isolated)
    wait_for("demotion", lambda: group.half("az1")["role"] == "secondary", seen=group.words)
    assert old.acknowledged == answered, "the old primary answered writes after its return"
    old.quit()
    group.reprotect()
    new.wait_acknowledged(200)
    new.pause()
    group.assert_equal()
    for host in (old, new):
        check(host, group.files("az2"))
    assert group.row()["epoch"] == group.half("az1")["epoch"] == group.half("az2")["epoch"]


@pytest.mark.slow
def test_writes_go_on_untouched_without_a_controller(installation: Installation, host: Host) -> None:
    """Item 7. The controller is stopped for a minute: hosts do not notice; nor do they when it comes back."""
    group = protect(installation)
    host.start(group.connect("az1"))
    before = group.row()
    stopped = time.monotonic()
    installation.stop("controller")
    time.sleep(60.0 if LONG else 8.0)
    host.wait_acknowledged(200)
    installation.start("controller")
    group.wait_in_step()
    assert host.longest_stall(stopped) <= STALL_SECONDS
    assert not host.count(Kind.DISCONNECTED)
    assert group.row()["version"] == before["version"]
    host.pause()
    group.assert_equal()
    check(host, group.files("az2"))


@pytest.mark.slow
def test_a_frozen_primary_that_was_failed_over_answers_nothing_when_it_thaws(
    installation: Installation, make_host: MakeHost, tmp_path: Path
) -> None:
    """Item 9. SIGSTOP of the primary's agent, a failover meanwhile, SIGCONT: it finds writes and a read in its
    sockets that came while it hung. It answers none of them, demotes itself and hangs up."""
    group = protect(installation)
    old, new = make_host(), make_host()
    uris = group.connect("az1")
    old.start(uris)
    late, reading = LateWrite(uris[0]), LateRead(uris[0])
    frozen = installation.freeze("az1")
    reading.send()
    late.send()
    new.start(group.fail_over("az2"))
    time.sleep(max(0.0, frozen + (30.0 if LONG else 8.0) - time.monotonic()))
    thawed = installation.thaw("az1")
    old.wait_event(Kind.DISCONNECTED, thawed)
    late.assert_not_answered()
    reading.assert_not_answered()
    wait_for("demotion", lambda: group.half("az1")["role"] == "secondary", seen=group.words)
    issued_before = {event.number for event in old.events if event.kind is Kind.ISSUED and event.at < frozen}
    answered = {event.number for event in old.events if event.kind is Kind.ACKNOWLEDGED and event.at > thawed}
    assert answered <= issued_before, "a write that came while it hung was answered"
    old.quit()
    group.reprotect()
    new.wait_acknowledged(200)
    new.pause()
    group.assert_equal()
    for host in (old, new):
        check(host, group.files("az2"))
    assert not late.is_in(group.files("az2")[0])
