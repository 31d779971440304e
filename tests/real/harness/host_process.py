"""A host: writes records at depth 16 over two volumes, reads them back, and keeps a diary of what it was told.

It is a process of its own, on libnbd, and knows nothing of what serves it. It runs as a module with a JSON
object of `events` (the diary's path), `run` (hex) and `first_phase`; commands are lines of JSON on the standard input:

    {"do": "connect", "uris": [one, other], "new_phase": true}    these are the volumes from now on
    {"do": "write"} and {"do": "pause"}                            pausing lets everything under way end first
    {"do": "quit"}

A connection that ends is opened again, for ever. A record is never sent twice: what was under way is lost, and
may or may not be there.
"""

import errno
import json
import os
import random
import select
import sys
import time
from typing import Any

from tests.real.harness.events import Kind, pack
from tests.real.harness.host_volume import HostVolume
from tests.real.harness.record import (
    BLOCK_BYTES,
    DEPTH,
    SLOTS,
    VOLUMES,
    NotARecord,
    Place,
    decode,
    encode,
    place_of,
)

FLUSH_SECONDS = 0.25
REPORT_SECONDS = 0.1
AFTER_ERROR_SECONDS = 0.005
# The connection is gone or going: nobody can say what became of the request.
LOST_ERRNOS = {errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE, errno.ESHUTDOWN}


