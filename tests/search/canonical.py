"""A state as bytes: equal for two states exactly when nothing that follows can tell them apart.

Every field of every object is walked, those of closures too, so none can be forgotten; what is left out is
named here, with the reason. Tickets become ranks. Times become what is left to wait.
"""

import marshal
import re
import types
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from pyroaring import BitMap
from tests.search.host import Host
from tests.search.site import Ports, Site
from tests.search.tickets import TICKETS, Counter, Name, Ticket
from tests.search.world import World

from bilocate.domain.primary_states import PrimaryState
from bilocate.replication.barriers import Barriers
from bilocate.replication.flushes import Flushes
from bilocate.replication.frames import Hello
from bilocate.replication.heartbeat import Heartbeat
from bilocate.replication.limits import Limits
from bilocate.replication.marks import Marks
from bilocate.replication.primary import PrimaryHalf
from bilocate.replication.primary_quiesce import Quiesce
from bilocate.replication.primary_start import Start
from bilocate.replication.pull import Puller
from bilocate.replication.requests import Request
from bilocate.replication.resync import Progress
from bilocate.replication.row_view import RowView
from bilocate.replication.secondary import SecondaryHalf
from bilocate.replication.session import Session
from bilocate.replication.wanted import Wanted
from bilocate.replication.write_path import WritePath

_NAME = re.compile(r"~(\d+)~")
_FOREVER = 1e6  # seconds: a wait that never ends in a search

# Told to people and never acted on, or told elsewhere in the state.
_LEFT_OUT: dict[type[Any], set[str]] = {
    Session: {"ports", "limits", "session_id", "site", "instance", "boot_id", "_tokens", "_call_ids"},
    PrimaryHalf: {"ports", "limits", "refusal", "hello"},
    SecondaryHalf: {"ports", "limits", "refusal", "hello", "followed_at", "instance"},
    Puller: {"pulled_bytes"},
    Start: {"_why"},
    # Flush numbers are told relative to the present one: see `_marks`.
    WritePath: {"flush_number"},
    Barriers: {"flush_number"},
}
# Left over from what has ended, and set anew before it is read again.
_STALE: dict[type[Any], Callable[[Any], tuple[str, ...]]] = {
    Flushes: lambda o: (
        () if o.running else ("_token", "_seq", "_candidates", "_both", "_drop_all", "_drop_idle")
    ),
    Barriers: lambda o: () if o._running is not None else ("_token", "_candidates", "_once_more"),
    RowView: lambda o: () if o.pending is not None else ("_call_id",),
    WritePath: lambda o: () if o.linked else ("linked_after", "confirmed_seq"),
    Quiesce: lambda o: () if o._half.quiesced else ("until", "_flushing", "_undoing"),
    PrimaryHalf: lambda o: _WAITS.get(o.state, ("_wait_until", "_asked_permit")),
}
_WAITS: dict[PrimaryState, tuple[str, ...]] = {
    PrimaryState.TRIPPED: (),
    PrimaryState.DETACHED: ("_asked_permit",),
    PrimaryState.WAITING: ("_asked_permit",),
}
# Keyed by the ids of requests: told by the requests.
_BY_ID: dict[type[Any], set[str]] = {
    WritePath: {"_locks", "_given_up"},
    PrimaryHalf: {"_flushing"},
    Start: {"_late"},
    Puller: {"writing"},
}
_ALL_LEFT_OUT = {"_ports", "_world", "_site"}  # walked once, from the world
_NOTHING: tuple[type[Any], ...] = (
    Limits,
    Hello,
    Progress,
    Counter,
    Heartbeat,
)  # nobody waits for silence here


_SHAPES: dict[tuple[type[Any], tuple[str, ...]], "_Shape"] = {}
_PLAIN = frozenset((int, bool, type(None)))


