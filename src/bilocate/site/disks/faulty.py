"""A disk that fails on demand, for tests. In operation it is not there.

The faults are in a small JSON file, read again whenever it changes; without the file there are none:

    {"faults": [{"operation": "write", "errno": "EIO", "disk": "vol-1*", "first_byte": 0, "end_byte": 4096,
                 "count": 3}]}

`operation`: write (zeroing too), read (chunks too) or flush. `disk`: a pattern of the disk's name, all when
missing. `first_byte`, `end_byte`: a range that must be touched, everything when missing; not used by flush.
`count`: how often, without end when missing; counted anew when the file changes.
"""

import asyncio
import errno
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import structlog

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.site.disks.base import Buffer, ChunksDone, Disk, ErrnoDone, Payload, ReadDone
from bilocate.site.disks.wrapped import WrappedDisk

log = structlog.get_logger()

_OPERATIONS = ("write", "read", "flush")


@dataclass(slots=True)
class Fault:
    """One line of the file. `left` is None when the fault does not wear off."""

    operation: str
    errno: int
    disk: str = "*"
    first_byte: int = 0
    end_byte: int | None = None
    left: int | None = None

    def hits(self, operation: str, disk: str, offset: int, length: int) -> bool:
        """Whether it strikes this operation; counts when it does."""
        if self.operation != operation or self.left == 0 or not fnmatchcase(disk, self.disk):
            return False
        if operation != "flush":
            before_end = self.end_byte is None or offset < self.end_byte
            if not before_end or offset + length <= self.first_byte:
                return False
        if self.left is not None:
            self.left -= 1
        return True


def parse_faults(text: str) -> list[Fault]:
    """The faults of a file's text. Raises ValueError."""
    document: Any = json.loads(text)
    faults = []
    for entry in document["faults"]:
        code = getattr(errno, entry["errno"], None)
        if entry["operation"] not in _OPERATIONS or not isinstance(code, int):
            raise ValueError(f"no such operation or errno: {entry}")
        faults.append(
            Fault(
                entry["operation"],
                code,
                entry.get("disk", "*"),
                entry.get("first_byte", 0),
                entry.get("end_byte"),
                entry.get("count"),
            )
        )
    return faults


class FaultyDisk(WrappedDisk):
    """Another disk, but for the faults in a file."""

    def __init__(self, disk: Disk, faults_file: Path) -> None:
        super().__init__(disk)
        self._file = faults_file
        self._version: tuple[int, int, int] | None = None
        self._faults: list[Fault] = []

    def _errno(self, operation: str, offset: int = 0, length: int = 0) -> int:
        self._reload()
        for fault in self._faults:
            if fault.hits(operation, self.name, offset, length):
                return fault.errno
        return 0

    def _reload(self) -> None:
        try:
            found = self._file.stat()
        except OSError:
            self._version, self._faults = None, []
            return
        version = (found.st_mtime_ns, found.st_ino, found.st_size)
        if version == self._version:
            return
        try:
            self._faults = parse_faults(self._file.read_text())
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Half-written perhaps; its writer changes it again. Until then nothing changes.
            log.warning("faults_unreadable", file=str(self._file), error=str(error))
        self._version = version

    def write(self, offset: int, data: Payload, done: ErrnoDone) -> int | None:
        return self._errno("write", offset, len(data)) or self._disk.write(offset, data, done)

    def zero(self, offset: int, length: int, keep_allocated: bool, done: ErrnoDone) -> int | None:
        return self._errno("write", offset, length) or self._disk.zero(offset, length, keep_allocated, done)

    def read(self, offset: int, length: int, done: ReadDone) -> Buffer | int | None:
        return self._errno("read", offset, length) or self._disk.read(offset, length, done)

    def flush(self, done: ErrnoDone) -> None:
        code = self._errno("flush")
        if code:
            asyncio.get_running_loop().call_soon(done, code)
        else:
            self._disk.flush(done)

    def read_chunks(self, chunks: Sequence[int], size_bytes: int, done: ChunksDone) -> None:
        for chunk in chunks:
            code = self._errno("read", chunk * CHUNK_BYTES, CHUNK_BYTES)
            if code:
                asyncio.get_running_loop().call_soon(done, code, [])
                return
        self._disk.read_chunks(chunks, size_bytes, done)
