"""What a power cut does to a disk with a volatile cache: what was not flushed may be gone."""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.real.harness.events import Event, Kind
from tests.real.harness.host import Host
from tests.real.harness.record import Place, place_of


def lose_unflushed(host: Host, files: Sequence[Path]) -> int:
    """Take everything away from a site's files that the host sent behind its last flush; how much that is.

    What was acknowledged there before comes back, or zeros.
    """
    behind = unflushed(host.events)
    lost = set(behind.values())
    before: dict[Place, int] = {}
    phases = {event.number: event.extra for event in host.events if event.kind is Kind.ISSUED}
    for event in host.events:
        if event.kind is Kind.ACKNOWLEDGED and event.number not in lost:
            before[place_of(event.number, phases[event.number])] = event.number
    fds = [os.open(file, os.O_WRONLY) for file in files]
    try:
        for place in behind:
            os.pwrite(fds[place.volume], host.block(before.get(place, 0), place), place.offset)
    finally:
        for fd in fds:
            os.close(fd)
    return len(behind)


def unflushed(events: Sequence[Event]) -> dict[Place, int]:
    """What was sent after the last flush was sent, and acknowledged: by its place."""
    last = max((event.at for event in events if event.kind is Kind.FLUSHING), default=0.0)
    sent = {event.number: event.extra for event in events if event.kind is Kind.ISSUED and event.at > last}
    return {
        place_of(event.number, sent[event.number]): event.number
        for event in events
        if event.kind is Kind.ACKNOWLEDGED and event.number in sent
    }
