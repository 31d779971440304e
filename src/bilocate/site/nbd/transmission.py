"""A host's connection past negotiation: requests in, replies out. This is the hot path of a host's I/O.

Requests are parsed many at a time out of one buffer, and their replies leave together once per turn of the
loop. There is no task, future or timer per request.
"""

import asyncio
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import TYPE_CHECKING

import structlog

from bilocate.replication.requests import Op, Request
from bilocate.site.long_payload import plain_socket
from bilocate.site.nbd import protocol as nbd
from bilocate.site.nbd import replies
from bilocate.site.nbd.handshake import Chosen
from bilocate.site.nbd.long_write import LongWrite
from bilocate.site.nbd.long_zero import LongZero
from bilocate.site.nbd.outgoing import Outgoing
from bilocate.site.nbd.validation import fault_of
from bilocate.site.target import Allocation

if TYPE_CHECKING:
    from bilocate.site.nbd.server import NbdServer

log = structlog.get_logger()

_READ, _WRITE = Op.READ, Op.WRITE
_pack_reply = nbd.SIMPLE_REPLY.pack
_HEADER_BYTES = nbd.REQUEST.size
# Payloads up to this are copied out of the buffer; longer ones are received where they stay.
SMALL_PAYLOAD_BYTES = 64 * 1024
# A queue of 60 writes of 4 KiB comes in one read.
BUFFER_BYTES = 256 * 1024
# Behind a long write another one is likely: only so much of it goes through the buffer and is copied.
LEAN_BYTES = 4096
# With less room than this behind them, left-over bytes move to the front of the buffer.
_ROOM_BYTES_MIN = _HEADER_BYTES + SMALL_PAYLOAD_BYTES


class Malformed(Exception):
    """The peer does not speak the protocol: its connection ends."""


