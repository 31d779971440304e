"""Room for the payloads of long writes while they arrive, shared by all connections of a server."""

import asyncio
from collections import deque
from typing import Protocol


class Receiver(Protocol):
    """A connection that receives long payloads."""

    def room_granted(self) -> None:
        """The room that was asked for is reserved now."""

    def is_receiving(self) -> bool:
        """Whether bytes of the payload are missing still."""

    def disconnect(self, reason: str) -> None:
        """Close it."""


class ReceivingRoom:
    """A bound on bytes announced but not all there yet. Who finds no room waits for its turn.

    While somebody waits, a payload may not take longer than `seconds_max`: else a few peers that announce
    much and send nothing would hold up all others.
    """

    def __init__(self, bytes_max: int, seconds_max: float) -> None:
        self._free_bytes = bytes_max
        self._seconds_max = seconds_max
        self._loop = asyncio.get_running_loop()
        self._holders: dict[Receiver, tuple[int, float]] = {}  # (bytes, since), oldest first
        self._waiting: deque[tuple[Receiver, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def reserve(self, receiver: Receiver, length: int) -> bool:
        """Whether the room is there now; if not, `room_granted` follows."""
        if not self._waiting and length <= self._free_bytes:
            self._grant(receiver, length)
            return True
        self._waiting.append((receiver, length))
        if self._timer is None:
            self._watch()
        return False

    def release(self, receiver: Receiver) -> None:
        """The payload is whole, or its connection is gone (it may also have been waiting)."""
        held = self._holders.pop(receiver, None)
        if held is not None:
            self._free_bytes += held[0]
        elif self._waiting:
            self._waiting = deque(entry for entry in self._waiting if entry[0] is not receiver)
        while self._waiting and self._waiting[0][1] <= self._free_bytes:
            waiter, length = self._waiting.popleft()
            self._grant(waiter, length)
            waiter.room_granted()

    def close(self) -> None:
        """No timer is left behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _grant(self, receiver: Receiver, length: int) -> None:
        self._free_bytes -= length
        self._holders[receiver] = (length, self._loop.time())

    def _watch(self) -> None:
        """Look again when the oldest payload may have taken too long."""
        self._timer = self._loop.call_later(self._seconds_max / 4, self._drop_slow)

    def _drop_slow(self) -> None:
        self._timer = None
        latest = self._loop.time() - self._seconds_max
        if self._waiting:
            for receiver, (_, since) in list(self._holders.items()):
                if since < latest and receiver.is_receiving():
                    receiver.disconnect("a payload took too long while others waited")
            self._watch()
