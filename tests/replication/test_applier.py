"""The secondary's applier by itself: which frames it takes, what it waits for, what it confirms."""

import errno
from itertools import count

import pytest
from tests.replication.test_write_path import Ports
from tests.sim.world.disk import SECTOR

from bilocate.domain.geometry import EXTENT_BYTES
from bilocate.replication.applier import Applier
from bilocate.replication.frames import KEEP_ALLOCATED, Frame, Kind, MalformedFrame
from bilocate.replication.marks import Marks
from bilocate.replication.records import VolumeRecord
from bilocate.replication.requests import Op, Request

SIZE = 2 * EXTENT_BYTES + SECTOR  # a short last extent
PLACES = (0, 4 * SECTOR, 8 * SECTOR)


class Side:
    """An applier of two volumes whose first extents' intents are durable."""

    def __init__(self) -> None:
        self.ports = Ports()
        self.marks = [Marks(VolumeRecord(name, SIZE)) for name in "vw"]
        for marks in self.marks:
            marks.record.intents.add(0)
        self.failures: list[tuple[int, int]] = []
        tokens = count(1)
        self.applier = Applier(
            7,
            self.ports,  # type: ignore[arg-type]
            self.marks,
            lambda: next(tokens),
            lambda: 0,
            lambda request, error: self.failures.append((request.seq, error)),
            lambda: None,
        )

    def take(
        self, seq: int, offset: int = 0, length: int = SECTOR, volume: int = 0, kind: Kind = Kind.WRITE
    ) -> Request:
        """A frame arrives; all but a ZERO carry bytes."""
        payload = b"" if kind is Kind.ZERO else b"x" * length
        request = self.applier.request_of(Frame(kind, 0, volume, length, seq, offset, payload))
        self.applier.take(request)
        return request

    def intent_durable(self, token: int = 1) -> None:
        """The commit of an intent is answered."""
        for marks in self.marks:
            marks.intents_committed(token)
        self.applier.committed(token)

    def confirmed(self) -> list[int]:
        """The numbers of all CONFIRM until now, the present state's too."""
        self.applier.confirm()
        return [frame[5] for frame in self.ports.sent if frame[0] == Kind.CONFIRM]


@pytest.mark.parametrize(
    ("volume", "offset", "length"),
    [(2, 0, SECTOR), (3, 0, SECTOR), (1, 0, 0), (0, SIZE, SECTOR), (1, SIZE - SECTOR, 2 * SECTOR)],
)
@pytest.mark.parametrize("kind", [Kind.ZERO, Kind.COPY])
def test_rule_27_bytes_that_are_not_a_volumes_are_malformed(
    kind: Kind, volume: int, offset: int, length: int
) -> None:
    side = Side()
    with pytest.raises(MalformedFrame, match=f" of {length} bytes (for volume {volume}|at {offset}: past)"):
        side.take(1, offset, length, volume, kind)
    assert not side.ports.at_disk


def test_the_last_sector_of_the_last_volume_is_written() -> None:
    side = Side()
    side.marks[1].record.intents.add(2)
    request = side.take(1, SIZE - SECTOR, volume=1)
    assert side.ports.at_disk == [request]


@pytest.mark.parametrize("seq", [4, 5])
def test_rule_27_a_number_that_does_not_rise_is_malformed(seq: int) -> None:
    side = Side()
    side.take(5)
    with pytest.raises(MalformedFrame, match=f"number {seq} after 5"):
        side.take(seq)
    side.take(6)
    assert [request.seq for request in side.ports.at_disk] == [5, 6]


def test_rule_27_a_write_has_bytes_and_a_zeroing_none() -> None:
    side = Side()
    for kind, payload in ((Kind.WRITE, b""), (Kind.ZERO, b"xx")):
        with pytest.raises(MalformedFrame, match=f"{kind.name} with a payload of {len(payload)} bytes"):
            side.applier.request_of(Frame(kind, 0, 0, 512, 1, 0, payload))


def test_a_frame_without_bytes_is_a_zeroing_that_may_punch_unless_it_says_not() -> None:
    request_of = Side().applier.request_of
    found = [
        (request.op, request.keep_allocated)
        for request in (
            request_of(Frame(Kind.COPY, 0, 0, 4, 1, 0, b"data")),
            request_of(Frame(Kind.COPY, 0, 0, 4, 2, 0)),
            request_of(Frame(Kind.ZERO, 0, 0, 4, 3, 0)),
            request_of(Frame(Kind.ZERO, KEEP_ALLOCATED, 0, 4, 4, 0)),
        )
    ]
    assert found == [(Op.WRITE, False), (Op.ZERO, False), (Op.ZERO, False), (Op.ZERO, True)]


def test_FLUSH_what_is_taken_is_applied_only_when_the_disk_has_written_it() -> None:
    side = Side()
    side.ports.slow = True
    request = side.take(5)
    assert side.applier.all_applied(4)
    assert not side.applier.all_applied(5)
    side.applier.local_done(request, 0)
    assert side.applier.all_applied(5)


def test_rule_1_a_number_is_confirmed_once_and_only_behind_all_lower_ones() -> None:
    side = Side()
    side.ports.slow = True
    first, second = side.take(1), side.take(2, PLACES[1])
    side.applier.local_done(second, 0)
    assert side.confirmed() == []
    side.applier.local_done(first, 0)
    assert side.confirmed() == [2]
    assert side.confirmed() == [2]


def test_DISCARD_what_the_disk_has_is_counted_until_it_ends() -> None:
    """A hello is answered when nothing is left: neither earlier, nor never."""
    side = Side()
    side.ports.slow = True
    requests = [side.take(seq, place) for seq, place in enumerate(PLACES, start=1)]
    assert side.applier.local_pending == 3
    side.applier.discard()
    for left, request in zip((2, 1, 0), requests, strict=True):
        side.applier.local_done(request, 0)
        assert side.applier.local_pending == left
    assert side.confirmed() == []


def test_DISCARD_nothing_begins_and_nothing_is_confirmed_any_more() -> None:
    """Neither what waits for an intent, nor what is written meanwhile, nor what would still come."""
    side = Side()
    side.take(1)
    side.take(2, EXTENT_BYTES)  # waits for its intent
    side.applier.discard()
    side.intent_durable()
    side.take(3)
    assert [request.seq for request in side.ports.at_disk] == [1]
    assert side.confirmed() == []


@pytest.mark.parametrize("waits", [False, True])
def test_STICKY_a_write_that_fails_at_once_is_told_with_its_errno_and_not_confirmed(waits: bool) -> None:
    side = Side()
    side.take(1)
    if waits:
        side.take(2, EXTENT_BYTES)
    side.ports.error = errno.ENOSPC
    if waits:
        side.intent_durable()
    else:
        side.take(2)
    assert side.failures == [(2, errno.ENOSPC)]
    assert side.confirmed() == [1]


def test_STICKY_a_write_that_fails_later_is_told_with_its_errno_and_not_confirmed() -> None:
    side = Side()
    side.ports.slow = True
    request = side.take(1)
    side.applier.local_done(request, errno.EIO)
    assert side.failures == [(1, errno.EIO)]
    assert side.confirmed() == []
    assert not side.applier.all_applied(1)


@pytest.mark.parametrize(("kind", "patient"), [(Kind.WRITE, False), (Kind.ZERO, False), (Kind.COPY, True)])
def test_only_intents_that_no_host_waits_for_are_committed_with_patience(kind: Kind, patient: bool) -> None:
    side = Side()
    side.take(1, EXTENT_BYTES, kind=kind)
    assert side.ports.patient == [patient]
