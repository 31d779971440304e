"""A volume in memory behind the NBD server, with the knobs that tests turn."""

import errno
from collections.abc import Callable, Sequence

from bilocate.replication.requests import Op, Request
from bilocate.site.target import Allocation, BlockTarget, HostConnection

EXPORT = "secret-export"


class MemoryTarget:
    """Answers at once; or keeps requests in `held` while `holding` is set."""

    def __init__(self, size_bytes: int = 1024 * 1024) -> None:
        self.size_bytes = size_bytes
        self.read_only = False
        self.takes_unread = False
        self.min_block_bytes = 1
        self.preferred_block_bytes = 4096
        self.data = bytearray(size_bytes)
        self.holding = False
        self.held: list[Request] = []
        self.seen: list[tuple[Op, int, int, bool, bool]] = []
        self.fails_with = 0
        self.is_busy = False
        self.is_fast = True
        self.raises = False
        self.batches = 0
        self.flushes = 0
        self.connections: list[HostConnection] = []
        self.status: list[Allocation] = [(4096, False, False), (4096, True, True), (size_bytes, False, False)]

    def submit_all(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self.submit(request)

    def submit(self, request: Request) -> None:
        if self.raises:
            raise RuntimeError("injected")
        self.seen.append((request.op, request.offset, request.length, request.fua, request.keep_allocated))
        if self.holding:
            self.held.append(request)
        else:
            self.carry_out(request)

    def carry_out(self, request: Request) -> None:
        first, end = request.offset, request.offset + request.length
        if self.fails_with:
            request.done(request, self.fails_with)
            return
        if request.op is Op.READ:
            request.data = bytes(self.data[first:end])
        elif request.op is Op.WRITE:
            assert len(request.data) == request.length
            self.data[first:end] = request.payload
        elif request.op is Op.ZERO:
            self.data[first:end] = bytes(request.length)
        else:
            self.flushes += 1
        request.done(request, 0)

    def release(self) -> None:
        """Carry out everything held, last first: replies in any order are right."""
        self.holding = False
        while self.held:
            self.carry_out(self.held.pop())

    def busy(self) -> bool:
        return self.is_busy

    def end_of_batch(self) -> None:
        self.batches += 1

    def zeroes_fast(self, keep_allocated: bool) -> bool:
        return self.is_fast and not keep_allocated

    def block_status(self, offset: int, length: int, done: Callable[[int, list[Allocation]], None]) -> None:
        done(self.fails_with or (errno.EIO if offset else 0), [] if self.fails_with else self.status)

    def opened(self, connection: HostConnection) -> None:
        self.connections.append(connection)

    def closed(self, connection: HostConnection) -> None:
        self.connections.remove(connection)


class OneExport:
    """Finds one target under one name; lists it when told to."""

    def __init__(self, target: BlockTarget, name: str = EXPORT) -> None:
        self.target: BlockTarget | None = target
        self.name = name
        self.shown = False

    def find(self, export_name: str) -> BlockTarget | None:
        return self.target if export_name == self.name else None

    def listed(self) -> list[str]:
        return [self.name] if self.shown else []
