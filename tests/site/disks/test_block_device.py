"""What block devices do beyond the contract."""

from pathlib import Path

import pytest
from tests.site.disks.driver import driving

from bilocate.site.disks import open_disk, syscalls
from bilocate.site.disks.errors import DiskInUse

pytestmark = pytest.mark.root
MIB = 1024 * 1024


def test_zeroing_takes_the_device_path_and_keeps_unflushed_neighbours(
    loop_device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    punch = syscalls.punch_hole

    def recording(fd: int, offset: int, length: int) -> int:
        seen.append((offset, length))
        return punch(fd, offset, length)

    monkeypatch.setattr(syscalls, "punch_hole", recording)
    with driving(lambda workers: open_disk(loop_device, workers)) as driver:
        assert driver.write(0, b"x" * MIB) == 0
        assert driver.zero(100, 100_000) == 0
        assert driver.read(0, MIB) == b"x" * 100 + bytes(100_000) + b"x" * (MIB - 100_100)
    assert seen == [(4096, 94208)]


def test_data_is_on_the_device_after_a_flush(loop_device: Path) -> None:
    with driving(lambda workers: open_disk(loop_device, workers)) as driver:
        assert driver.write(MIB, b"z" * 4096) == 0
        assert driver.flush() == 0
    with loop_device.open("rb") as device:
        device.seek(MIB)
        assert device.read(4096) == b"z" * 4096


def test_a_device_in_use_is_refused(loop_device: Path) -> None:
    with (
        driving(lambda workers: open_disk(loop_device, workers)),
        pytest.raises(DiskInUse),
        driving(lambda workers: open_disk(loop_device, workers)),
    ):
        pass


def test_the_sector_size_is_told(loop_device: Path) -> None:
    with driving(lambda workers: open_disk(loop_device, workers)) as driver:
        assert driver.disk.min_block_bytes == 512