class Walk:
    """One walk over a part of a state."""

    def __init__(self) -> None:
        self.out: list[Any] = []
        self.clock = 0.0  # of the site that is walked
        self.flush_number = 0  # of the half that is walked
        self._memo: dict[int, int] = {}
        self._keep: list[Any] = []  # what was walked stays, so that its id stays its own
        self.tickets: list[tuple[int, Ticket]] = []

    def add(self, obj: Any) -> None:
        """Walk this and all that hangs on it."""
        kind = type(obj)
        how = _HOW.get(kind)
        if how is None:
            how = _HOW[kind] = _how_to_walk(kind)
        how(self, obj)

    def _ticket(self, ticket: Ticket) -> None:
        if ticket:
            self.tickets.append((len(self.out), ticket))
        self.out.append(0)

    def _plain(self, obj: Any) -> None:
        self.out.append(obj)

    def _number(self, obj: int) -> None:
        self.out.append(int(obj))

    def _enum(self, obj: Enum) -> None:
        self.out.append(obj.name)

    def _nothing(self, obj: Any) -> None:
        """It never changes."""

    def _float(self, obj: float) -> None:
        left = obj - self.clock
        self.out.append(0.0 if left <= 0 else _FOREVER if left > _FOREVER else round(left, 3))

    def _str(self, obj: str) -> None:
        if "~" not in obj:
            self.out.append(obj)
            return
        for index, part in enumerate(_NAME.split(obj)):
            if index % 2:
                self._ticket(Name(part))
            else:
                self.out.append(part)

    def _bytes(self, obj: Any) -> None:
        self._str(bytes(obj).decode("latin-1"))

    def _sequence(self, obj: Any) -> None:
        self.out.append(len(obj))
        for each in obj:
            self.add(each)

    def _set(self, obj: Any) -> None:
        self.out.append(len(obj))
        for each in sorted(obj):
            self.add(each)

    def _dict(self, obj: dict[Any, Any]) -> None:
        self.out.append(len(obj))
        for key, value in obj.items():
            self.add(key)
            self.add(value)

    def _bitmap(self, obj: BitMap) -> None:
        self._plain(tuple(obj))

    def _seen(self, obj: Any) -> bool:
        number = self._memo.get(id(obj))
        if number is not None:
            self.out.append(-1 - number)
            return True
        self._memo[id(obj)] = len(self._memo)
        self._keep.append(obj)
        return False

    def _function(self, obj: types.FunctionType) -> None:
        if self._seen(obj):
            return
        code = obj.__code__
        self.out.append(f"{code.co_qualname}:{code.co_firstlineno}")
        for cell in obj.__closure__ or ():
            self.add(cell.cell_contents)

    def _method(self, obj: types.MethodType) -> None:
        self.out.append(obj.__name__)
        if not isinstance(obj.__self__, Ports | Host):
            self.add(obj.__self__)

    def _wanted(self, obj: Wanted) -> None:
        self.out += [obj.epoch, obj.revision, obj.role.value, obj.paused]
        self.out += [obj.allow_dirty, obj.trust_blank]

    def _marks(self, obj: Marks) -> None:
        if self._seen(obj):
            return
        self.add(obj.record)
        self._dict(obj.committing)
        self._set(obj.exact)
        # Which flush last touched an extent is compared with a flush that runs, or with later ones.
        self.out.append(len(obj.touched))
        for extent, number in obj.touched.items():
            self.out += [extent, max(-1, int(number) - self.flush_number)]

    def _request(self, obj: Request) -> None:
        if self._seen(obj):
            return
        self.out += [
            int(obj.op),
            obj.offset,
            obj.length,
            bytes(obj.payload),
            obj.flags,
            obj.volume,
            obj.arrival,
        ]
        self.out += [obj.local, obj.confirmed, obj.errno, obj.blockers, obj.fua]
        self.add(obj.seq)
        self.add(obj.cookie)
        self.add(obj.done)
        self.add(obj.followers)

    def _object(self, obj: Any) -> None:
        number = self._memo.get(id(obj))
        if number is not None:
            self.out.append(-1 - number)
            return
        self._memo[id(obj)] = len(self._memo)
        self._keep.append(obj)
        kind = type(obj)
        stale = _STALE.get(kind)
        key = (kind, () if stale is None else stale(obj))
        shape = _SHAPES.get(key)
        if shape is None:
            shape = _SHAPES[key] = _shape_of(obj, *key)
        out = self.out
        out.append(kind.__name__)
        for value in shape.values(obj):
            if type(value) in _PLAIN:
                out.append(value)
            else:
                self.add(value)
        for name in shape.by_id:
            self._by_id(getattr(obj, name))

    def _by_id(self, obj: Any) -> None:
        if isinstance(obj, set):
            self.out.append(sorted(self._memo.get(each, 0) for each in obj))
            return
        for key, value in obj.items():
            self.out.append(self._memo.get(key, 0))
            self.add(value)
        self.out.append(len(obj))


