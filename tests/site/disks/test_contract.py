"""The contract, on every backend there is."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.site.disks.contract import *  # noqa: F403
from tests.site.disks.contract import SIZE
from tests.site.disks.driver import DiskDriver, driving

from bilocate.site.disks import create_file, open_disk, syscalls

BACKENDS = [
    "file",
    "file_without_fallocate",
    "file_without_punch",
    "file_without_nowait",
    "faulty_without_faults",
    pytest.param("ext2_file", marks=pytest.mark.root),
    pytest.param("block_device", marks=pytest.mark.root),
    pytest.param("block_device_without_punch", marks=pytest.mark.root),
]


def refused(fd: int, offset: int, length: int) -> int:
    return errno.EOPNOTSUPP


@pytest.fixture(params=BACKENDS)
def driver(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DiskDriver]:
    backend: str = request.param
    faults = tmp_path / "faults.json" if backend == "faulty_without_faults" else None
    if backend.endswith(("without_fallocate", "without_punch")):
        monkeypatch.setattr(syscalls, "punch_hole", refused)
    if backend in ("file_without_fallocate", "block_device_without_punch"):
        monkeypatch.setattr(syscalls, "zero_range", refused)
    if backend == "file_without_nowait":
        monkeypatch.setattr("bilocate.site.disks.descriptor.LOOP_READ_BYTES_MAX", -1)
        monkeypatch.setattr("bilocate.site.disks.descriptor.LOOP_WRITE_BYTES_MAX", -1)
    if backend.startswith("block_device"):
        path: Path = request.getfixturevalue("loop_device")
    else:
        directory = request.getfixturevalue("ext2_directory") if backend == "ext2_file" else tmp_path
        path = directory / "volume.img"
        create_file(path, SIZE)
    with driving(lambda workers: open_disk(path, workers, faults)) as opened:
        yield opened
