"""One volume as a host's process has it: a connection on libnbd that is opened again whenever it ends."""

import select
import time
from collections.abc import Callable
from typing import Any

import nbd

CONNECT_SECONDS = 2.0
RETRY_SECONDS = 0.02

Done = Callable[[int], None]


class HostVolume:
    """`lost` is called when the connection has ended, `opened` when it is there again."""

    def __init__(
        self,
        number: int,
        uri: str,
        opened: "Callable[[HostVolume], None]",
        lost: "Callable[[HostVolume], None]",
    ) -> None:
        self.number, self.uri = number, uri
        self.ready = False
        self._opened, self._lost = opened, lost
        self._handle: Any = None
        self._life = 0  # how many handles there were; completions must not refer to theirs
        self._connecting_until = self._retry_at = 0.0

    def turn(self, now: float) -> None:
        """Open what is not open, and notice what has ended."""
        if self._handle is None:
            if now >= self._retry_at:
                self._open(now)
        elif self._handle.aio_is_dead() or self._handle.aio_is_closed():
            self.drop(now)
        elif not self.ready:
            if self._handle.aio_is_ready():
                self.ready = True
                self._opened(self)
            elif now > self._connecting_until:
                self.drop(now)

    def drop(self, now: float) -> None:
        """Hang up without a word. What is under way is not told of any more."""
        # The handle closes its connection when nothing refers to it any more.
        self._handle = None
        self._life += 1
        was_ready, self.ready = self.ready, False
        self._retry_at = now + RETRY_SECONDS
        if was_ready:
            self._lost(self)

    def register(self, poll: "select.poll") -> int | None:
        """What to wait for; its file descriptor."""
        if self._handle is None:
            return None
        try:
            direction, fd = self._handle.aio_get_direction(), int(self._handle.aio_get_fd())
        except nbd.Error:
            return None
        mask = select.POLLIN if direction & nbd.AIO_DIRECTION_READ else 0
        mask |= select.POLLOUT if direction & nbd.AIO_DIRECTION_WRITE else 0
        poll.register(fd, mask)
        return fd

    def notify(self, mask: int) -> None:
        """Something came, or there is room."""
        if self._handle is None:
            return
        try:
            direction = self._handle.aio_get_direction()
            if mask & (select.POLLIN | select.POLLHUP) and direction & nbd.AIO_DIRECTION_READ:
                self._handle.aio_notify_read()
            elif mask & select.POLLOUT and direction & nbd.AIO_DIRECTION_WRITE:
                self._handle.aio_notify_write()
            elif mask & (select.POLLERR | select.POLLNVAL | select.POLLHUP):
                self.drop(time.monotonic())
        except nbd.Error:
            self.drop(time.monotonic())

    def write(self, offset: int, block: bytes, done: Done) -> bool:
        """False: it could not even be begun, and `done` is not called."""
        buffer = nbd.Buffer.from_bytearray(bytearray(block))
        return self._begin("aio_pwrite", buffer, offset, done=done)

    def read(self, offset: int, length: int, done: Callable[[int, bytes], None]) -> bool:
        """As above."""
        buffer = nbd.Buffer(length)
        return self._begin(
            "aio_pread", buffer, offset, done=lambda error: done(error, bytes(buffer.to_bytearray()))
        )

    def flush(self, done: Done) -> bool:
        """As above."""
        return self._begin("aio_flush", done=done)

    def _begin(self, command: str, *arguments: Any, done: Done) -> bool:
        life = self._life

        def completed(error: Any) -> int:
            # An answer of a connection that was given up is none any more.
            if life == self._life:
                done(int(error.value))
            return 1

        try:
            getattr(self._handle, command)(*arguments, completion=completed)
        except nbd.Error:
            return False
        return True

    def _open(self, now: float) -> None:
        self._handle = nbd.NBD()
        self._connecting_until = now + CONNECT_SECONDS
        try:
            self._handle.aio_connect_uri(self.uri)
        except nbd.Error:
            self.drop(now)