@dataclass(slots=True)
class Part:
    """What a walk over a part of a state found; tickets stand at these places of `out`."""

    out: list[Any]
    tickets: list[tuple[int, Ticket]]


def part_of_site(site: Site) -> Part:
    """A site, but for its link."""
    walk = Walk()
    walk.clock = site.clock
    walk.out += [site.up, site.refused, site.ledger_lost]
    for each in (site.boot, site.disks, site.commits, site.stored):
        walk.add(each)
    if site.up:
        half = site.session.half
        if isinstance(half, PrimaryHalf):
            walk.flush_number = half.path.flush_number
        elif half is not None:
            walk.flush_number = half._barriers.flush_number
        for part in (site.instance, site.ports, site.marks, site.session):
            walk.add(part)
    return Part(walk.out, walk.tickets)


def part_between(world: World) -> Part:
    """What belongs to no site."""
    walk = Walk()
    walk.out += world.bounds.counts
    for part in (world.row, world.wish, world.operation, world.release, world.last_epoch):
        walk.add(part)
    walk.add(world.promises.state(lossy=world.bounds.forced > 0))
    walk.add(world.flights)
    walk.add(world.ends)
    if world.bounds.repeats:
        walk.add(world.old_calls)
    return Part(walk.out, walk.tickets)


def digest_of(parts: Sequence[Part]) -> bytes:
    """Sixteen bytes for a state. Tickets become their ranks among all of their class."""
    numbers: dict[type[Ticket], set[int]] = {kind: set() for kind in TICKETS}
    for part in parts:
        for _, ticket in part.tickets:
            numbers[type(ticket)].add(ticket)
    ranks = {
        kind: {value: rank for rank, value in enumerate(sorted(found), 1)} for kind, found in numbers.items()
    }
    out = []
    for part in parts:
        mine = list(part.out)
        for at, ticket in part.tickets:
            mine[at] = ranks[type(ticket)][ticket]
        out.append(mine)
    return blake2b(marshal.dumps(out, 2), digest_size=16).digest()


def _how_to_walk(kind: type[Any]) -> Callable[[Walk, Any], None]:
    if issubclass(kind, Ticket):
        return Walk._ticket
    if issubclass(kind, Enum):
        return Walk._enum
    if issubclass(kind, int):
        return Walk._number
    return Walk._nothing if kind in _NOTHING else Walk._object


# Walked by hand: a new field of theirs must be walked too.
assert set(Marks.__slots__) == {"committing", "exact", "record", "touched"}
assert (
    len(Request.__slots__) == 18
)  # `keep_allocated` is never set here, `copied` decides nothing that counts
assert len(fields(Wanted)) == 9


@dataclass(slots=True)
class _Shape:
    """What of an object is walked."""

    values: Callable[[Any], tuple[Any, ...]]
    by_id: tuple[str, ...]


def _shape_of(obj: Any, kind: type[Any], stale: tuple[str, ...]) -> _Shape:
    names: list[str] = []
    for each in kind.__mro__:
        names += [name for name in getattr(each, "__slots__", ()) if isinstance(name, str)]
    names += list(getattr(obj, "__dict__", ()))
    left_out = _LEFT_OUT.get(kind, set()).union(_ALL_LEFT_OUT, stale)
    by_id = tuple(name for name in names if name in _BY_ID.get(kind, ()))
    walked = [name for name in names if name not in left_out and name not in by_id]
    if not walked:
        return _Shape(lambda obj: (), by_id)
    if len(walked) == 1:
        return _Shape(lambda obj: (getattr(obj, walked[0]),), by_id)
    return _Shape(attrgetter(*walked), by_id)


_HOW: dict[type[Any], Callable[[Walk, Any], None]] = {
    int: Walk._plain,
    bool: Walk._plain,
    type(None): Walk._plain,
    float: Walk._float,
    str: Walk._str,
    bytes: Walk._bytes,
    bytearray: Walk._bytes,
    memoryview: Walk._bytes,
    list: Walk._sequence,
    tuple: Walk._sequence,
    deque: Walk._sequence,
    range: Walk._sequence,
    set: Walk._set,
    frozenset: Walk._set,
    dict: Walk._dict,
    BitMap: Walk._bitmap,
    types.FunctionType: Walk._function,
    types.MethodType: Walk._method,
    Wanted: Walk._wanted,
    Marks: Walk._marks,
    Request: Walk._request,
}
