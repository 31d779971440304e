"""Payloads that stay in the kernel: received into a pipe, and written to a disk out of it.

To receive a payload into memory and write it copies it twice. From a socket into a pipe only references to its pages
move (splice), so one copy is left, the one into the page cache: 170 us of CPU time for 1 MiB instead of 270.
"""

import errno
import fcntl
import os

from bilocate.replication.requests import Unread
from bilocate.site.disks import syscalls

KIB = 1024

# Shorter payloads gain little: one of 128 KiB a tenth, of 64 KiB nothing that having a pipe does not cost.
PIPED_BYTES_MIN = 256 * KIB
# What every user may have a pipe hold. It is a number of pieces as well: 256, each a page or what the sender or the
# network card put together. A payload that came in small packets may not fit.
PIPED_BYTES_MAX = 1024 * KIB
# For hosts' connections and links together; a pipe is two descriptors. A user who is not root gets 64 of this size.
PIPES_MAX = 32

# How a system says that it has no such call, or does not let this process make it.
_REFUSED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM})

Pipe = tuple[int, int]  # descriptors to read from and to write to


class Pipes:
    """Gives out pipes, and takes back empty ones, from any thread: a list's `append` and `pop` need no lock."""

    def __init__(self, count: int = PIPES_MAX) -> None:
        # A None stands for one that may be made. What is taken last is there already, if any is.
        self._free: list[Pipe | None] = [None] * count
        self._works = hasattr(os, "splice")

    def take(self) -> Pipe | None:
        """An empty pipe, or None: all are in use, or the system gives no more."""
        try:
            return self._free.pop() or self._make() if self._works else None
        except IndexError:
            return None

    def give_back(self, pipe: Pipe, is_empty: bool) -> None:
        """Nobody uses it any more. What is left in one would come before the next payload: such a one is closed."""
        if is_empty:
            self._free.append(pipe)
        else:
            _close(pipe)
            self._free.insert(0, None)

    def give_up(self) -> None:
        """It does not work here: no more are given out."""
        self._works = False

    def _make(self) -> Pipe | None:
        """A new one. One that the system refuses is not asked for again."""
        try:
            pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, PIPED_BYTES_MAX)
        except OSError:
            _close(pipe)
            return None
        return pipe


class Piped(Unread):
    """One payload of `length` bytes, in a pipe of its own, as far as it has come."""

    __slots__ = ("_left", "_length", "_pipe", "_pipes")

    def __init__(self, pipe: Pipe, length: int, pipes: Pipes) -> None:
        self._pipe = pipe
        self._pipes = pipes
        self._length = length
        self._left = 0  # bytes in the pipe

    def __len__(self) -> int:
        return self._length

    def __del__(self) -> None:
        self._pipes.give_back(self._pipe, self._left == 0)

    # --- while it arrives ---

    def put(self, data: memoryview) -> int:
        """Put bytes that are in memory behind what is there; how many of them the pipe took."""
        try:
            written = os.write(self._pipe[1], data)
        except BlockingIOError:
            return 0
        self._left += written
        return written

    def receive(self, socket_fd: int) -> None:
        """Move in what the socket has of it now and the pipe takes; perhaps nothing.

        The end of a connection, and its errors, are left to whoever reads it otherwise.
        """
        while self._left < self._length:
            try:
                moved = os.splice(
                    socket_fd, self._pipe[1], self._length - self._left, flags=os.SPLICE_F_NONBLOCK
                )
            except OSError as error:
                if error.errno in _REFUSED:
                    self._pipes.give_up()
                return
            if not moved:
                return
            self._left += moved

    @property
    def filled(self) -> int:
        """How many bytes of it are in the pipe."""
        return self._left

    # --- taking it out: one of these, once ---

    def read_into(self, view: memoryview) -> None:
        """Copy out all that is there."""
        filled = 0
        while self._left:
            count = os.readv(self._pipe[0], (view[filled : filled + self._left],))
            self._left -= count
            filled += count

    def write_to(self, fd: int, offset: int) -> int:
        while self._left:
            piece = min(self._left, syscalls.WRITE_PIECE_BYTES)
            try:
                moved = os.splice(self._pipe[0], fd, piece, offset_dst=offset)
            except OSError as error:
                if error.errno in _REFUSED:  # such as a file system that has no splice
                    self._pipes.give_up()
                    return self._write_copied(fd, offset)
                return error.errno or errno.EIO
            if not moved:
                return errno.EIO
            offset += moved
            self._left -= moved
        return 0

    def _write_copied(self, fd: int, offset: int) -> int:
        data = bytearray(self._left)
        self.read_into(memoryview(data))
        return syscalls.write_all(fd, offset, data)


def _close(pipe: Pipe) -> None:
    for fd in pipe:
        os.close(fd)


# One for the process.
pipes = Pipes()
