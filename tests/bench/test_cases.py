"""Parts of the event cases that need no installation."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.cases import dirty_ledger, stall
from bench.cases.hosts import Writer
from bench.cases.stall_scenes import Scene
from pyroaring import BitMap

from bilocate.demo.nbd_client import NbdClient, NbdGone
from bilocate.replication.records import PutVolume
from bilocate.site.ledger import Ledger

pytestmark = pytest.mark.anyio
CHUNKS_OF_A_GIB = 2**30 // dirty_ledger.CHUNK_BYTES


async def test_a_ledger_gets_the_share_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger, _ = Ledger.open(path)
    ledger.commit([PutVolume(name, 2**31, 1, "", "", True, False) for name in ("one", "two")], lambda: None)
    ledger.close()
    await asyncio.to_thread(dirty_ledger.make_dirty, path, ["one", "two"], 2, 0.01)
    ledger, state = Ledger.open(path)
    ledger.close()
    dirty = state.volumes["one"].dirty
    assert len(dirty) == pytest.approx(2 * CHUNKS_OF_A_GIB * 0.01, rel=0.05)
    assert dirty.max() < 2 * CHUNKS_OF_A_GIB
    assert state.volumes["two"].dirty == dirty
    halves = [BitMap(range(first, first + CHUNKS_OF_A_GIB)) & dirty for first in (0, CHUNKS_OF_A_GIB)]
    assert len(halves[0]) == len(halves[1])


class Host(NbdClient):
    """Answers so many writes, each after its wait, and is gone then."""

    def __init__(self, waits: list[float]) -> None:
        self._waits = waits

    async def write(self, offset: int, content: bytes) -> None:
        if not self._waits:
            raise NbdGone("gone")
        await asyncio.sleep(self._waits.pop(0))

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_writer_that_goes_over_counts_from_the_first_attempt() -> None:
    async def again() -> NbdClient:
        await asyncio.sleep(0.1)
        writer.end()
        return Host([0.0])

    writer = Writer(Host([0.0, 0.0]), again)
    await writer.run()
    assert writer.writes == 3
    assert writer.take_longest() >= 0.1
    assert writer.take_longest() == 0.0


async def test_without_a_place_to_go_the_end_of_the_connection_is_the_writer_s() -> None:
    with pytest.raises(NbdGone):
        await Writer(Host([0.0])).run()


def test_a_stall_belongs_to_the_part_that_has_just_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = [0.001] * 10_000

    async def connect(scene: Scene) -> NbdClient:
        return Host(waits)

    def event(scene: Scene) -> Iterator[str]:
        yield "first"
        waits.insert(0, 0.2)
        time.sleep(0.3)
        yield "second"
        yield "third"

    monkeypatch.setattr(stall, "_connect", connect)
    found = asyncio.run(stall._round(None, [event]))  # type: ignore[arg-type]
    assert list(found) == ["first", "second", "third"]
    assert found["second"] >= 200 > 100 > found["third"]
