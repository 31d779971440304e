"""Faults come and go with the file that names them."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.site.disks.driver import DiskDriver, driving

from bilocate.site.disks import create_file, open_disk
from bilocate.site.disks.faulty import parse_faults

MIB = 1024 * 1024


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    return tmp_path / "faults.json"


@pytest.fixture
def driver(tmp_path: Path, faults: Path) -> Iterator[DiskDriver]:
    path = tmp_path / "vol-1.img"
    create_file(path, 4 * MIB)
    with driving(lambda workers: open_disk(path, workers, faults)) as driver:
        yield driver


def inject(file: Path, *faults: dict[str, object]) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps({"faults": faults}))
    os.replace(fresh, file)


def test_writes_fail_while_the_file_says_so(driver: DiskDriver, faults: Path) -> None:
    assert driver.write(0, b"a") == 0
    inject(faults, {"operation": "write", "errno": "ENOSPC"})
    assert driver.write(0, b"b") == errno.ENOSPC
    assert driver.zero(0, 4096) == errno.ENOSPC
    assert driver.read(0, 1) == b"a"
    inject(faults)
    assert driver.write(0, b"c") == 0
    inject(faults, {"operation": "write", "errno": "EIO"})
    assert driver.write(0, b"d") == errno.EIO
    faults.unlink()
    assert driver.write(0, b"d") == 0


def test_reads_and_chunks_fail_in_the_range(driver: DiskDriver, faults: Path) -> None:
    inject(faults, {"operation": "read", "errno": "EIO", "first_byte": MIB, "end_byte": 2 * MIB})
    assert driver.read(0, 4096) == bytes(4096)
    assert driver.read(MIB - 1, 2) == errno.EIO
    assert driver.read(2 * MIB, 4096) == bytes(4096)
    assert driver.read_chunks([0, 16], 4 * MIB) == (errno.EIO, [])
    assert driver.read_chunks([0, 32], 4 * MIB)[0] == 0


def test_flushes_fail_as_often_as_told(driver: DiskDriver, faults: Path) -> None:
    inject(faults, {"operation": "flush", "errno": "EIO", "count": 2})
    assert [driver.flush() for _ in range(3)] == [errno.EIO, errno.EIO, 0]


def test_other_disks_are_left_alone(driver: DiskDriver, faults: Path) -> None:
    inject(faults, {"operation": "write", "errno": "EIO", "disk": "vol-2*"})
    assert driver.write(0, b"a") == 0
    inject(faults, {"operation": "write", "errno": "EIO", "disk": "vol-1*"})
    assert driver.write(0, b"a") == errno.EIO


def test_an_unreadable_file_changes_nothing(driver: DiskDriver, faults: Path) -> None:
    inject(faults, {"operation": "write", "errno": "EIO"})
    assert driver.write(0, b"a") == errno.EIO
    faults.write_text("{")
    assert driver.write(0, b"a") == errno.EIO


@pytest.mark.parametrize(
    "entry", [{"operation": "fly", "errno": "EIO"}, {"operation": "read", "errno": "EWHAT"}]
)
def test_unknown_words_are_refused(entry: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no such"):
        parse_faults(json.dumps({"faults": [entry]}))
