"""A volume on a block device."""

import errno
import os

from bilocate.site.disks import syscalls
from bilocate.site.disks.descriptor import DescriptorDisk
from bilocate.site.disks.workers import Workers

# Zeroing by the device drops the pages it covers from the cache. Edges within a page are written instead, so
# that no write to a neighbour in the same page is touched. Also a multiple of every sector size there is.
_PAGE_BYTES = 4096


class BlockDeviceDisk(DescriptorDisk):
    """A block device through the page cache, as a file is. Its size is its owner's affair."""

    _loop_zero_bytes_max = 0  # a zeroing goes to the device and waits for it

    def __init__(self, fd: int, name: str, workers: Workers) -> None:
        super().__init__(fd, name, os.lseek(fd, 0, os.SEEK_END), syscalls.sector_bytes(fd), workers)
        self._can_punch = True
        self._can_zero_out = True

    def zeroes_fast(self, keep_allocated: bool) -> bool:
        return False  # the kernel falls back to writing zeros without saying so

    def _zero_now(self, offset: int, length: int, keep_allocated: bool) -> int:
        first = -(-offset // _PAGE_BYTES) * _PAGE_BYTES
        last = (offset + length) // _PAGE_BYTES * _PAGE_BYTES
        if first >= last:
            return syscalls.write_zeros(self._fd, offset, length)
        return (
            syscalls.write_zeros(self._fd, offset, first - offset)
            or self._zero_pages(first, last - first, keep_allocated)
            or syscalls.write_zeros(self._fd, last, offset + length - last)
        )

    def _zero_pages(self, offset: int, length: int, keep_allocated: bool) -> int:
        # Punching a block device zeroes it by a command that is bound to read zeros after, and gives the
        # space back; where the device has none the kernel refuses, and does nothing.
        if self._can_punch and not keep_allocated:
            code = syscalls.punch_hole(self._fd, offset, length)
            if code not in syscalls.UNSUPPORTED:
                return code
            self._can_punch = False
        if self._can_zero_out:
            code = syscalls.zero_out(self._fd, offset, length)
            if code not in syscalls.UNSUPPORTED:
                return code
            self._can_zero_out = False
        return syscalls.write_zeros(self._fd, offset, length)

    def resize(self, size_bytes: int) -> int:
        """Take over the size the device was grown to: ENOSPC when it is smaller than `size_bytes`."""
        if self._closed:
            return errno.ESHUTDOWN
        if size_bytes < self.size_bytes:
            return errno.EINVAL
        found = os.lseek(self._fd, 0, os.SEEK_END)
        if found < size_bytes:
            return errno.ENOSPC
        self.size_bytes = found
        return 0
