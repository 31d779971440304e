"""What a writer saw, in the order in which it saw it: a file of its own, outside of what is tested.

The order is the point: whatever is acknowledged before a record is issued must be there when that record is.
"""

import struct
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

_EVENT = struct.Struct("<dBqq")


class Kind(IntEnum):
    """What happened; in brackets what `number` and `extra` are."""

    PHASE = 1  # a new stretch of writing begins (phase, -)
    ISSUED = 2  # a record was sent (record, phase)
    ACKNOWLEDGED = 3  # the server answered it (record, -)
    FAILED = 4  # the server answered it with an error (record, errno)
    LOST = 5  # its connection ended before an answer (record, -)
    CONNECTED = 6  # (volume, -)
    DISCONNECTED = 7  # (volume, -)
    PAUSED = 8  # nothing is under way any more (how often it has paused, -)
    READ_OLD = 9  # a read gave less than was acknowledged or seen before it began (found, expected)
    READ_BROKEN = 10  # a read gave no record (volume, offset)
    READS = 11  # so many reads were right until now (count, -)
    FLUSHING = 13  # a flush was sent (volume, -)
    FLUSHED = 12  # a flush was answered (volume, errno)


@dataclass(frozen=True, slots=True)
class Event:
    """`at`: monotonic seconds, which all processes of a machine share."""

    at: float
    kind: Kind
    number: int
    extra: int


def pack(at: float, kind: Kind, number: int, extra: int = 0) -> bytes:
    """An event as it stands in the file."""
    return _EVENT.pack(at, kind, number, extra)


class EventFile:
    """Reads a file of events that another process goes on writing."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._rest = b""
        self.events: list[Event] = []
        self.counts: Counter[Kind] = Counter()

    def more(self) -> list[Event]:
        """What has come since the last call; it is added to `events` too."""
        if self._file.closed:
            return []
        data = self._rest + self._file.read()
        whole = len(data) - len(data) % _EVENT.size
        self._rest = data[whole:]
        found = [
            Event(at, Kind(kind), number, extra)
            for at, kind, number, extra in _EVENT.iter_unpack(data[:whole])
        ]
        self.events += found
        self.counts.update(event.kind for event in found)
        return found

    def since(self, at: float) -> list[Event]:
        """The events from that moment on."""
        self.more()
        return self.events[bisect_left(self.events, at, key=lambda event: event.at) :]

    def close(self) -> None:
        """No more is read."""
        self._file.close()
