"""What files do beyond the contract: space, locks, sizes, and errors of the system."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.site.disks.driver import DiskDriver, driving

from bilocate.site.disks import Disk, Workers, create_file, delete_file, open_disk, syscalls
from bilocate.site.disks.errors import DiskExists, DiskInUse, DiskKindUnknown, DiskNotFound, DiskUnavailable
from bilocate.site.long_payload import LongPayload
from bilocate.site.pipes import Piped

MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "volume.img"
    create_file(path, 4 * MIB)
    return path


def used_bytes(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_a_new_file_is_sparse_and_private(path: Path) -> None:
    assert used_bytes(path) == 0
    assert path.stat().st_size == 4 * MIB
    assert path.stat().st_mode & 0o777 == 0o600


def test_opening_leaves_no_space_taken(path: Path) -> None:
    with driving(lambda workers: open_disk(path, workers)):
        assert used_bytes(path) == 0


def test_an_existing_file_is_never_made_anew(path: Path) -> None:
    with pytest.raises(DiskExists):
        create_file(path, MIB)
    assert path.stat().st_size == 4 * MIB


def test_a_file_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(DiskUnavailable, match="No such file"):
        create_file(tmp_path / "missing" / "volume.img", MIB)


def test_deleting_twice_is_well(path: Path) -> None:
    delete_file(path)
    delete_file(path)
    assert not path.exists()


def test_zeroing_gives_space_back_unless_told_to_keep_it(path: Path) -> None:
    with driving(lambda workers: open_disk(path, workers)) as driver:
        driver.write(0, b"x" * 2 * MIB)
        driver.flush()
        taken = used_bytes(path)
        assert driver.zero(0, MIB, keep_allocated=True) == 0
        assert used_bytes(path) >= taken - 4096
        assert driver.zero(0, MIB) == 0
        assert used_bytes(path) <= taken - MIB + 65536


def test_holes_are_told(path: Path) -> None:
    with driving(lambda workers: open_disk(path, workers)) as driver:
        driver.write(MIB, b"x" * MIB)
        hole, data = (MIB, True, True), (MIB, False, False)
        assert driver.block_status(0, 3 * MIB) == (0, [hole, data, hole])
        assert driver.zero(MIB, MIB) == 0
        assert driver.block_status(0, 4 * MIB) == (0, [(4 * MIB, True, True)])


def test_holes_are_not_read_for_chunks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(fd: int, offset: int, length: int) -> int:
        return errno.EIO

    monkeypatch.setattr(syscalls, "read_exactly", never)
    with driving(lambda workers: open_disk(path, workers)) as driver:
        code, contents = driver.read_chunks(range(64), 4 * MIB)
        assert code == 0
        assert all(content.data is None for content in contents)


def test_growing_shows_zeros_behind_the_old_end(path: Path) -> None:
    with driving(lambda workers: open_disk(path, workers)) as driver:
        driver.write(4 * MIB - 4, b"tail")
        assert driver.disk.resize(6 * MIB) == 0
        assert driver.read(4 * MIB - 4, 8) == b"tail" + bytes(4)
        assert driver.write(6 * MIB - 1, b"e") == 0
    assert path.stat().st_size == 6 * MIB


def test_a_second_opening_is_refused_also_by_another_process(path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from bilocate.site.disks import Workers, open_disk\n"
        "from bilocate.site.disks.errors import DiskInUse\n"
        "async def main():\n"
        "    try:\n"
        "        open_disk(pathlib.Path(sys.argv[1]), Workers())\n"
        "    except DiskInUse:\n"
        "        print('refused')\n"
        "asyncio.run(main())\n"
    )
    with driving(lambda workers: open_disk(path, workers)) as driver:

        async def again() -> None:
            with pytest.raises(DiskInUse):
                open_disk(path, Workers())

        driver.loop.run_until_complete(again())
        done = subprocess.run(
            [sys.executable, "-c", script, path], capture_output=True, text=True, timeout=60
        )
        assert done.stdout == "refused\n", done.stderr
    with driving(lambda workers: open_disk(path, workers)) as driver:
        assert driver.read(0, 1) == b"\0"


def test_what_is_no_disk_is_refused(tmp_path: Path) -> None:
    def attempt(path: Path) -> Disk:
        with driving(lambda workers: open_disk(path, workers)) as driver:
            return driver.disk

    with pytest.raises(DiskKindUnknown):
        attempt(tmp_path)
    with pytest.raises(DiskKindUnknown):
        attempt(Path("/dev/null"))
    with pytest.raises(DiskNotFound):
        attempt(tmp_path / "missing")


def test_short_writes_and_reads_are_completed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, pread = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, memoryview(data)[:1000], offset))
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: pread(fd, min(length, 1000), offset))
    monkeypatch.setattr("bilocate.site.disks.descriptor.LOOP_READ_BYTES_MAX", -1)
    data = os.urandom(10_000)
    with driving(lambda workers: open_disk(path, workers)) as driver:
        assert driver.write(5, data) == 0
        assert driver.read(5, 10_000) == data
        assert driver.write(0, data * 50) == 0  # in a thread
        assert driver.read(0, 500_000) == data * 50


def test_the_kernel_gets_long_writes_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, lengths = os.pwrite, []

    def spied(fd: int, data: memoryview, offset: int) -> int:
        lengths.append(len(data))
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", spied)
    data = os.urandom(3 * MIB + 5)
    with driving(lambda workers: open_disk(path, workers)) as driver:
        assert driver.write(7, data[:MIB]) == 0
        assert driver.read(7, MIB) == data[:MIB]
        assert lengths == [syscalls.WRITE_PIECE_BYTES] * 16
        assert driver.write(3, data) == 0  # in a thread
        assert driver.read(3, len(data)) == data
    assert max(lengths) == syscalls.WRITE_PIECE_BYTES


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_errors_of_a_write_are_answered_even_behind_a_part(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    pwrite = os.pwrite

    def failing(fd: int, data: memoryview, offset: int) -> int:
        if offset:
            raise OSError(code, "injected")
        return pwrite(fd, memoryview(data)[:100], offset)

    monkeypatch.setattr(os, "pwrite", failing)
    with driving(lambda workers: open_disk(path, workers)) as driver:
        assert driver.write(0, b"x" * 4096) == code
        assert driver.write(0, b"x" * MIB) == code


def test_a_file_cut_short_from_outside_answers_eio(path: Path) -> None:
    with driving(lambda workers: open_disk(path, workers)) as driver:
        os.truncate(path, MIB)
        assert driver.read(MIB - 4096, 8192) == errno.EIO
        assert driver.read_chunks([0, 63], 4 * MIB)[0] in (0, errno.EIO)


def test_a_flush_that_failed_fails_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fdatasync = os.fdatasync

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "injected")

    with driving(lambda workers: open_disk(path, workers)) as driver:
        monkeypatch.setattr(os, "fdatasync", failing)
        assert driver.flush() == errno.EIO
        monkeypatch.setattr(os, "fdatasync", fdatasync)
        assert driver.flush() == errno.EIO
    with driving(lambda workers: open_disk(path, workers)) as driver:
        assert driver.flush() == 0


def become_slow(driver: DiskDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two slow writes: the next ones go to threads."""
    monkeypatch.setattr("bilocate.site.disks.descriptor.SLOW_WRITE_SECONDS", -1.0)
    for _ in range(2):  # one may have waited for a CPU
        assert driver.disk.write(0, b"x", lambda code: None) == 0