class Transmission(asyncio.BufferedProtocol):
    """One host connection to one target: HostConnection for the target, Receiver for the room of payloads."""

    def __init__(
        self, server: "NbdServer", transport: asyncio.Transport, chosen: Chosen, writes_paused: bool
    ) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._limits = server.limits
        self._poll = server.busy_poll
        self._transport = transport
        self._socket_fd = plain_socket(transport)
        self._target = chosen.target
        self._allocation = chosen.allocation
        self._out = Outgoing(transport, chosen.structured)
        self._append = self._out.append
        # Anonymous memory: only the pages that requests have reached cost anything.
        self._buffer = mmap(-1, BUFFER_BYTES, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        self._view = memoryview(self._buffer)
        self._room = self._view  # where the next bytes go when the buffer is empty
        self._start = self._end = 0  # what is in the buffer and not taken yet
        self._long: LongWrite | None = None
        self._long_zeros: set[LongZero] = set()
        self._done = self._answer  # one bound method for all requests
        self._in_flight = 0
        self._batch: list[Request] = []  # taken and not given to the target yet
        self._in_batch = False
        self._wake_scheduled = False
        self._writes_paused = writes_paused
        self._stalled = False  # a bound was met: `_go_on` is called again when that may have changed
        self._reading = not writes_paused
        self._draining = False  # no more requests come: answer what is in flight, then close
        self._closed = False

    def begin(self, trailing: bytes) -> None:
        """Go on from negotiation, with what the client sent behind its last option."""
        self._transport.set_write_buffer_limits(high=self._limits.unsent_bytes_max)
        self._target.opened(self)
        self._buffer[: len(trailing)] = trailing
        self._end = len(trailing)
        self._go_on()

    # --- requests in ---

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._long is not None:
            rest = self._long.rest()
            if rest is not None:
                return rest
        return self._view[self._end :] if self._end else self._room

    def buffer_updated(self, nbytes: int) -> None:
        if self._long is None:
            self._end += nbytes
            self._room = self._view
        else:
            self._long.received(nbytes)
            if not self._long.whole:
                return
        self._go_on()

    def _go_on(self) -> None:
        """Take what can be taken, then let replies and the target's own batch out."""
        if self._closed:
            return
        self._stalled = False
        self._in_batch = True
        try:
            usual = self._long is None and not self._draining and not self._target.busy()
            try:
                if usual or self._may_take():
                    self._take_requests()
            finally:
                self._submit_batch()
                self._target.end_of_batch()
        except Malformed as error:
            self.disconnect(str(error))
        except Exception:
            # A defect of ours: it costs this connection, not the agent.
            log.exception("nbd_request_failed")
            self.disconnect("internal error")
        finally:
            self._in_batch = False
        if self._stalled or self._draining or self._closed or not self._reading:
            self._finish_turn()
        else:
            self._out.send()

    def _may_take(self) -> bool:
        """Whether requests may be parsed now; a long write that is complete goes first."""
        if self._draining:
            return False
        if self._long is not None and not self._long.whole:
            self._stalled = self._long.rest() is None  # there is no room for it yet
            return False
        if self._target.busy():
            self._stalled = True
            return False
        if self._long is not None:
            self._submit_long(self._long)
        return not self._closed

    def _take_requests(self) -> None:
        """Parse and submit all whole requests in the buffer, up to the bounds."""
        view, buffer, done, batch = self._view, self._buffer, self._done, self._batch
        unpack = nbd.REQUEST.unpack_from
        # Where nothing may be written, every write goes the way of those that are refused.
        writable_bytes = 0 if self._target.read_only else self._target.size_bytes
        in_flight_max = self._limits.in_flight_max
        start, end = self._start, self._end
        while end - start >= _HEADER_BYTES and not self._closed:
            if self._in_flight + len(batch) >= in_flight_max:
                self._submit_batch()  # some may be answered at once
            if self._in_flight >= in_flight_max or self._writes_paused:
                self._stalled = True
                break
            magic, flags, kind, cookie, offset, length = unpack(buffer, start)
            if magic != nbd.REQUEST_MAGIC:
                raise Malformed("wrong magic")
            if kind == nbd.CMD_WRITE and length <= SMALL_PAYLOAD_BYTES:
                payload = start + _HEADER_BYTES
                if end - payload < length:
                    break
                start = payload + length
                if flags & ~nbd.CMD_FLAG_FUA or offset + length > writable_bytes or length == 0:
                    self._refuse(kind, flags, cookie, offset, length)
                    continue
                batch.append(
                    Request(_WRITE, offset, length, done, bytes(view[payload:start]), cookie, flags != 0)
                )
            elif kind == nbd.CMD_WRITE:
                start = self._begin_long(start + _HEADER_BYTES, end, flags, cookie, offset, length)
                if self._long is not None:
                    break
            elif kind == nbd.CMD_DISC:
                self._draining = True
                start = end
            elif kind == nbd.CMD_READ and self._read_must_wait(length):
                self._stalled = True
                break
            else:
                start += _HEADER_BYTES
                self._take_other(kind, flags, cookie, offset, length)
        self._keep(start, end)

    def _submit_batch(self) -> None:
        """Give the target what was taken."""
        if self._batch:
            requests = self._batch.copy()
            self._batch.clear()
            self._in_flight += len(requests)
            self._poll.came(len(requests), requests[0].length)
            self._target.submit_all(requests)

    def _keep(self, start: int, end: int) -> None:
        """What is left waits in the buffer, with room behind it."""
        if start == end:
            start = end = 0
        elif BUFFER_BYTES - end < _ROOM_BYTES_MIN:
            self._buffer[: end - start] = bytes(self._view[start:end])
            start, end = 0, end - start
        self._start, self._end = start, end

    def _refuse(self, kind: int, flags: int, cookie: int, offset: int, length: int) -> bool:
        """Answer a request that the target need not be asked for; False for all others."""
        code = fault_of(
            kind, flags, offset, length, self._target, self._limits.request_bytes_max, self._allocation
        )
        if code is None:
            return False
        self._submit_batch()  # what came before it is answered before it where it can be
        self._out.add_unasked(kind, cookie, code)
        return True

    def _take_other(self, kind: int, flags: int, cookie: int, offset: int, length: int) -> None:
        """Everything but writes."""
        if self._refuse(kind, flags, cookie, offset, length):
            return
        if kind == nbd.CMD_READ:
            self._out.held_read_bytes += length
            self._batch.append(Request(_READ, offset, length, self._done, b"", cookie))
        elif kind == nbd.CMD_FLUSH:
            self._batch.append(Request(Op.FLUSH, 0, 0, self._done, b"", cookie))
        elif kind == nbd.CMD_BLOCK_STATUS:
            self._submit_batch()  # what came before it goes before it
            self._in_flight += 1
            only_first = bool(flags & nbd.CMD_FLAG_REQ_ONE)
            self._target.block_status(
                offset, length, lambda code, told: self._tell_status(cookie, length, only_first, code, told)
            )
        else:
            fua = bool(flags & nbd.CMD_FLAG_FUA)
            keep = kind == nbd.CMD_WRITE_ZEROES and bool(flags & nbd.CMD_FLAG_NO_HOLE)
            request = Request(Op.ZERO, offset, length, self._done, b"", cookie, fua, keep)
            if length <= self._limits.request_bytes_max:
                self._batch.append(request)
            else:
                self._submit_batch()
                self._in_flight += 1
                self._zero_in_parts(request)

    def _zero_in_parts(self, request: Request) -> None:
        def done(code: int) -> None:
            self._long_zeros.discard(parts)
            self._answer(request, code)

        parts = LongZero(self._target, request, self._limits.request_bytes_max, done)
        self._long_zeros.add(parts)
        parts.go_on()

    def _read_must_wait(self, length: int) -> bool:
        """Whether replies to earlier reads must go first: they are the memory that a slow reader costs."""
        if self._out.held_read_bytes + length > self._limits.unsent_bytes_max and self._out.held_read_bytes:
            self._submit_batch()
            self._out.send()
        held = self._out.held_read_bytes
        return self._writes_paused or (held > 0 and held + length > self._limits.unsent_bytes_max)

    # --- long payloads ---

    def _begin_long(self, payload: int, end: int, flags: int, cookie: int, offset: int, length: int) -> int:
        """Begin a long write with what is here of it; where the rest of the buffer begins.

        It is over already when all of it was here; else `_long` is set.
        """
        if length > self._limits.request_bytes_max:
            raise Malformed("a payload is too long")
        fua = bool(flags & nbd.CMD_FLAG_FUA)
        long = LongWrite(Request(Op.WRITE, offset, length, self._done, b"", cookie, fua), flags)
        self._long = long
        if not self._server.room.reserve(self, length):
            self._stalled = True
            return payload
        payload += self._allocate(long, payload, end)
        if long.whole:
            self._submit_long(long)
        return payload

    def _allocate(self, long: LongWrite, start: int, end: int) -> int:
        """Begin with what is here of a payload; how many bytes that were. A closed connection's descriptor may be
        another's."""
        moves = self._target.takes_unread and not self._closed
        return long.allocate(self._view[start:end], self._socket_fd if moves else -1)

    def _submit_long(self, long: LongWrite) -> None:
        self._long = None
        self._room = self._view[:LEAN_BYTES]
        self._server.room.release(self)
        # Who carries the volume may be another by now.
        request = long.complete(self._target.takes_unread)
        if not self._refuse(
            nbd.CMD_WRITE, long.command_flags, request.cookie, request.offset, request.length
        ):
            self._batch.append(request)

    def room_granted(self) -> None:
        if self._long is not None and not self._closed:
            self._keep(self._start + self._allocate(self._long, self._start, self._end), self._end)
            self._wake()

    def is_receiving(self) -> bool:
        return self._long is not None and not self._long.whole

    # --- replies out ---

    def _answer(self, request: Request, code: int) -> None:
        """A target's answer; it may come at any time, also after the connection is gone."""
        if self._closed:
            return
        self._in_flight -= 1
        if request.op is _READ:
            self._out.add_read(request, code)
        else:
            self._append(_pack_reply(nbd.SIMPLE_REPLY_MAGIC, code and nbd.wire_errno(code), request.cookie))
        if not self._in_batch:
            self._wake()

    def _tell_status(
        self, cookie: int, length: int, only_first: bool, code: int, told: list[Allocation]
    ) -> None:
        if self._closed:
            return
        self._in_flight -= 1
        if code:
            self._out.add_failure(cookie, code)
        else:
            self._append(replies.block_status(cookie, told, length, only_first))
        if not self._in_batch:
            self._wake()

    def _wake(self) -> None:
        """Once in this turn of the loop, let out the replies, and go on where a bound had stopped us."""
        if not self._wake_scheduled:
            self._wake_scheduled = True
            self._loop.call_soon(self._woken)

    def _woken(self) -> None:
        self._wake_scheduled = False
        if self._stalled or (self._long is not None and self._long.whole):
            self._go_on()
        else:
            self._finish_turn()

    def _finish_turn(self) -> None:
        """Send, and read on or not."""
        if self._closed or self._transport.is_closing():
            return
        self._out.send()
        wanted = not (self._stalled or self._draining)
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
        if self._draining and self._in_flight == 0:
            self._closed = True
            self._transport.close()

    # --- the transport's and the target's calls ---

    def pause_writing(self) -> None:
        self._writes_paused = True

    def resume_writing(self) -> None:
        self._writes_paused = False
        if self._stalled:
            self._wake()

    def resume_reading(self) -> None:
        """The target is no longer busy."""
        if self._stalled:
            self._wake()

    def eof_received(self) -> bool:
        """The host sends no more, but may wait for answers."""
        self._draining = True
        self._reading = False  # the transport has stopped by itself
        self._finish_turn()
        return True

    def disconnect(self, reason: str) -> None:
        """Close at once; what is not answered never will be."""
        if not self._closed:
            log.info("nbd_disconnected", reason=reason)
            self._shut()
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._shut()
        self._server.room.release(self)
        self._server.lost(self)
        self._target.closed(self)

    def _shut(self) -> None:
        """From here on nothing is submitted or sent."""
        self._closed = True
        # This connection is in a reference cycle, and a payload of 32 MiB must not wait for the collector (rule 27).
        self._long = None
        self._out.drop()
        for parts in self._long_zeros:
            parts.cancelled = True
