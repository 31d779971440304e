"""Opening and making disks. These calls block (for as long as a directory's fsync takes)."""

import errno
import fcntl
import os
import stat
from pathlib import Path

from bilocate.site.disks.base import Disk
from bilocate.site.disks.block_device import BlockDeviceDisk
from bilocate.site.disks.errors import DiskExists, DiskInUse, DiskKindUnknown, DiskNotFound, DiskUnavailable
from bilocate.site.disks.faulty import FaultyDisk
from bilocate.site.disks.file import FileDisk
from bilocate.site.disks.workers import Workers


def open_disk(path: Path, workers: Workers, faults: Path | None = None) -> Disk:
    """Open a file or a block device for this process alone.

    `faults`: a file of faults to inject (faulty.py), for tests of a whole agent; None in operation.
    Raises DiskNotFound, DiskInUse, DiskKindUnknown, DiskUnavailable.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        elif stat.S_ISBLK(mode):
            # On a device O_EXCL is the kernel's own lock: mounted or opened by another means EBUSY.
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_EXCL)
        else:
            raise DiskKindUnknown(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENXIO):
            raise DiskNotFound(path) from None
        if error.errno == errno.EBUSY:
            raise DiskInUse(path) from None
        raise DiskUnavailable(path, error) from error
    disk = _take(fd, path, stat.S_ISREG(mode), workers)
    return FaultyDisk(disk, faults) if faults is not None else disk


def _take(fd: int, path: Path, regular: bool, workers: Workers) -> Disk:
    """Lock what was opened, and make a disk of it."""
    try:
        # Two agents on one directory (one of them stopped, not dead) must not both write.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if regular:
            return FileDisk(fd, path, workers)
        return BlockDeviceDisk(fd, path.name, workers)
    except OSError as error:
        os.close(fd)
        if error.errno == errno.EWOULDBLOCK:
            raise DiskInUse(path) from None
        raise DiskUnavailable(path, error) from error


def create_file(path: Path, size_bytes: int) -> None:
    """Make a sparse file of zeros, durably (0600). Raises DiskExists, DiskUnavailable."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise DiskExists(path) from None
    except OSError as error:
        raise DiskUnavailable(path, error) from error
    try:
        os.ftruncate(fd, size_bytes)
        os.fsync(fd)
        _sync_directory(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise DiskUnavailable(path, error) from error
    finally:
        os.close(fd)


def publish_file(path: Path, name: Path) -> None:
    """Give a file of the same directory, which is whole and flushed, its name, durably. Raises DiskUnavailable."""
    try:
        path.rename(name)
        _sync_directory(name.parent)
    except OSError as error:
        raise DiskUnavailable(name, error) from error


def delete_file(path: Path) -> None:
    """Remove a volume's file, durably; it need not be there. Raises DiskUnavailable."""
    try:
        path.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as error:
        raise DiskUnavailable(path, error) from error


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