def test_after_two_slow_writes_the_next_go_to_threads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with driving(lambda workers: open_disk(path, workers)) as driver:
        assert driver.disk.write(0, b"x", lambda code: None) == 0
        become_slow(driver, monkeypatch)
        answers: list[int] = []
        assert driver.disk.write(0, b"y", answers.append) is None
        driver.wait_until(lambda: answers == [0])


def test_a_view_of_a_buffer_that_is_used_again_is_copied_for_a_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with driving(lambda workers: open_disk(path, workers)) as driver:
        become_slow(driver, monkeypatch)
        buffer = bytearray(b"came")
        answers: list[int] = []
        assert driver.disk.write_now(0, memoryview(buffer)) is None
        assert driver.disk.write(0, memoryview(buffer), answers.append) is None
        buffer[:] = b"next"
        driver.wait_until(lambda: answers == [0])
        assert driver.read(0, 4) == b"came"


def test_what_never_came_to_memory_is_written_in_a_thread_where_a_disk_is_slow(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with driving(lambda workers: open_disk(path, workers)) as driver:
        become_slow(driver, monkeypatch)
        payload = LongPayload(MIB, memoryview(b"y" * MIB), 0).data
        assert isinstance(payload, Piped)
        answers: list[int] = []
        assert driver.disk.write_now(0, payload) is None
        assert driver.disk.write(0, payload, answers.append) is None
        driver.wait_until(lambda: answers == [0])
        assert driver.read(0, MIB) == b"y" * MIB


@pytest.mark.root
def test_a_full_file_system_answers_enospc_and_goes_on(ext2_directory: Path) -> None:
    path = ext2_directory / "volume.img"
    create_file(path, 64 * MIB)
    with driving(lambda workers: open_disk(path, workers)) as driver:
        codes = [driver.write(number * MIB, b"x" * MIB) for number in range(64)]
        full = codes.index(errno.ENOSPC)
        assert codes[:full] == [0] * full
        assert set(codes[full:]) == {errno.ENOSPC}
        assert driver.zero(63 * MIB, MIB, keep_allocated=True) == errno.ENOSPC
        assert driver.read(0, full * MIB) == b"x" * full * MIB
        assert driver.write(0, b"y" * MIB) == 0
        assert driver.flush() == 0


@pytest.fixture
def written_out(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that the kernel was asked to write out, as if on a file system with a medium."""
    asked: list[int] = []
    begin = syscalls.begin_write_out

    def asking(fd: int) -> int:
        asked.append(fd)
        return begin(fd)

    monkeypatch.setattr(syscalls, "begin_write_out", asking)
    monkeypatch.setattr(syscalls, "is_in_memory", lambda fd: False)
    return asked


def test_writing_out_is_begun_once_at_a_time_and_breaks_no_flush(path: Path, written_out: list[int]) -> None:
    with driving(lambda workers: open_disk(path, workers)) as driver:
        driver.write(0, b"x" * MIB)
        for _ in range(5):
            driver.disk.begin_write_out()  # the loop does not turn meanwhile
        assert driver.flush() == 0
        assert len(written_out) == 1
        driver.begin_write_out()
        assert driver.flush() == 0
        assert len(written_out) == 2
    assert path.read_bytes()[:MIB] == b"x" * MIB


def test_what_is_in_memory_is_not_written_out(
    path: Path, written_out: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syscalls, "is_in_memory", lambda fd: True)
    with driving(lambda workers: open_disk(path, workers)) as driver:
        driver.begin_write_out()
        assert driver.flush() == 0
    assert written_out == []


def test_the_kernel_takes_the_call(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    assert syscalls.begin_write_out(fd) == 0
    os.close(fd)
    assert syscalls.begin_write_out(fd) == errno.EBADF
