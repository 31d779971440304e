"""A volume that is in no session: hosts' requests go straight to its disk."""

from collections.abc import Callable, Iterable

from bilocate.replication.requests import Op, Request
from bilocate.site.disks.base import Buffer, Disk
from bilocate.site.target import Allocation, HostConnection

_READ, _WRITE = Op.READ, Op.WRITE


class DiskTarget:
    """A BlockTarget over one disk, without replication."""

    def __init__(
        self,
        disk: Disk,
        unanswered_bytes_max: int = 64 * 1024 * 1024,
        connections: set[HostConnection] | None = None,
    ) -> None:
        """`unanswered_bytes_max`: past it connections stop reading (rule 27).

        `connections`: a set that the caller keeps; by default `opened` and `closed` keep one.
        """
        self.disk = disk
        self.min_block_bytes = disk.min_block_bytes
        self.preferred_block_bytes = max(4096, disk.min_block_bytes)
        self.connections: set[HostConnection] = set() if connections is None else connections
        self._unanswered_bytes = 0
        self._unanswered_bytes_max = unanswered_bytes_max
        self._was_busy = False
        self._under_way = 0  # requests that the disk has and did not answer
        self._when_idle: list[Callable[[], None]] = []

    @property
    def read_only(self) -> bool:
        return False

    @property
    def takes_unread(self) -> bool:
        return True

    @property
    def size_bytes(self) -> int:
        """The disk's present size: it may have grown."""
        return self.disk.size_bytes

    def zeroes_fast(self, keep_allocated: bool) -> bool:
        return self.disk.zeroes_fast(keep_allocated)

    def busy(self) -> bool:
        if self._unanswered_bytes < self._unanswered_bytes_max:
            return False
        self._was_busy = True
        return True

    def submit_all(self, requests: Iterable[Request]) -> None:
        submit = self.submit
        for request in requests:
            submit(request)

    def submit(self, request: Request) -> None:
        op, disk = request.op, self.disk
        if op is _WRITE:
            code = disk.write_now(request.offset, request.data)
            if code is None:
                code = disk.write(request.offset, request.data, lambda code: self._later(request, code))
        elif op is _READ:
            result = disk.read_now(request.offset, request.length)
            if result is None:
                result = disk.read(
                    request.offset, request.length, lambda result: self._read_later(request, result)
                )
            if result is not None:
                self._read_done(request, result)
                return
            code = None
        elif op is Op.ZERO:
            code = disk.zero(
                request.offset,
                request.length,
                request.keep_allocated,
                lambda code: self._later(request, code),
            )
        else:
            self._flush(request)
            return
        if code is None:
            self._under_way += 1
            self._unanswered_bytes += request.length
        else:
            self._written(request, code)

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` once the disk has answered all it was asked; at once if it has."""
        if self._under_way:
            self._when_idle.append(then)
        else:
            then()

    def _flush(self, request: Request) -> None:
        self._under_way += 1
        self.disk.flush(lambda code: self._flushed(request, code))

    def _flushed(self, request: Request, code: int) -> None:
        self._under_way -= 1
        request.done(request, code)
        self._idle_perhaps()

    def _written(self, request: Request, code: int) -> None:
        """The bytes are in the disk's hands: answer, behind a flush where the host asked for one."""
        if request.fua and code == 0:
            self._flush(request)
        else:
            request.done(request, code)

    def _read_done(self, request: Request, result: Buffer | int) -> None:
        if isinstance(result, int):
            request.done(request, result)
        else:
            request.data = result
            request.done(request, 0)

    def _later(self, request: Request, code: int) -> None:
        self._answered(request)
        self._written(request, code)
        self._wake()
        self._idle_perhaps()

    def _read_later(self, request: Request, result: Buffer | int) -> None:
        self._answered(request)
        self._read_done(request, result)
        self._wake()
        self._idle_perhaps()

    def _answered(self, request: Request) -> None:
        self._under_way -= 1
        self._unanswered_bytes -= request.length

    def _wake(self) -> None:
        if self._was_busy and self._unanswered_bytes < self._unanswered_bytes_max // 2:
            self._was_busy = False
            for connection in list(self.connections):
                connection.resume_reading()

    def _idle_perhaps(self) -> None:
        if self._when_idle and not self._under_way:
            waiting, self._when_idle = self._when_idle, []
            for then in waiting:
                then()

    def end_of_batch(self) -> None:
        """Nothing was put off."""

    def undisturbed(self, number: int, offset: int, length: int) -> bool:
        """One disk has one truth."""
        return True

    def block_status(self, offset: int, length: int, done: Callable[[int, list[Allocation]], None]) -> None:
        self.disk.block_status(offset, length, done)

    def opened(self, connection: HostConnection) -> None:
        self.connections.add(connection)

    def closed(self, connection: HostConnection) -> None:
        self.connections.discard(connection)
