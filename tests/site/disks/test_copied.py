"""A disk that is being copied is a disk like any other, and its copy is what it held at one moment."""

import asyncio
import errno
import json
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

# Of the contract what writes, zeroes and closes: the rest goes straight to the disk.
from tests.site.disks.contract import (
    MIB,
    SIZE,
    test_a_write_after_zeroing_stays,
    test_any_kind_of_buffer_is_written,
    test_closing_leaves_what_is_under_way_its_answer,
    test_empty_reads_and_writes_succeed,
    test_past_the_end_nothing_happens,
    test_unaligned_writes_touch_nothing_else,
    test_what_was_written_is_read,
)
from tests.site.disks.driver import DiskDriver, driving

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.site.disks import CopiedDisk, Disk, Workers, create_file, open_disk

__all__ = [
    "test_a_write_after_zeroing_stays",
    "test_any_kind_of_buffer_is_written",
    "test_closing_leaves_what_is_under_way_its_answer",
    "test_empty_reads_and_writes_succeed",
    "test_past_the_end_nothing_happens",
    "test_unaligned_writes_touch_nothing_else",
    "test_what_was_written_is_read",
]


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[DiskDriver]:
    """Its copy is being made while the contract is tried."""
    for name in ("source", "copy"):
        create_file(tmp_path / name, SIZE)

    def opened(workers: Workers) -> Disk:
        copied = CopiedDisk(
            open_disk(tmp_path / "source", workers), open_disk(tmp_path / "copy", workers), lambda *_: None
        )
        copied.begin(SIZE)
        return copied

    with driving(opened) as it:
        yield it


class Copying:
    """A source with random content, and what comes of its copy."""

    def __init__(self, directory: Path) -> None:
        self.source, self.copy, self.faults = directory / "source", directory / "copy", directory / "faults"
        self.content = bytearray(random.Random(5).randbytes(SIZE))
        self.content[3 * MIB : 5 * MIB] = bytes(2 * MIB)  # a hole
        create_file(self.source, SIZE)
        create_file(self.copy, SIZE)
        with self.source.open("r+b") as file:
            file.write(self.content[: 3 * MIB])
            file.seek(5 * MIB)
            file.write(self.content[5 * MIB :])

    def run(self, story: Callable[["Copying"], Awaitable[None]]) -> None:
        async def told() -> None:
            workers = Workers(threads=4)
            # Without a file of faults it writes at once where it can, as in operation.
            self.disk = open_disk(self.source, workers, self.faults if self.faults.exists() else None)
            self.target = open_disk(self.copy, workers, self.faults)
            self.ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
            self.copied = CopiedDisk(
                self.disk, self.target, lambda code, what: self.ended.set_result((code, what))
            )
            try:
                async with asyncio.timeout(60):
                    await story(self)
            finally:
                self.disk.close()
                self.target.close()
                workers.close()
                workers.join()

        asyncio.run(told())

    async def write(self, offset: int, data: bytes | memoryview) -> int:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        code = self.copied.write_now(offset, data)
        if code is None:
            code = self.copied.write(offset, data, done.set_result)
        return await done if code is None else code

    async def zero(self, offset: int, length: int) -> int:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        code = self.copied.zero(offset, length, False, done.set_result)
        return await done if code is None else code

    def fail(self, operation: str, code: str, disk: str) -> None:
        self.faults.write_text(
            json.dumps({"faults": [{"operation": operation, "errno": code, "disk": disk}]})
        )


