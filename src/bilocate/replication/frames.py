"""The frames that cross a link, their layout and their bounds.

Every frame is a header of fixed size and a payload. P is the primary, S the secondary. What is asked of the
disks travels in one order, numbered by `seq`; S confirms the highest number up to which all is applied.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from bilocate.domain.errors import BilocateError
from bilocate.replication.requests import Op, Request, Unread, to_nobody

Buffer = bytes | bytearray | memoryview

# kind, flags, volume, bytes of the volume, bytes of payload, seq, offset
HEADER = struct.Struct("!BBHIIQQ")
_unpack = HEADER.unpack_from

PAYLOAD_BYTES_MAX = 32 * 1024 * 1024  # the largest write a host can make
DIGEST_BYTES = 32
HASH_BATCH_CHUNKS = 64  # chunks compared with one question: an extent


class MalformedFrame(BilocateError, ValueError):
    """What arrived is no frame, or a frame out of bounds: the connection ends, and nothing else."""


class Kind(IntEnum):
    """What a frame is. "numbered" frames take part in the order of `seq`."""

    HELLO = 1  # P→S, JSON: Hello
    WELCOME = 2  # S→P, JSON: Welcome; behind all SUSPECTS
    REFUSE = 3  # S→P, JSON {"reason", ...}: the hello is refused and the link ends
    WRITE = 4  # P→S, numbered
    ZERO = 5  # P→S, numbered; `length` bytes become zeros; flag KEEP_ALLOCATED
    COPY = 6  # P→S, numbered: a chunk of the resync; without payload it is zeros
    FLUSH = 7  # P→S: flush all up to `seq`; flag DROP_INTENTS: also drop all intents (quiesce)
    CONFIRM = 8  # S→P: all up to `seq` is applied
    PING = 9  # both ways, when idle
    STEP = 10  # P→S: the session is in step on this connection
    RESYNC = 11  # P→S: persist "inconsistent"
    READY = 12  # S→P: it is persisted
    ASK = 13  # P→S: hashes of `length` chunks from chunk `offset` on
    HASHES = 14  # S→P: the answer; flag ALL_ZERO instead of digests of zero chunks
    END = 15  # P→S: payload is the new generation
    ENDED = 16  # S→P: flushed, equal, persisted
    PULL = 17  # P→S: `length` chunks from chunk `offset`, the payload are P's digests (or flag ALL_ZERO)
    PULLED = 18  # S→P: one chunk that differs; without payload it is zeros
    PULL_DONE = 19  # S→P: all chunks of one PULL that differ were sent
    BYE = 20  # both ways, JSON {"reason", "hold_seconds"?}: the sender lets the link go on purpose
    FAILED = 21  # S→P, JSON {"reason", "errno"}: a write or flush failed at S
    FLUSHED = 22  # S→P: the FLUSH of `seq` is done
    SUSPECTS = 23  # S→P: a part of what may differ at S in `volume`: runs of chunks


KEEP_ALLOCATED = 1
DROP_INTENTS = 2
ALL_ZERO = 4

_KINDS = {int(kind): kind for kind in Kind}
_KIND_WRITE, _WRITE = int(Kind.WRITE), Op.WRITE
_SMALL_BYTES_MAX = 1024 * 1024  # JSON and digests


@dataclass(slots=True)
class Frame:
    """One frame. `payload` may be a view into the receive buffer, valid during the call that delivers it."""

    kind: Kind
    flags: int = 0
    volume: int = 0
    length: int = 0
    seq: int = 0
    offset: int = 0
    payload: Buffer = b""


# What comes over a link: a WRITE, which nearly all frames are, is at once the request that it asks for.
Arrival = Frame | Request


def header(
    kind: Kind,
    volume: int = 0,
    length: int = 0,
    payload: int = 0,
    seq: int = 0,
    offset: int = 0,
    flags: int = 0,
) -> bytes:
    """The header of a frame with `payload` bytes behind it."""
    return HEADER.pack(kind, flags, volume, length, payload, seq, offset)


def decode_arrival(view: Buffer, at: int) -> tuple[Arrival, int]:
    """As `decode_header`, but a WRITE, which nearly all are, is at once the request that it asks for.

    :raises MalformedFrame: for an unknown kind or a length out of bounds.
    """
    kind, _, volume, length, payload, seq, offset = _unpack(view, at)
    if kind != _KIND_WRITE:
        return decode_header(view, at)
    if payload != length or not 0 < payload <= PAYLOAD_BYTES_MAX:
        raise MalformedFrame(f"WRITE of {length} bytes with a payload of {payload}")
    request = Request(_WRITE, offset, length, to_nobody)
    request.volume = volume
    request.seq = seq
    return request, payload


def put_payload(arrival: Arrival, payload: Buffer | Unread) -> Arrival:
    """Give what `decode_arrival` has found its payload; only a request's may be unread."""
    if isinstance(arrival, Request):
        arrival.data = payload
    else:
        assert not isinstance(payload, Unread)
        arrival.payload = payload
    return arrival


