"""A volume in a sparse file."""

import errno
import os
from pathlib import Path

from bilocate.site.disks import syscalls
from bilocate.site.disks.descriptor import DescriptorDisk
from bilocate.site.disks.workers import Workers


class FileDisk(DescriptorDisk):
    """A regular file. Zeros are holes where the file system can punch them."""

    def __init__(self, fd: int, path: Path, workers: Workers) -> None:
        super().__init__(fd, path.name, os.fstat(fd).st_size, 1, workers)
        self._fast_punch, self._fast_zero_range = syscalls.probe_fallocate(path.parent)
        self._can_punch = self._can_zero_range = True  # until one is refused

    def zeroes_fast(self, keep_allocated: bool) -> bool:
        return self._fast_zero_range or (self._fast_punch and not keep_allocated)

    def _zero_now(self, offset: int, length: int, keep_allocated: bool) -> int:
        if self._can_punch and not keep_allocated:
            code = syscalls.punch_hole(self._fd, offset, length)
            if code not in syscalls.UNSUPPORTED:
                return code
            self._can_punch = False
        if self._can_zero_range:
            code = syscalls.zero_range(self._fd, offset, length)
            if code not in syscalls.UNSUPPORTED:
                return code
            self._can_zero_range = False
        return syscalls.write_zeros(self._fd, offset, length)

    def resize(self, size_bytes: int) -> int:
        if self._closed:
            return errno.ESHUTDOWN
        if size_bytes < self.size_bytes:
            return errno.EINVAL
        code = syscalls.errno_of(lambda: os.ftruncate(self._fd, size_bytes))
        if code == 0:
            self.size_bytes = size_bytes
        return code
