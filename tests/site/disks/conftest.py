"""Places for disks: plain files, and with root a loop device and a small file system of the old kind."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here: {done.stderr.strip()}")
    return done.stdout.strip()


def _need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root for loop devices")


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[Path]:
    """A block device of 8 MiB of zeros."""
    _need_root()
    backing = tmp_path / "backing.img"
    with backing.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    device = Path(_run("losetup", "--find", "--show", backing))
    yield device
    subprocess.run(["losetup", "--detach", str(device)], check=True, timeout=60)


@pytest.fixture
def ext2_directory(tmp_path: Path) -> Iterator[Path]:
    """A directory on ext2, which has no extents and cannot zero ranges, 24 MiB large."""
    _need_root()
    image, directory = tmp_path / "ext2.img", tmp_path / "ext2"
    with image.open("wb") as file:
        file.truncate(24 * 1024 * 1024)
    directory.mkdir()
    _run("mkfs.ext2", "-q", image)
    _run("mount", "-o", "loop", image, directory)
    yield directory
    subprocess.run(["umount", str(directory)], check=True, timeout=60)
