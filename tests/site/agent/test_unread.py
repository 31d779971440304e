"""Long writes whose payloads never come into an agent's memory: which ones these are, and which must not be."""

import asyncio
import gc
import os
from struct import pack
from typing import Any

import pytest
from tests.site.agent.pairs import pair_up, put_both
from tests.site.agent.world import MIB, Controller, Site, session_body, until

from bilocate.demo.nbd_client import NbdError
from bilocate.site.long_payload import LongPayload
from bilocate.site.pipes import PIPES_MAX, Piped, pipes

pytestmark = pytest.mark.anyio


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of those that a disk got without their having been read."""
    lengths: list[int] = []
    write_to = Piped.write_to

    def noted(payload: Piped, fd: int, offset: int) -> int:
        lengths.append(len(payload))
        return write_to(payload, fd, offset)

    monkeypatch.setattr(Piped, "write_to", noted)
    return lengths


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[LongPayload]:
    """Those that have begun to arrive."""
    found: list[LongPayload] = []
    init = LongPayload.__init__

    def noted(payload: LongPayload, *args: Any) -> None:
        init(payload, *args)
        found.append(payload)

    monkeypatch.setattr(LongPayload, "__init__", noted)
    return found


async def pipes_are_free() -> None:
    await asyncio.sleep(0)
    gc.collect()
    assert len(pipes._free) == PIPES_MAX


async def test_those_of_a_plain_volume(az1: Site, written: list[int]) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    content = os.urandom(8 * MIB)
    sizes = [MIB, 300_001, 256 * 1024, 4096, 100_000, 2 * MIB]
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    await asyncio.gather(
        *(host.write(start, content[start : start + size]) for start, size in zip(starts, sizes, strict=True))
    )
    end = sum(sizes)
    assert az1.bytes_at("vol", 0, end) == content[:end] == await host.read(0, end)
    assert written == [MIB, 300_001, 256 * 1024]
    await host.close()
    await pipes_are_free()


async def test_of_a_replicated_volume_those_that_the_secondary_gets(
    az1: Site, az2: Site, controller: Controller, written: list[int]
) -> None:
    """The primary sends what it writes."""
    (host,) = await pair_up(az1, az2, controller)
    content = os.urandom(4 * MIB)
    sizes = [MIB, 256 * 1024, 300_001, 100_000]
    offset = 0
    for size in sizes:
        await host.write(offset, content[offset : offset + size])
        offset += size
    assert az1.bytes_at("p0", 0, offset) == az2.bytes_at("s0", 0, offset) == content[:offset]
    assert written == [MIB, 256 * 1024, 300_001]
    await host.close()
    await pipes_are_free()


async def test_one_that_began_before_its_volume_was_replicated_reaches_both_sites(
    az1: Site, az2: Site, controller: Controller, begun: list[LongPayload]
) -> None:
    """The session that carries it may send it, even twice: it comes to memory (RESUME)."""
    await az1.put_volume("p0", ("at-p0",))
    await az2.put_volume("s0", ("at-s0",))
    host = await az1.connect("at-p0")
    content = os.urandom(MIB)
    half = len(content) // 2
    writing = pack(">IHHQQI", 0x25609513, 0, 1, 1000, 3 * MIB, MIB)
    host._writer.write(writing + content[:half])
    await until(lambda: begun)
    assert isinstance(begun.pop().data, Piped)
    controller.make_row("ses")
    await put_both(az1, az2, "az1", 1)
    await az1.until_session("ses", lambda told: told["in_step"])
    host._writer.write(content[half:])
    await until(lambda: az2.bytes_at("s0", 3 * MIB, MIB) == content)
    assert az1.bytes_at("p0", 3 * MIB, MIB) == content
    begun.clear()
    await host.close()
    await pipes_are_free()


async def test_one_that_a_session_holds_is_in_memory(
    az1: Site, peer: Site, controller: Controller, written: list[int]
) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    controller.make_row("ses")
    await az1.put_session("ses", session_body(peer, "primary", ("vol",), 1))
    await az1.until_session("ses", lambda told: told["serving"])
    content = os.urandom(MIB)
    await host.write(0, content)
    assert await host.read(0, MIB) == content
    assert written == []
    await host.close()


async def test_one_whose_host_goes_away_writes_nothing(
    az1: Site, written: list[int], begun: list[LongPayload]
) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    host._writer.write(pack(">IHHQQI", 0x25609513, 0, 1, 1000, 0, MIB) + b"x" * (MIB - 1))
    await until(lambda: begun and begun[0]._filled == MIB - 1)
    begun.clear()
    host._writer.close()
    await asyncio.sleep(0.05)
    assert az1.bytes_at("vol", 0, MIB) == bytes(MIB)
    assert written == []
    await pipes_are_free()


async def test_a_disk_that_fails_says_so_and_loses_no_pipe(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    az1.fail("write", "ENOSPC")
    for _ in range(3):
        with pytest.raises(NbdError):
            await host.write(0, bytes(MIB))
    az1.faults.unlink()
    await host.write(0, b"y" * MIB)
    assert az1.bytes_at("vol", 0, MIB) == b"y" * MIB
    await host.close()
    await pipes_are_free()