class Diary:
    """Events, written out at every turn of the loop."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._pending: list[bytes] = []

    def note(self, kind: Kind, number: int, extra: int = 0) -> None:
        """It happened now."""
        self._pending.append(pack(time.monotonic(), kind, number, extra))

    def write_out(self) -> None:
        """Everything noted so far is in the file."""
        if self._pending:
            os.write(self._fd, b"".join(self._pending))
            self._pending.clear()


class Readback:
    """What reads must give: at least what was acknowledged or seen before they began, and no garbage."""

    def __init__(self, diary: Diary, run: bytes) -> None:
        self._diary, self._run = diary, run
        self._floor: dict[Place, int] = {}
        self._issued: dict[Place, int] = {}
        self.right = 0

    def issued(self, seq: int, place: Place) -> None:
        """From now on it may be read."""
        self._issued[place] = seq

    def acknowledged(self, seq: int, place: Place) -> None:
        """From now on nothing older may be read."""
        self._floor[place] = max(seq, self._floor.get(place, 0))

    def floor(self, place: Place) -> int:
        """What a read that begins now must give at least."""
        return self._floor.get(place, 0)

    def compare(self, block: bytes, place: Place, floor: int) -> None:
        """Judge what a read gave."""
        try:
            found = decode(self._run, block, place)
        except NotARecord:
            self._diary.note(Kind.READ_BROKEN, place.volume, place.offset)
            return
        if not floor <= found <= self._issued.get(place, 0):
            self._diary.note(Kind.READ_OLD, found, floor)
            return
        self.right += 1
        # What was seen once must not change back (P4), acknowledged or not.
        self.acknowledged(found, place)


class Host:
    """The whole host."""

    def __init__(self, diary: Diary, run: bytes, first_phase: int) -> None:
        self._diary, self._run = diary, run
        self._readback = Readback(diary, run)
        self._first_phase = first_phase
        self._volumes: list[HostVolume] = []
        self._reading: set[int] = set()
        self._flushing: set[int] = set()
        self._under_way: dict[int, Place] = {}
        self._phase, self._next = first_phase - 1, 1
        self._writing = False
        self._pauses_wanted = self._pauses = 0
        self._go_on_at = self._flush_at = self._report_at = 0.0
        self._typed = b""
        self.quitting = False

    def turn(self) -> None:
        """Do what can be done now."""
        now = time.monotonic()
        for volume in self._volumes:
            volume.turn(now)
        if len(self._volumes) == VOLUMES and all(volume.ready for volume in self._volumes):
            if self._writing and now >= self._go_on_at:
                while len(self._under_way) < DEPTH and self._issue():
                    pass
            self._read_some()
            self._flush_some(now)
        if self._pauses < self._pauses_wanted and not self._under_way:
            self._pauses = self._pauses_wanted
            self._diary.note(Kind.READS, self._readback.right)
            self._diary.note(Kind.PAUSED, self._pauses)
        if now >= self._report_at:
            self._report_at = now + REPORT_SECONDS
            self._diary.note(Kind.READS, self._readback.right)
        self._diary.write_out()

    def wait(self) -> None:
        """Until something comes, or a little while."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        volumes = {volume.register(poll): volume for volume in self._volumes}
        for fd, mask in poll.poll(5):
            if fd == 0:
                self._take_commands()
            elif fd in volumes:
                volumes[fd].notify(mask)

    # --- commands ---

    def _take_commands(self) -> None:
        typed = os.read(0, 65536)
        self._typed += typed
        *lines, self._typed = self._typed.split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        if not typed:
            self.quitting = True

    def _obey(self, command: dict[str, Any]) -> None:
        what = command["do"]
        if what == "connect":
            self._connect(command["uris"], command["new_phase"])
        elif what == "write":
            self._writing = True
        elif what == "pause":
            self._writing = False
            self._pauses_wanted += 1
        else:
            self.quitting = True

    def _connect(self, uris: list[str], new_phase: bool) -> None:
        for volume in self._volumes:
            volume.drop(time.monotonic())
        self._volumes = [HostVolume(number, uri, self._opened, self._lost) for number, uri in enumerate(uris)]
        if new_phase:
            self._phase += 1
            self._diary.note(Kind.PHASE, self._phase)

    def _opened(self, volume: HostVolume) -> None:
        self._diary.note(Kind.CONNECTED, volume.number)

    def _lost(self, volume: HostVolume) -> None:
        self._diary.note(Kind.DISCONNECTED, volume.number)
        self._reading.discard(volume.number)
        self._flushing.discard(volume.number)
        self._lose([seq for seq, place in self._under_way.items() if place.volume == volume.number])

    # --- requests ---

    def _issue(self) -> bool:
        seq, place = self._next, place_of(self._next, self._phase)
        self._next += 1
        self._under_way[seq] = place
        self._readback.issued(seq, place)
        self._diary.note(Kind.ISSUED, seq, self._phase)
        block = encode(self._run, seq, place)
        begun = self._volumes[place.volume].write(
            place.offset, block, lambda error: self._written(seq, error)
        )
        if not begun:
            self._lose([seq])
        return begun

    def _written(self, seq: int, error: int) -> None:
        place = self._under_way.pop(seq, None)
        if place is None:
            return  # given up before
        if not error:
            self._readback.acknowledged(seq, place)
            self._diary.note(Kind.ACKNOWLEDGED, seq)
        elif error in LOST_ERRNOS:
            self._diary.note(Kind.LOST, seq)
        else:
            self._diary.note(Kind.FAILED, seq, error)
            self._go_on_at = time.monotonic() + AFTER_ERROR_SECONDS

    def _lose(self, seqs: list[int]) -> None:
        for seq in seqs:
            del self._under_way[seq]
            self._diary.note(Kind.LOST, seq)

    def _read_some(self) -> None:
        """One read is always under way on each volume, of this phase or of the one before."""
        for volume in self._volumes:
            if volume.number not in self._reading and self._next > 1:
                seq = random.randint(max(1, self._next - SLOTS), self._next - 1)
                place = place_of(seq, max(self._first_phase, self._phase - random.getrandbits(1)))
                if place.volume == volume.number:
                    self._read(volume, place)

    def _read(self, volume: HostVolume, place: Place) -> None:
        floor = self._readback.floor(place)

        def done(error: int, block: bytes) -> None:
            self._reading.discard(volume.number)
            if not error:
                self._readback.compare(block, place, floor)

        if volume.read(place.offset, BLOCK_BYTES, done):
            self._reading.add(volume.number)

    def _flush_some(self, now: float) -> None:
        if now < self._flush_at or self._flushing:
            return
        self._flush_at = now + FLUSH_SECONDS
        for volume in self._volumes:
            self._flush(volume)

    def _flush(self, volume: HostVolume) -> None:
        def done(error: int) -> None:
            self._flushing.discard(volume.number)
            self._diary.note(Kind.FLUSHED, volume.number, error)

        self._diary.note(Kind.FLUSHING, volume.number)
        if volume.flush(done):
            self._flushing.add(volume.number)


def main() -> None:
    """Until told to quit, or nobody is there any more to tell."""
    settings = json.loads(sys.argv[1])
    host = Host(Diary(settings["events"]), bytes.fromhex(settings["run"]), settings["first_phase"])
    while not host.quitting:
        host.turn()
        host.wait()
    host.turn()


if __name__ == "__main__":
    main()
