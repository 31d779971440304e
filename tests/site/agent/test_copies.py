"""New volumes that begin as copies of others: of one moment, under writing hosts, and never half made."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.site.agent.pairs import pair_up, put_both
from tests.site.agent.process import Process
from tests.site.agent.world import MIB, Controller, Json, Site, until, volume_body

from bilocate.demo.nbd_client import NbdClient
from bilocate.site.disks import syscalls
from bilocate.site.disks.base import Buffer
from bilocate.site.disks.faulty import FaultyDisk

pytestmark = pytest.mark.anyio

SIZE = 8 * MIB


def copy_of(source: str, size_bytes: int = SIZE) -> Json:
    return {"source_volume_id": source, "size_bytes": size_bytes, "revision": 1}


async def copied(site: Site, volume: str, source: str, size_bytes: int = SIZE) -> None:
    async with asyncio.timeout(60):
        while not (await site.ask("PUT", f"/v1/volumes/{volume}/copy", copy_of(source, size_bytes)))["done"]:
            await asyncio.sleep(0.005)


async def refused(site: Site, volume: str, body: Json) -> tuple[int, str]:
    """How a copy ends that can't be made, at the first call or at a later one."""
    async with asyncio.timeout(60):
        while True:
            answer = await site.call("PUT", f"/v1/volumes/{volume}/copy", body)
            if answer.status_code != 200:
                return answer.status_code, answer.json()["error"]
            assert not answer.json()["done"]
            await asyncio.sleep(0.005)


def unfinished(directory: Path) -> list[Path]:
    return list(directory.glob(".copy-*"))


class Counters:
    """A host that writes rising numbers, one at the beginning and then the same at the end: never is the second newer.

    In between it writes all over the volume, so that no part of it is at rest.
    """

    PLACES = (0, SIZE - 512)

    def __init__(self, host: NbdClient) -> None:
        self.host = host
        self.number = 0
        self._stopped = False

    async def run(self) -> None:
        while not self._stopped:
            self.number += 1
            for place in self.PLACES:
                await self.host.write(place, self.number.to_bytes(8, "big") * 64)
            await self.host.write(self.number * 37 % 7 * MIB + 65_000, os.urandom(200_000))

    async def start(self) -> None:
        self._task = asyncio.create_task(self.run())
        await until(lambda: self.number > 3)

    async def stop(self) -> None:
        self._stopped = True
        await self._task

    def check(self, content: bytes, before: int) -> None:
        """Of one moment, and of none before `before` was written whole."""
        first, second = (int.from_bytes(content[place : place + 8], "big") for place in self.PLACES)
        assert before <= second <= first <= second + 1
        for place, number in zip(self.PLACES, (first, second), strict=True):
            assert content[place : place + 512] == number.to_bytes(8, "big") * 64


