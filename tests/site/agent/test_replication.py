"""Two agents and the real session between them: what a host wrote at one site is at the other."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.site.agent.pairs import pair_up, put_both
from tests.site.agent.world import MIB, WAIT_SECONDS, Controller, Site, session_body, until

from bilocate.demo.nbd_client import NbdClient, NbdGone
from bilocate.domain.arbiter import Call, RowState
from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.frames import Arrival, Frame, Kind
from bilocate.site.busy_poll import BusyPoll
from bilocate.site.disks.faulty import FaultyDisk
from bilocate.site.link import Link
from bilocate.site.runner import SessionRunner
from bilocate.site.session_ports import WRITE_OUT_BYTES

pytestmark = pytest.mark.anyio


async def test_a_write_is_answered_when_both_sites_have_it(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    for offset, length in ((0, 512), (MIB - 512, 4096), (2 * MIB, MIB), (3, 17)):
        content = os.urandom(length)
        await host.write(offset, content)
        assert az2.bytes_at("s0", offset, length) == content
    await host.flush()
    assert not await az2.findable("at-s0")
    told = await az1.session("ses")
    assert (told["state"], told["permit"], told["connections"]) == ("in_step", False, 1)
    assert told["link"]["up"]
    assert told["link"]["peer"] == "az2"
    assert told["link"]["bytes_out"] > MIB
    assert controller.rows["ses"].state is RowState.IN_SYNC
    other = await az2.session("ses")
    assert (other["role"], other["serving"], other["in_step"]) == ("secondary", False, True)
    await host.close()


async def test_a_write_is_awaited_awake_at_both_sites(
    az1: Site, az2: Site, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    told: dict[int, list[int]] = {}  # of each agent's: the lengths of what came alone

    def came(poll: BusyPoll, count: int, length: int) -> None:
        if count == 1:
            told.setdefault(id(poll), []).append(length)

    monkeypatch.setattr(BusyPoll, "came", came)
    async with asyncio.timeout(WAIT_SECONDS):
        # A frame may come together with a heartbeat, which makes two.
        while sum(4096 in lengths for lengths in told.values()) < 2:
            await host.write(0, bytes(4096))
    assert any(0 in lengths for lengths in told.values()), "a confirmation"
    await host.close()


async def test_TRIP_what_is_due_by_time_goes_before_a_frame_or_a_request(
    az1: Site, az2: Site, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an agent that hung: a frame may be as old as the silence that its timer tells of, and a read must not be
    answered by one that has not been told of it yet."""
    seen: dict[str, tuple[SessionRunner, Link]] = {}
    take = SessionRunner.on_frames

    def spied(runner: SessionRunner, link: Link, frames: Sequence[Arrival]) -> None:
        seen[runner.session.site] = runner, link
        take(runner, link, frames)

    with monkeypatch.context() as patched:
        patched.setattr(SessionRunner, "on_frames", spied)
        (host,) = await pair_up(az1, az2, controller)
    runner, link = seen["az1"]
    order: list[str] = []

    def noted(name: str) -> Callable[..., None]:
        return lambda *_: order.append(name)

    for name, happens in (
        ("on_frames", lambda: runner.on_frames(link, [Frame(Kind.PING)])),
        ("submit_all", lambda: runner.submit_all([])),
        ("undisturbed", lambda: runner.undisturbed(0, 0, 1)),
    ):
        order.clear()
        with monkeypatch.context() as patched:
            patched.setattr(runner.session, "tick", noted("tick"))
            patched.setattr(runner.session, name, noted(name))
            patched.setattr(runner, "_timer_at", asyncio.get_running_loop().time() - 0.001)
            happens()
        assert order == ["tick", name]
    await host.close()


async def test_what_was_there_before_the_pair_is_copied(az1: Site, az2: Site, controller: Controller) -> None:
    content = os.urandom(3 * MIB)
    await az1.put_volume("p0", ("at-p0",))
    host = await az1.connect("at-p0")
    await host.write(MIB, content)
    (other,) = await pair_up(az1, az2, controller)
    assert az2.bytes_at("s0", 0, 8 * MIB) == bytes(MIB) + content + bytes(4 * MIB)
    resync = (await az1.session("ses"))["last_resync"]
    assert resync["differing_bytes"] == 3 * MIB
    await host.write(0, b"still connected")
    assert az2.bytes_at("s0", 0, 15) == b"still connected"
    await other.close()
    await host.close()