def decode_header(view: Buffer, at: int) -> tuple[Frame, int]:
    """The frame whose header stands at `at`, without its payload, and the payload's length in bytes.

    :raises MalformedFrame: for an unknown kind or a length out of bounds.
    """
    kind, flags, volume, length, payload, seq, offset = _unpack(view, at)
    known = _KINDS.get(kind)
    if known is None:
        raise MalformedFrame(f"no frame is of kind {kind}")
    if known in (Kind.WRITE, Kind.COPY, Kind.PULLED):
        if payload > PAYLOAD_BYTES_MAX or (payload and payload != length):
            raise MalformedFrame(f"{known.name} of {length} bytes with a payload of {payload}")
    elif payload > _SMALL_BYTES_MAX:
        raise MalformedFrame(f"{known.name} with a payload of {payload} bytes")
    return Frame(known, flags, volume, length, seq, offset), payload


def encode_json(kind: Kind, content: dict[str, Any]) -> tuple[bytes, bytes]:
    """Header and payload of a frame that carries JSON."""
    payload = json.dumps(content, separators=(",", ":")).encode()
    return header(kind, payload=len(payload)), payload


def decode_json(frame: Frame) -> dict[str, Any]:
    """The content of a frame that carries JSON.

    :raises MalformedFrame: when it is not a JSON object.
    """
    try:
        content = json.loads(bytes(frame.payload))
    except (ValueError, RecursionError) as error:
        raise MalformedFrame(f"{frame.kind.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise MalformedFrame(f"{frame.kind.name} is not a JSON object")
    return content


@dataclass(frozen=True, slots=True)
class Hello:
    """What a primary says first: who it is, and which pairs, in the order of their numbers on this link."""

    session_id: str
    epoch: int
    site: str
    instance: str
    pairs: tuple[str, ...]
    sizes: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """As HELLO carries it."""
        return {
            "session_id": self.session_id,
            "epoch": self.epoch,
            "site": self.site,
            "instance": self.instance,
            "pairs": list(self.pairs),
            "sizes": list(self.sizes),
        }

    @classmethod
    def from_frame(cls, frame: Frame) -> "Hello":
        """:raises MalformedFrame: for anything but a HELLO with all of its fields."""
        if frame.kind is not Kind.HELLO:
            raise MalformedFrame(f"a link begins with HELLO, not with {frame.kind.name}")
        content = decode_json(frame)
        try:
            return cls(
                str(content["session_id"]),
                _whole(content["epoch"]),
                str(content["site"]),
                str(content["instance"]),
                tuple(str(pair) for pair in content["pairs"]),
                tuple(_whole(size) for size in content["sizes"]),
            )
        except (KeyError, TypeError) as error:
            raise MalformedFrame(f"HELLO without a right {error}") from error


@dataclass(frozen=True, slots=True)
class PeerVolume:
    """What the secondary says of one volume's past (GENCHK).

    `everything`: the ledger is blank, so all of it may differ. `dirty`: what it lacks is not known to be
    nothing. Which chunks may differ (SET) was said in SUSPECTS before.
    """

    generation: str
    consistent: bool
    everything: bool
    dirty: bool


@dataclass(frozen=True, slots=True)
class Welcome:
    """The secondary's answer to a hello. `instance` is its process."""

    instance: str
    epoch: int
    volumes: tuple[PeerVolume, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """As WELCOME carries it."""
        return {
            "instance": self.instance,
            "epoch": self.epoch,
            "volumes": [[v.generation, v.consistent, v.everything, v.dirty] for v in self.volumes],
        }

    @classmethod
    def from_frame(cls, frame: Frame) -> "Welcome":
        """:raises MalformedFrame: for anything but a WELCOME with all of its fields."""
        content = decode_json(frame)
        try:
            return cls(
                str(content["instance"]),
                _whole(content["epoch"]),
                tuple(
                    PeerVolume(str(generation), bool(consistent), bool(everything), bool(dirty))
                    for generation, consistent, everything, dirty in content["volumes"]
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedFrame(f"WELCOME without a right {error}") from error


_RUN = struct.Struct("!II")  # first chunk, count
_RUNS_AT_ONCE = _SMALL_BYTES_MAX // _RUN.size


def encode_suspects(volume: int, runs: Sequence[tuple[int, int]]) -> Iterator[tuple[bytes, bytes]]:
    """Header and payload of as many SUSPECTS as the runs, (first chunk, count), of one volume need."""
    for start in range(0, len(runs), _RUNS_AT_ONCE):
        payload = b"".join(_RUN.pack(first, count) for first, count in runs[start : start + _RUNS_AT_ONCE])
        yield header(Kind.SUSPECTS, volume=volume, payload=len(payload)), payload


def decode_suspects(frame: Frame, chunks_max: int) -> Iterator[tuple[int, int]]:
    """The runs of one SUSPECTS, of a volume of `chunks_max` chunks.

    :raises MalformedFrame: when one of them is not within the volume.
    """
    if len(frame.payload) % _RUN.size:
        raise MalformedFrame(f"SUSPECTS of {len(frame.payload)} bytes is cut off")
    for first, count in _RUN.iter_unpack(frame.payload):
        if first + count > chunks_max:
            raise MalformedFrame(f"SUSPECTS of chunks {first}+{count} of a volume that has {chunks_max}")
        yield first, count


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedFrame(f"{value!r} is not a whole number")
    return value
