"""A volume in no session: hosts' requests against its disk."""

import asyncio
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.site.disks.driver import DiskDriver, driving

from bilocate.replication.requests import Op, Request
from bilocate.site.disks import DiskTarget, create_file, open_disk
from bilocate.site.disks.base import ErrnoDone
from bilocate.site.disks.file import FileDisk

MIB = 1024 * 1024


class Host:
    """A connection that counts how often it was told to read on."""

    def __init__(self) -> None:
        self.resumed = 0

    def disconnect(self, reason: str) -> None:
        """Not of interest here."""

    def resume_reading(self) -> None:
        self.resumed += 1


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[DiskDriver]:
    path = tmp_path / "volume.img"
    create_file(path, 16 * MIB)
    with driving(lambda workers: open_disk(path, workers)) as opened:
        yield opened


def ask(
    driver: DiskDriver, target: DiskTarget, op: Op, offset: int, length: int, data: bytes = b""
) -> Request:
    """Submit and wait; `request.errno` has the answer."""

    async def run() -> Request:
        answered: asyncio.Future[int] = driver.loop.create_future()
        request = Request(op, offset, length, lambda _, code: answered.set_result(code), data)
        target.submit(request)
        request.errno = await asyncio.wait_for(answered, 30)
        return request

    return driver.loop.run_until_complete(run())


def test_every_operation_reaches_the_disk(driver: DiskDriver) -> None:
    target = DiskTarget(driver.disk)
    long = b"l" * (3 * MIB)
    assert ask(driver, target, Op.WRITE, 0, len(long), long).errno == 0
    assert ask(driver, target, Op.WRITE, 4096, 3, b"abc").errno == 0
    assert bytes(ask(driver, target, Op.READ, 4095, 5).payload) == b"labcl"
    assert bytes(ask(driver, target, Op.READ, 0, len(long)).payload)[4099:] == long[4099:]
    assert ask(driver, target, Op.ZERO, 0, MIB).errno == 0
    assert bytes(ask(driver, target, Op.READ, 0, MIB).payload) == bytes(MIB)
    assert ask(driver, target, Op.FLUSH, 0, 0).errno == 0


def test_errors_are_answered(driver: DiskDriver) -> None:
    target = DiskTarget(driver.disk)
    assert ask(driver, target, Op.WRITE, 16 * MIB, 1, b"x").errno == errno.ENOSPC
    assert ask(driver, target, Op.READ, 16 * MIB, 1).errno == errno.EINVAL
    driver.disk.close()
    assert ask(driver, target, Op.ZERO, 0, 1).errno == errno.ESHUTDOWN
    assert ask(driver, target, Op.FLUSH, 0, 0).errno == errno.ESHUTDOWN


@pytest.mark.parametrize("length", [512, 3 * MIB])
@pytest.mark.parametrize("op", [Op.WRITE, Op.ZERO])
def test_fua_is_answered_behind_a_flush(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch, op: Op, length: int
) -> None:
    assert isinstance(driver.disk, FileDisk)
    target, waiting, answers = DiskTarget(driver.disk), list[ErrnoDone](), list[int]()
    monkeypatch.setattr(driver.disk, "flush", waiting.append)
    request = Request(op, 0, length, lambda _, code: answers.append(code), bytes(length), fua=True)
    driver.loop.call_soon(target.submit, request)
    driver.wait_until(lambda: len(waiting) == 1)
    assert answers == []
    waiting[0](errno.EIO)
    assert answers == [errno.EIO]


def test_it_is_busy_past_its_bound_and_says_when_no_more(driver: DiskDriver) -> None:
    target, host, answers = DiskTarget(driver.disk, unanswered_bytes_max=4 * MIB), Host(), list[int]()
    target.opened(host)

    def submit() -> None:
        for number in range(3):
            data = bytes(2 * MIB)
            request = Request(
                Op.WRITE, number * 2 * MIB, len(data), lambda _, code: answers.append(code), data
            )
            target.submit(request)
        assert target.busy()

    driver.loop.call_soon(submit)
    driver.wait_until(lambda: len(answers) == 3)
    assert not target.busy()
    assert host.resumed == 1
    target.closed(host)
    assert target.connections == set()


def test_its_size_follows_the_disk(driver: DiskDriver) -> None:
    target = DiskTarget(driver.disk)
    assert driver.disk.resize(32 * MIB) == 0
    assert target.size_bytes == 32 * MIB