async def test_what_a_resync_writes_is_written_out_meanwhile(
    az1: Site, az2: Site, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_out: list[str] = []
    monkeypatch.setattr(FaultyDisk, "begin_write_out", lambda disk: written_out.append(disk.name))
    size = 3 * WRITE_OUT_BYTES
    await az1.put_volume("p0", ("at-p0",), size_bytes=size)
    await az2.put_volume("s0", ("at-s0",), size_bytes=size)
    host = await az1.connect("at-p0")
    for offset in range(0, size, MIB):
        await host.write(offset, os.urandom(MIB))
    assert written_out == []
    controller.make_row("ses")
    await put_both(az1, az2, "az1", 1, size_bytes=size)
    await az1.until_session("ses", lambda told: told["in_step"])
    assert [Path(name).name for name in written_out] == ["s0"] * 3
    for offset in range(0, size, MIB):
        await host.write(offset, os.urandom(MIB))
    assert len(written_out) == 3, "what hosts write"


async def test_writes_at_depth_to_several_volumes(az1: Site, az2: Site, controller: Controller) -> None:
    hosts = await pair_up(az1, az2, controller, volumes=3)
    content = os.urandom(8 * MIB)

    async def fill(host: NbdClient) -> None:
        writes = (
            host.write(at, content[at : at + CHUNK_BYTES]) for at in range(0, len(content), CHUNK_BYTES)
        )
        await asyncio.gather(*writes)

    await asyncio.gather(*(fill(host) for host in hosts))
    for number in range(3):
        assert az2.bytes_at(f"s{number}", 0, 8 * MIB) == content
        assert await hosts[number].read(5 * MIB, MIB) == content[5 * MIB : 6 * MIB]
    for host in hosts:
        await host.close()


async def test_the_secondary_dies_and_comes_back(az1: Site, az2: Site, controller: Controller) -> None:
    (host,) = await pair_up(az1, az2, controller)
    await az2.stop()
    await host.write(0, b"solo")
    told = await az1.session("ses")
    assert (told["permit"], told["in_step"]) == (True, False)
    assert controller.rows["ses"].state is RowState.STALE
    await az2.start()
    await az1.until_session("ses", lambda told: told["in_step"])
    assert az2.bytes_at("s0", 0, 4) == b"solo"
    await host.write(4, b"both")
    assert az2.bytes_at("s0", 0, 8) == b"soloboth"
    await host.close()


async def test_the_primary_restarts_and_stays_protected(az1: Site, az2: Site, controller: Controller) -> None:
    """It pulls what it may lack: here bytes that only the secondary has left."""
    (host,) = await pair_up(az1, az2, controller)
    await host.write(0, b"x" * CHUNK_BYTES)
    await az1.stop()
    with az1.file("p0").open("r+b") as file:
        file.write(b"lost in a crash")
    await az1.start()
    host = await az1.connect_soon("at-p0")
    assert await host.read(0, CHUNK_BYTES) == b"x" * CHUNK_BYTES
    told = await az1.session("ses")
    assert (told["in_step"], told["permit"]) == (True, False)
    assert controller.rows["ses"].state is RowState.IN_SYNC
    await host.close()


async def test_failover_and_reprotect(az1: Site, az2: Site, controller: Controller) -> None:
    (host,) = await pair_up(az1, az2, controller)
    await host.write(0, b"production")
    await az1.stop()
    checked = await az2.ask("POST", "/v1/sessions/ses/precheck", {"epoch": 1, "attempt": 2})
    assert checked["consistent"]
    assert (checked["dirty_bytes"], checked["blank"], checked["role"]) == (0, False, "secondary")
    controller.change("ses", Call.FAIL_OVER, 2)
    await put_both(az1, az2, "az2", 2)
    host = await az2.connect_soon("at-s0")
    assert await host.read(0, 10) == b"production"
    await host.write(0, b"recovered!")
    assert (await az2.session("ses"))["permit"]

    # The old primary comes back as what it was, and serves nobody.
    await az1.start()
    await az1.until_session("ses", lambda told: told["refusal"])
    assert not await az1.findable("at-p0")
    await put_both(az1, az2, "az2", 2)
    await az2.until_session("ses", lambda told: told["in_step"])
    assert az1.bytes_at("p0", 0, 10) == b"recovered!"
    await host.write(0, b"protected!")
    assert az1.bytes_at("p0", 0, 10) == b"protected!"
    await host.close()


async def test_a_refused_failover_is_released(az1: Site, az2: Site, controller: Controller) -> None:
    (host,) = await pair_up(az1, az2, controller)
    await az2.ask("POST", "/v1/sessions/ses/precheck", {"epoch": 1, "attempt": 2})
    assert (await az2.session("ses"))["holds_hello"]
    await az2.restart()
    assert (await az2.session("ses"))["holds_hello"]
    assert await az2.ask("POST", "/v1/sessions/ses/release", {"epoch": 1, "attempt": 2}) == {}
    await az1.until_session("ses", lambda told: told["in_step"])
    await host.write(0, b"goes on")
    assert az2.bytes_at("s0", 0, 7) == b"goes on"
    await host.close()


async def test_switchover_copies_nothing(az1: Site, az2: Site, controller: Controller) -> None:
    (host,) = await pair_up(az1, az2, controller)
    await host.write(MIB, b"before")
    version = (await az1.ask("POST", "/v1/sessions/ses/quiesce", {"epoch": 1, "attempt": 2}))["version"]
    assert version == controller.rows["ses"].version
    held = asyncio.create_task(host.write(0, b"never answered"))
    controller.change("ses", Call.SWITCH_OVER, 2)
    await put_both(az1, az2, "az2", 2)
    with pytest.raises(NbdGone):
        await held
    host = await az2.connect_soon("at-s0")
    told = await az2.until_session("ses", lambda told: told["in_step"])
    assert await host.read(MIB, 6) == b"before"
    assert told["last_resync"] is None
    await host.write(0, b"after")
    assert az1.bytes_at("p0", 0, 5) == b"after"
    await host.close()


async def test_a_quiesce_that_is_taken_back_lets_hosts_go_on(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    await az1.ask("POST", "/v1/sessions/ses/quiesce", {"epoch": 1, "attempt": 2})
    assert (await az1.session("ses"))["quiesced"]
    held = asyncio.create_task(host.write(0, b"held"))
    await az1.ask("POST", "/v1/sessions/ses/resume", {"epoch": 1, "attempt": 2})
    await held
    assert az2.bytes_at("s0", 0, 4) == b"held"
    await host.close()


async def test_a_failed_write_at_the_secondary_does_not_fail_the_host(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    az2.fail("write", "EIO")
    await host.write(0, b"x" * 512)
    assert (await az1.session("ses"))["permit"]
    az2.faults.unlink()
    await az1.until_session("ses", lambda told: told["in_step"])
    assert az2.bytes_at("s0", 0, 512) == b"x" * 512
    await host.close()


async def test_links_of_strangers_are_refused(az1: Site, az2: Site, controller: Controller) -> None:
    """Both sites dial, but neither knows a secondary of that session."""
    for site, peer in ((az1, az2), (az2, az1)):
        await site.put_volume("vol")
        controller.make_row("ses")
        await site.put_session(f"ses-{site.config.site}", session_body(peer, "primary", ("vol",)))
        await until(lambda: controller.hellos)
    found = await az1.until_session("ses-az1", lambda told: told["link"]["error"])
    assert "there is no session ses-az1 at az2" in found["link"]["error"]


async def test_a_paused_session_keeps_its_secondary_as_it_was(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    await host.write(0, b"then")
    body = session_body(az2, "primary", ("p0",))
    await az1.put_session("ses", {**body, "paused": True, "revision": 2})
    await az1.until_session("ses", lambda told: told["permit"])
    await host.write(0, b"now!")
    assert az2.bytes_at("s0", 0, 4) == b"then"
    assert not (await az1.session("ses"))["link"]["up"]
    await az1.put_session("ses", {**body, "revision": 3})
    await az1.until_session("ses", lambda told: told["in_step"])
    assert az2.bytes_at("s0", 0, 4) == b"now!"
    await host.close()


async def nbd_map(site: Site, export: str) -> list[dict[str, object]]:
    host, port = site.up.nbd_address
    process = await asyncio.create_subprocess_exec(
        "nbdinfo", "--json", "--map", f"nbd://{host}:{port}/{export}", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    found: list[dict[str, object]] = json.loads(out)
    return found


async def test_hosts_are_told_holes_of_a_replicated_volume(
    az1: Site, az2: Site, controller: Controller
) -> None:
    """A backup of a sparse volume reads what is there; nothing is told that a read would have to wait for."""
    (host,) = await pair_up(az1, az2, controller)
    await host.write(MIB, os.urandom(MIB))
    await host.flush()
    holes = [piece["type"] for piece in await nbd_map(az1, "at-p0")]
    assert holes == [3, 0, 3]  # a hole that reads as zeros, data, a hole
    controller.deaf = True
    await az2.stop()
    await az1.until_session("ses", lambda told: told["state"] == "tripped")
    # While nothing may be answered, nobody is told what a read would find.
    assert [piece["type"] for piece in await nbd_map(az1, "at-p0")] == [0]
    await host.close()
