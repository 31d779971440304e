"""Ranges: which requests may begin; against a twin that is too simple to be wrong."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from bilocate.domain.geometry import CHUNK_BYTES, CHUNKS_PER_EXTENT
from bilocate.replication.ranges import Ranges
from bilocate.replication.requests import Op, Request


def _nobody(request: Request, errno: int) -> None:
    """Nobody waits."""


def request(op: Op, offset: int, length: int) -> Request:
    """A request that nobody waits for."""
    return Request(op, offset, length, _nobody)


def test_requests_apart_begin_at_once() -> None:
    ranges = Ranges()
    assert ranges.enter(request(Op.WRITE, 0, 512))
    assert ranges.enter(request(Op.WRITE, 512, 512))
    assert ranges.enter(request(Op.READ, 1024, CHUNK_BYTES))


def test_one_byte_in_the_next_chunk_is_touched() -> None:
    ranges = Ranges()
    ranges.enter(request(Op.WRITE, CHUNK_BYTES, 512))
    assert ranges.touched(CHUNK_BYTES - 512, 513)
    assert not ranges.touched(CHUNK_BYTES - 512, 512)
    assert ranges.touched(CHUNK_BYTES + 511, 1)
    assert not ranges.touched(CHUNK_BYTES + 512, 2 * CHUNK_BYTES)


def test_nothing_is_left_of_one_that_had_a_byte_in_the_next_chunk() -> None:
    ranges = Ranges()
    write = request(Op.WRITE, CHUNK_BYTES - 512, 513)
    ranges.enter(write)
    ranges.leave(write)
    assert not ranges
    assert list(ranges.all()) == []


def test_one_that_overlaps_begins_when_the_last_before_it_leaves() -> None:
    ranges = Ranges()
    first, second = request(Op.WRITE, 0, 512), request(Op.ZERO, 512, 512)
    both = request(Op.WRITE, 256, 512)
    assert ranges.enter(first)
    assert ranges.enter(second)
    assert not ranges.enter(both)
    assert not ranges.leave(second)
    assert ranges.leave(first) == [both]
    assert ranges.leave(both) is None
    assert not ranges


def test_reads_do_not_wait_for_reads() -> None:
    ranges = Ranges()
    read, write, later = request(Op.READ, 0, 512), request(Op.WRITE, 0, 512), request(Op.READ, 0, 512)
    assert ranges.enter(read)
    assert ranges.enter(request(Op.READ, 0, 512))
    assert not ranges.enter(write)
    assert not ranges.enter(later)  # for the write that waits: else it would be overtaken


def test_one_over_many_chunks_waits_once_for_each() -> None:
    ranges = Ranges()
    long = request(Op.WRITE, 0, 5 * CHUNK_BYTES)
    longer = request(Op.WRITE, 1, 6 * CHUNK_BYTES)
    assert ranges.enter(long)
    assert not ranges.enter(longer)
    assert longer.blockers == 1
    assert ranges.leave(long) == [longer]


def test_touched_sees_writes_only() -> None:
    ranges = Ranges()
    ranges.enter(request(Op.READ, 0, 512))
    assert not ranges.touched(0, 512)
    ranges.enter(request(Op.WRITE, 1024, 512))
    assert ranges.touched(0, 1025)
    assert not ranges.touched(0, 1024)
    assert not ranges.touched(1536, CHUNK_BYTES)


def test_extents_under_write_are_those_of_writes_that_are_there_or_wait() -> None:
    ranges = Ranges()
    extent_bytes = CHUNKS_PER_EXTENT * CHUNK_BYTES
    ranges.enter(request(Op.READ, 0, 512))
    ranges.enter(request(Op.WRITE, 2 * extent_bytes - 512, 1024))
    waits = request(Op.ZERO, 2 * extent_bytes, 512)
    assert not ranges.enter(waits)
    assert ranges.extents_under_write() == {1, 2}


@dataclass
class Twin:
    """All requests in a list, compared with each other one by one."""

    there: list[tuple[int, Op, int, int]] = field(default_factory=list)
    begun: set[int] = field(default_factory=set)

    def enter(self, number: int, op: Op, offset: int, length: int) -> bool:
        self.there.append((number, op, offset, length))
        return self._begin()

    def leave(self, number: int) -> set[int]:
        self.there = [one for one in self.there if one[0] != number]
        before = set(self.begun)
        self._begin()
        return self.begun - before

    def _begin(self) -> bool:
        for index, one in enumerate(self.there):
            if not any(self._conflict(one, earlier) for earlier in self.there[:index]):
                self.begun.add(one[0])
        return bool(self.there) and self.there[-1][0] in self.begun

    @staticmethod
    def _conflict(one: tuple[int, Op, int, int], other: tuple[int, Op, int, int]) -> bool:
        overlap = one[2] < other[2] + other[3] and other[2] < one[2] + one[3]
        return overlap and not (one[1] is Op.READ and other[1] is Op.READ)


HALF_CHUNK = CHUNK_BYTES // 2
ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([Op.READ, Op.WRITE, Op.ZERO]),
            st.integers(0, 12).map(lambda n: n * HALF_CHUNK // 2),
            st.integers(1, 9).map(lambda n: n * HALF_CHUNK // 2),
        ),
        st.integers(0, 1000),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=300)
@given(ACTIONS)
def test_ranges_do_as_a_simple_twin_does(actions: list[tuple[Op, int, int] | int]) -> None:
    ranges, twin = Ranges(), Twin()
    requests: dict[int, Request] = {}
    for number, action in enumerate(actions):
        if isinstance(action, tuple):
            one = requests[number] = request(*action)
            one.cookie = number
            assert ranges.enter(one) == twin.enter(number, *action)
            continue
        leaving = sorted(number for number in twin.begun if number in requests)
        if not leaving:
            continue
        gone = leaving[action % len(leaving)]
        free = ranges.leave(requests.pop(gone)) or []
        order = [one.cookie for one in free]
        assert set(order) == twin.leave(gone)
        assert order == sorted(order)  # in the order in which they came
    assert bool(ranges) == bool(twin.there)
