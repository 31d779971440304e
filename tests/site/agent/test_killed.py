"""The primary's process is killed under load: nothing that was answered is lost, whichever site goes on."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.site.agent.process import Process
from tests.site.agent.world import MIB, Controller, Json, Site, volume_body

from bilocate.demo.nbd_client import NbdClient, NbdGone
from bilocate.domain.arbiter import Call, RowState

pytestmark = pytest.mark.anyio

BLOCK_BYTES = 4096
BLOCKS = 8 * MIB // BLOCK_BYTES


@pytest.fixture
def first(tmp_path: Path, controller: Controller) -> Iterator[Process]:
    """The agent of az1."""
    it = Process(tmp_path, controller.url)
    yield it
    it.close()


def wanted(role: str, volume_id: str, peer: str, address: str, epoch: int) -> Json:
    return {
        "epoch": epoch,
        "revision": 1,
        "role": role,
        "peer": {"site": peer, "address": address},
        "paused": False,
        "members": [{"pair_id": "pair", "volume_id": volume_id, "size_bytes": 8 * MIB}],
    }


async def put_both(first: Process, az2: Site, primary: str, epoch: int) -> None:
    roles = {site: "primary" if site == primary else "secondary" for site in ("az1", "az2")}
    await az2.put_session("ses", wanted(roles["az2"], "s", "az1", str(first.link), epoch))
    address = az2.config.link.unix_socket
    await asyncio.to_thread(first.put, "/v1/sessions/ses", wanted(roles["az1"], "p", "az2", address, epoch))


async def pair_up(first: Process, az2: Site, controller: Controller) -> NbdClient:
    await asyncio.to_thread(first.start)
    await asyncio.to_thread(first.put, "/v1/volumes/p", volume_body(("at-p",)))
    await az2.put_volume("s", ("at-s",))
    controller.make_row("ses")
    await put_both(first, az2, "az1", 1)
    await az2.until_session("ses", lambda told: told["in_step"])
    return await first.connect("at-p")


class Load:
    """Writes rising numbers into all blocks, many at once, and remembers which were answered."""

    def __init__(self, host: NbdClient) -> None:
        self.answered: dict[int, int] = {}
        self.begun: dict[int, int] = {}
        self._host = host
        self._number = 0

    async def run(self) -> None:
        """Until the host's connection is gone."""
        with pytest.raises(NbdGone):
            await asyncio.gather(*(self._write_on(block) for block in range(16)))

    async def _write_on(self, lane: int) -> None:
        while True:
            for block in range(lane, BLOCKS, 16):
                self._number += 1
                number = self.begun[block] = self._number
                await self._host.write(block * BLOCK_BYTES, number.to_bytes(8, "big") * (BLOCK_BYTES // 8))
                self.answered[block] = number

    async def check(self, host: NbdClient) -> None:
        """Every block has what was answered last, or what was begun after it, and has it whole."""
        for block, answered in self.answered.items():
            found = await host.read(block * BLOCK_BYTES, BLOCK_BYTES)
            number = int.from_bytes(found[:8], "big")
            assert number in (answered, self.begun[block]), block
            assert found == number.to_bytes(8, "big") * (BLOCK_BYTES // 8)


async def kill_under_load(first: Process, host: NbdClient) -> Load:
    load = Load(host)
    running = asyncio.create_task(load.run())
    while len(load.answered) < 1000:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(first.end, signal.SIGKILL)
    await running
    return load


async def test_the_secondary_takes_over_and_the_old_primary_is_reprotected(
    first: Process, az2: Site, controller: Controller
) -> None:
    load = await kill_under_load(first, await pair_up(first, az2, controller))
    checked = await az2.ask("POST", "/v1/sessions/ses/precheck", {"epoch": 1, "attempt": 2})
    assert (checked["consistent"], checked["dirty_bytes"]) == (True, 0)
    controller.change("ses", Call.FAIL_OVER, 2)
    await az2.put_session("ses", wanted("primary", "s", "az1", str(first.link), 2))
    host = await az2.connect_soon("at-s")
    await load.check(host)
    await host.write(0, b"n" * BLOCK_BYTES)

    await asyncio.to_thread(first.start)
    await put_both(first, az2, "az2", 2)
    await az2.until_session("ses", lambda told: told["in_step"])
    file = first.directory / "state" / "volumes" / "p"
    assert file.read_bytes() == az2.bytes_at("s", 0, 8 * MIB)
    assert file.read_bytes()[:BLOCK_BYTES] == b"n" * BLOCK_BYTES
    await host.close()


async def test_the_primary_comes_back_and_was_protected_all_the_time(
    first: Process, az2: Site, controller: Controller
) -> None:
    load = await kill_under_load(first, await pair_up(first, az2, controller))
    await asyncio.to_thread(first.start)
    await az2.until_session("ses", lambda told: told["in_step"])
    assert controller.rows["ses"].state is RowState.IN_SYNC
    host = await first.connect("at-p")
    await load.check(host)
    await host.flush()
    file = first.directory / "state" / "volumes" / "p"
    assert file.read_bytes() == az2.bytes_at("s", 0, 8 * MIB)
    assert ("az1", "request_solo") not in controller.calls[
        controller.calls.index(("az1", "report_in_sync")) :
    ]
    await host.close()