async def test_COPY_it_is_whole_of_one_moment_and_a_volume_of_its_own(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    await host.write(0, os.urandom(SIZE))
    load = Counters(host)
    for number in range(5):
        await load.start()
        before = load.number - 1
        await copied(az1, f"copy{number}", "vol")
        await load.stop()
        load.check(az1.bytes_at(f"copy{number}", 0, SIZE), before)
    assert not unfinished(az1.file("vol").parent)
    content = az1.bytes_at("copy0", 0, SIZE)
    await az1.put_volume("copy0", ("of-copy",), create=False, revision=2)
    other = await az1.connect("of-copy")
    await host.write(MIB, b"source" * 100)
    assert await other.read(0, SIZE) == content
    await other.write(MIB, b"copy" * 100)
    assert await host.read(MIB, 600) == b"source" * 100
    await other.close()
    await az1.restart()
    other = await az1.connect("of-copy")
    assert await other.read(MIB, 400) == b"copy" * 100
    told = await az1.volume("copy0")
    assert (told["blank"], told["present"], told["served"]) == (False, True, True)
    await other.close()


async def test_COPY_a_write_under_way_is_over_before_the_moment(
    az1: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    write_all, begun = syscalls.write_all, threading.Event()

    def slowly(fd: int, offset: int, data: Buffer) -> int:
        """Half of it, and the other half a while later."""
        half = len(data) // 2
        code = write_all(fd, offset, memoryview(data)[:half])
        begun.set()
        time.sleep(0.3)
        return code or write_all(fd, offset + half, memoryview(data)[half:])

    monkeypatch.setattr(syscalls, "write_all", slowly)
    content = os.urandom(2 * MIB)  # too long to be written at once
    write = asyncio.create_task(host.write(0, content))
    await until(begun.is_set)
    monkeypatch.setattr(syscalls, "write_all", write_all)
    await copied(az1, "copy", "vol")
    await write
    assert az1.bytes_at("copy", 0, 2 * MIB) == content
    await host.close()


async def test_a_larger_copy_is_zeros_beyond_its_source(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    content = os.urandom(SIZE)
    await host.write(0, content)
    await copied(az1, "copy", "vol", 2 * SIZE)
    assert az1.bytes_at("copy", 0, 2 * SIZE) == content + bytes(SIZE)
    await copied(az1, "copy", "vol", 2 * SIZE)  # is there already
    assert await refused(az1, "less", copy_of("copy", SIZE)) == (409, "source_larger")
    assert await refused(az1, "other", copy_of("nobody")) == (409, "unknown_volume")
    assert not az1.file("less").exists()
    await host.close()


async def test_COPY_both_volumes_of_a_pair_can_be_copied_under_a_writing_host(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    await host.write(0, os.urandom(SIZE))
    load = Counters(host)
    for number in range(3):
        await load.start()
        before = load.number - 1
        await asyncio.gather(copied(az1, f"copy{number}", "p0"), copied(az2, f"copy{number}", "s0"))
        await load.stop()
        for site in (az1, az2):
            load.check(site.bytes_at(f"copy{number}", 0, SIZE), before)
    await host.flush()
    assert az1.bytes_at("p0", 0, SIZE) == az2.bytes_at("s0", 0, SIZE)
    assert (await az1.session("ses"))["in_step"]
    await host.close()


async def test_COPY_a_secondary_is_copied_only_while_it_holds_one_moment(
    az1: Site, az2: Site, controller: Controller
) -> None:
    await az1.put_volume("p0", ("at-p0",))
    await az2.put_volume("s0")
    host = await az1.connect("at-p0")
    await host.write(0, os.urandom(SIZE))
    az2.fail("write")  # so that the resync begins and does not end
    controller.make_row("ses")
    await put_both(az1, az2, "az1", 1)
    await az2.until_session("ses", lambda told: not told["volumes"][0]["consistent"])
    assert await az2.refused("GET", "/v1/volumes/s0/copyable") == (409, "not_consistent")
    assert await refused(az2, "copy", copy_of("s0")) == (409, "not_consistent")
    az2.faults.unlink()
    await az1.until_session("ses", lambda told: told["in_step"])
    await copied(az2, "copy", "s0")
    await host.write(0, b"marked" * 100)
    await az2.stop()
    await az1.stop()
    await az2.start()  # what was written last may be lost at a power cut: it is not known to be at both sites
    assert (await az2.session("ses"))["volumes"][0]["dirty_bytes"]
    assert await refused(az2, "other", copy_of("s0")) == (409, "not_consistent")


async def test_COPY_a_primary_that_may_not_answer_reads_is_not_copied(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    controller.deaf = True
    await az2.stop()  # no permit without the arbiter
    await az1.until_session("ses", lambda told: not told["serving"])
    assert await az1.refused("GET", "/v1/volumes/p0/copyable") == (503, "source_not_served")
    assert await refused(az1, "copy", copy_of("p0")) == (503, "source_not_served")
    controller.deaf = False
    await az1.until_session("ses", lambda told: told["serving"])
    await copied(az1, "copy", "p0")
    await host.close()


async def test_COPY_a_full_disk_ends_the_copy_and_leaves_nothing(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    await host.write(0, os.urandom(SIZE))
    az1.faults.write_text(
        json.dumps(
            {"faults": [{"operation": "write", "errno": "ENOSPC", "disk": ".copy-*", "first_byte": 3 * MIB}]}
        )
    )
    answer: Json = {}
    while "error" not in answer:
        answer = (await az1.call("PUT", "/v1/volumes/copy/copy", copy_of("vol"))).json()
        await asyncio.sleep(0.005)
    assert answer["error"] == "copy_failed"
    assert "writing the copy: No space left on device" in answer["message"]
    assert not unfinished(az1.file("vol").parent)
    assert not az1.file("copy").exists()
    await host.write(0, b"x" * 4096)
    az1.faults.unlink()
    await copied(az1, "copy", "vol")  # asked again it is made anew
    assert az1.bytes_at("copy", 0, SIZE) == az1.bytes_at("vol", 0, SIZE)
    await host.close()


async def test_a_source_that_cannot_be_read_ends_the_copy(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    await host.write(0, os.urandom(SIZE))
    az1.faults.write_text(json.dumps({"faults": [{"operation": "read", "errno": "EIO", "disk": "vol"}]}))
    assert await refused(az1, "copy", copy_of("vol")) == (409, "copy_failed")
    assert not unfinished(az1.file("vol").parent)
    await host.close()


class Slow:
    """The copy's disk is held up: what it is to write waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = asyncio.Event()
        write = FaultyDisk.write

        def slow(disk: FaultyDisk, offset: int, data: Any, done: Any) -> int | None:
            if not disk.name.startswith(".copy-") or self.on.is_set():
                return write(disk, offset, data, done)

            async def later() -> None:
                await self.on.wait()
                code = write(disk, offset, data, done)
                if code is not None:
                    done(code)

            self.task = asyncio.create_task(later())
            return None

        monkeypatch.setattr(FaultyDisk, "write", slow)


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(monkeypatch)


async def test_deletions_while_a_copy_is_made(az1: Site, slow: Slow) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    await host.write(0, os.urandom(SIZE))
    assert not (await az1.ask("PUT", "/v1/volumes/copy/copy", copy_of("vol")))["done"]
    directory = az1.file("vol").parent
    await until(lambda: unfinished(directory))
    assert await az1.refused("DELETE", "/v1/volumes/vol") == (409, "being_copied")
    assert await host.read(0, 512) != bytes(512)
    waiting = asyncio.create_task(az1.ask("PUT", "/v1/volumes/second/copy", copy_of("vol")))
    assert not (await waiting)["done"]  # one at a time
    deletion = asyncio.create_task(az1.ask("DELETE", "/v1/volumes/copy"))
    await az1.ask("DELETE", "/v1/volumes/second")
    slow.on.set()
    await deletion
    assert sorted(path.name for path in directory.iterdir()) == ["vol"]
    await host.write(0, b"z" * 4096)
    await az1.ask("DELETE", "/v1/volumes/vol")
    assert not list(directory.iterdir())


async def test_a_source_that_joins_and_leaves_a_pair_meanwhile(
    az1: Site, az2: Site, controller: Controller, slow: Slow
) -> None:
    """What carries the source changes, what the copy is does not."""
    await az1.put_volume("p0", ("at-p0",))
    host = await az1.connect("at-p0")
    content = os.urandom(SIZE)
    await host.write(0, content)
    assert not (await az1.ask("PUT", "/v1/volumes/copy/copy", copy_of("p0")))["done"]
    await until(lambda: unfinished(az1.file("p0").parent))
    await asyncio.sleep(0.05)
    (other,) = await pair_up(az1, az2, controller)
    write = asyncio.create_task(host.write(0, b"n" * 4096))
    await asyncio.sleep(0.05)
    assert not write.done()  # its chunk is not saved yet
    slow.on.set()
    await write
    await copied(az1, "copy", "p0")
    assert az1.bytes_at("copy", 0, SIZE) == content
    await host.write(MIB, b"m" * 4096)
    await host.flush()
    assert az2.bytes_at("s0", 0, 4096) == b"n" * 4096
    assert az2.bytes_at("s0", MIB, 4096) == b"m" * 4096
    await other.close()
    await host.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    it = Process(tmp_path)
    yield it
    it.close()


@pytest.mark.parametrize(
    "seconds", [0.02, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.0, 0.01, 0.04, 0.06, 0.12))]
)
async def test_COPY_a_killed_agent_has_no_half_made_copy(process: Process, seconds: float) -> None:
    """Killed at some moment of it: what is there under the volume's name is whole, and asked again it is made."""
    await asyncio.to_thread(process.start)
    size = 64 * MIB
    await asyncio.to_thread(process.put, "/v1/volumes/vol", volume_body(("name",), size_bytes=size))
    host = await process.connect("name")
    content = os.urandom(size)
    for at in range(0, size, MIB):
        await host.write(at, content[at : at + MIB])
    await host.flush()
    await asyncio.to_thread(process.put, "/v1/volumes/copy/copy", copy_of("vol", size))
    await asyncio.sleep(seconds)
    await asyncio.to_thread(process.end, signal.SIGKILL)
    directory = process.directory / "state" / "volumes"
    if (directory / "copy").exists():
        assert (directory / "copy").read_bytes() == content
    await asyncio.to_thread(process.start)
    assert not unfinished(directory)
    async with asyncio.timeout(60):
        while True:
            answer = await asyncio.to_thread(
                process.http.put, f"{process.control}/v1/volumes/copy/copy", json=copy_of("vol", size)
            )
            if answer.json()["done"]:
                break
            await asyncio.sleep(0.01)
    assert (directory / "copy").read_bytes() == content
    assert (directory / "vol").read_bytes() == content