@pytest.fixture
def copying(tmp_path: Path) -> Copying:
    return Copying(tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_COPY_it_is_what_was_there_at_the_moment_however_much_is_written_after(
    copying: Copying, seed: int
) -> None:
    async def story(it: Copying) -> None:
        chosen = random.Random(seed)
        it.copied.begin(SIZE)
        now = bytearray(it.content)
        lanes = []

        async def write_on(lane: int) -> None:
            """In a quarter of its own: what is there in the end is known."""
            while not it.ended.done():
                length = chosen.choice([512, 4096, 70_000, MIB])
                offset = lane * SIZE // 4 + chosen.randrange(SIZE // 4 - length + 1)
                if chosen.random() < 0.2:
                    assert await it.zero(offset, length) == 0
                    now[offset : offset + length] = bytes(length)
                else:
                    data = chosen.randbytes(length)
                    assert await it.write(offset, data) == 0
                    now[offset : offset + length] = data
                await asyncio.sleep(0)

        lanes = [asyncio.create_task(write_on(lane)) for lane in range(4)]
        assert await it.ended == (0, "")
        await asyncio.gather(*lanes)
        assert it.copy.read_bytes() == it.content
        assert it.source.read_bytes() == now != it.content

    copying.run(story)


def test_holes_stay_holes(copying: Copying) -> None:
    async def story(it: Copying) -> None:
        it.copied.begin(SIZE)
        assert await it.ended == (0, "")
        assert it.copy.read_bytes() == it.content

    copying.run(story)
    assert copying.copy.stat().st_blocks <= copying.source.stat().st_blocks < SIZE // 512


def test_zeroing_all_of_it_waits_and_takes_nothing_from_the_copy(copying: Copying) -> None:
    async def story(it: Copying) -> None:
        it.copied.begin(SIZE)
        assert await it.zero(0, SIZE) == 0
        assert await it.ended == (0, "")
        assert it.source.read_bytes() == bytes(SIZE)
        assert it.copy.read_bytes() == it.content

    copying.run(story)


def test_COPY_writes_wait_for_the_moment_and_are_not_in_the_copy(copying: Copying) -> None:
    async def story(it: Copying) -> None:
        data = bytearray(b"new!" * 1024)
        transient = asyncio.create_task(it.write(CHUNK_BYTES, memoryview(data)))
        await asyncio.sleep(0.05)
        assert not transient.done()
        assert it.source.read_bytes() == it.content
        data[:] = bytes(4096)  # a view is good for the time of the call only
        it.copied.begin(SIZE)
        assert await transient == 0
        assert await it.ended == (0, "")
        assert it.source.read_bytes()[CHUNK_BYTES : CHUNK_BYTES + 4096] == b"new!" * 1024
        assert it.copy.read_bytes() == it.content

    copying.run(story)


def test_who_waits_for_writes_under_way_is_called_behind_the_last(copying: Copying) -> None:
    async def story(it: Copying) -> None:
        written: list[str] = []
        big = bytes(2 * MIB)  # goes to a thread
        for number in range(3):
            assert it.disk.write(number * 2 * MIB, big, lambda code: written.append("write")) is None
        rest: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def at_rest() -> None:
            written.append("rest")
            rest.set_result(None)

        it.copied.when_written(at_rest)
        await rest
        assert written == ["write"] * 3 + ["rest"]
        again: list[bool] = []
        it.copied.when_written(lambda: again.append(True))
        assert again  # at once

    copying.run(story)


@pytest.mark.parametrize(
    ("operation", "code", "disk", "what"),
    [
        ("read", "EIO", "source", "reading the source"),
        ("write", "ENOSPC", "copy", "writing the copy"),
    ],
)
def test_a_copy_that_fails_frees_the_writes_that_wait(
    copying: Copying, operation: str, code: str, disk: str, what: str
) -> None:
    copying.fail(operation, code, disk)

    async def story(it: Copying) -> None:
        waiting = asyncio.create_task(it.write(0, b"x" * 4096))
        await asyncio.sleep(0)
        it.copied.begin(SIZE)
        assert await it.ended == (getattr(errno, code), what)
        assert await waiting == 0
        it.faults.unlink()
        assert await it.write(4 * MIB, b"y" * 4096) == 0
        assert it.source.read_bytes()[:4096] == b"x" * 4096

    copying.run(story)


def test_a_copy_that_is_given_up_ends_once(copying: Copying) -> None:
    async def story(it: Copying) -> None:
        it.copied.begin(SIZE)
        waiting = [asyncio.create_task(it.write(at * MIB, b"x" * 4096)) for at in range(8)]
        await asyncio.sleep(0)
        it.copied.give_up(errno.ECANCELED, "enough")
        it.copied.give_up(errno.EIO, "no second end")
        assert await it.ended == (errno.ECANCELED, "enough")
        assert await asyncio.gather(*waiting) == [0] * 8

    copying.run(story)


def test_what_the_source_grows_by_is_not_in_the_copy(copying: Copying) -> None:
    async def story(it: Copying) -> None:
        it.copied.begin(SIZE)
        assert it.copied.resize(2 * SIZE) == 0
        assert it.copied.size_bytes == 2 * SIZE
        assert await it.write(SIZE, b"x" * MIB) == 0
        assert await it.ended == (0, "")
        assert it.copy.read_bytes() == it.content

    copying.run(story)
