"""What came over a link, as it was sent."""

from bilocate.replication.frames import Arrival, Frame, Kind
from bilocate.replication.requests import Request


def kept(arrival: Arrival) -> Frame:
    """As a frame, whose payload stays."""
    if isinstance(arrival, Request):
        a, data = arrival, bytes(arrival.payload)
        return Frame(Kind.WRITE, 0, a.volume, a.length, a.seq, a.offset, data)
    f = arrival
    return Frame(f.kind, f.flags, f.volume, f.length, f.seq, f.offset, bytes(f.payload))
