"""System calls on a descriptor that answer an errno instead of raising, and never do half a job silently."""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path

from bilocate.site.disks.base import Buffer

_FALLOC_FL_KEEP_SIZE = 0x01
_FALLOC_FL_PUNCH_HOLE = 0x02
_FALLOC_FL_ZERO_RANGE = 0x10
_SYNC_FILE_RANGE_WRITE = 2
_BLKZEROOUT = 0x127F
_TMPFS_MAGIC = 0x01021994
_BLKSSZGET = 0x1268

# One pwrite gives the kernel no more than this. It keeps what it is given in pieces of memory as large as the call
# (folios), and ext4 looks at every block of such a piece in each later write into it: behind writes of 1 MiB, one
# of 4 KiB took 13 to 20 us, behind 256 KiB 4.8 to 6.3, behind these 2.6 to 3.3, behind 32 KiB 2.2 to 2.5. Measured on
# Linux 6.18; writing 1 MiB anew took 640 to 940, 240, 245 and 280 us, writing it again 175, 175, 180 and 200.
WRITE_PIECE_BYTES = 64 * 1024

_PROBE_BYTES = 4096
_ZEROS = bytes(1024 * 1024)

# Answers that mean "this file system or device cannot do it", as against "it failed".
UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.ENOTTY})

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_libc.fallocate.restype = ctypes.c_int
_libc.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
_libc.sync_file_range.restype = ctypes.c_int


def fallocate(fd: int, mode: int, offset: int, length: int) -> int:
    """fallocate(2), repeated when a signal came between."""
    while True:
        if _libc.fallocate(fd, mode, offset, length) == 0:
            return 0
        code = ctypes.get_errno()
        if code != errno.EINTR:
            return code


def is_in_memory(fd: int) -> bool:
    """Whether a file is on tmpfs: reading it waits for no disk."""
    told = (ctypes.c_long * 32)()  # struct statfs, which is shorter; its first member is the kind
    return _libc.fstatfs(fd, told) == 0 and told[0] == _TMPFS_MAGIC


def punch_hole(fd: int, offset: int, length: int) -> int:
    """Zero a range and give its space back."""
    return fallocate(fd, _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, length)


def zero_range(fd: int, offset: int, length: int) -> int:
    """Zero a range and keep its space."""
    return fallocate(fd, _FALLOC_FL_ZERO_RANGE | _FALLOC_FL_KEEP_SIZE, offset, length)


def probe_fallocate(directory: Path) -> tuple[bool, bool]:
    """Whether files here can have holes punched and ranges zeroed, tried on a nameless file."""
    try:
        fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return False, False
    try:
        os.ftruncate(fd, _PROBE_BYTES)
        return punch_hole(fd, 0, _PROBE_BYTES) == 0, zero_range(fd, 0, _PROBE_BYTES) == 0
    except OSError:
        return False, False
    finally:
        os.close(fd)


def zero_out(fd: int, offset: int, length: int) -> int:
    """Zero a range of a block device; both numbers multiples of its sector size.

    Not BLKDISCARD: what a discarded sector reads as is the device's choice.
    """
    return errno_of(lambda: fcntl.ioctl(fd, _BLKZEROOUT, struct.pack("=QQ", offset, length)))


def sector_bytes(fd: int) -> int:
    """A block device's logical sector size. Raises OSError."""
    return int(struct.unpack("=i", fcntl.ioctl(fd, _BLKSSZGET, bytes(4)))[0])


def write_all(fd: int, offset: int, data: Buffer) -> int:
    """pwrite(2), a piece at a time, until everything is written."""
    view = memoryview(data)
    try:
        while view:
            written = os.pwrite(fd, view[:WRITE_PIECE_BYTES], offset)
            if written == 0:
                return errno.EIO
            offset += written
            view = view[written:]
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def write_zeros(fd: int, offset: int, length: int) -> int:
    """Write zeros the long way."""
    end = offset + length
    while offset < end:
        part = min(len(_ZEROS), end - offset)
        code = write_all(fd, offset, memoryview(_ZEROS)[:part])
        if code:
            return code
        offset += part
    return 0


def read_exactly(fd: int, offset: int, length: int) -> bytes | bytearray | int:
    """pread(2) of exactly `length` bytes, or an errno; EIO where the file ends before."""
    try:
        data = os.pread(fd, length, offset)
        return data if len(data) == length else _read_rest(fd, offset, length, data)
    except OSError as error:
        return error.errno or errno.EIO
    except MemoryError:
        return errno.ENOMEM


def _read_rest(fd: int, offset: int, length: int, first: bytes) -> bytearray | int:
    data = bytearray(first)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            return errno.EIO
        data += more
    return data


def next_data(fd: int, offset: int, end: int) -> int:
    """Where the first data at or after `offset` begins; `end` when there is none. Raises OSError."""
    try:
        return min(os.lseek(fd, offset, os.SEEK_DATA), end)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return end
        if error.errno == errno.EINVAL:  # this descriptor cannot tell: all of it is data
            return offset
        raise


def next_hole(fd: int, offset: int, end: int) -> int:
    """Where the first hole at or after `offset` begins, at most `end`. Raises OSError."""
    try:
        return min(os.lseek(fd, offset, os.SEEK_HOLE), end)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EINVAL):
            return end
        raise


def begin_write_out(fd: int) -> int:
    """Have the kernel begin to write all that is in memory, without waiting for its end; an errno.

    Not the flags that wait: those would be told of a failed write in place of the next fdatasync.
    """
    return 0 if _libc.sync_file_range(fd, 0, 0, _SYNC_FILE_RANGE_WRITE) == 0 else ctypes.get_errno()


def sync_data(fd: int) -> int:
    """fdatasync(2). When it fails, pages that are not on the disk are dropped from memory.

    They would stay there, marked clean: reads would show what no restart will.
    """
    code = errno_of(lambda: os.fdatasync(fd))
    if code:
        errno_of(lambda: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED))
    return code


def errno_of(call: Callable[[], object]) -> int:
    """The errno with which a call ends, 0 when it does not raise OSError."""
    try:
        call()
    except OSError as error:
        return error.errno or errno.EIO
    return 0
