"""Writes that wait until their extents have intents, and intents that a flush makes superfluous."""

from itertools import count

import pytest
from tests.replication.scene import EXTENT
from tests.replication.test_write_path import Ports
from tests.sim.world.disk import SECTOR

from bilocate.replication.intents import IntentWaits, superfluous
from bilocate.replication.marks import Marks
from bilocate.replication.records import VolumeRecord
from bilocate.replication.requests import Op, Request, to_nobody


def marks_of(*intents: int) -> Marks:
    """Of a volume of eight extents, with these intents durable."""
    return Marks(VolumeRecord("volume", 8 * EXTENT, intents=set(intents)))


def new_waits() -> IntentWaits:
    """Commits have the numbers 1, 2, …"""
    tokens = count(1)
    return IntentWaits(Ports(), lambda: next(tokens))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("offset", "length", "extents"),
    [
        (2 * EXTENT, EXTENT, {2}),
        (3 * EXTENT - SECTOR, SECTOR, {2}),
        (3 * EXTENT - SECTOR, SECTOR + 1, {2, 3}),
        (2 * EXTENT + SECTOR, 3 * EXTENT, {2, 3, 4, 5}),
    ],
    ids=["whole", "its-end", "one-byte-of-the-next", "four"],
)
def test_INTENT_DROPRACE_a_write_needs_and_enters_the_extents_of_its_bytes_and_no_others(
    offset: int, length: int, extents: set[int]
) -> None:
    """One that it did not enter could be dropped under it; one that it does not need costs a commit."""
    waits, marks = new_waits(), marks_of()
    request = Request(Op.WRITE, offset, length, to_nobody)
    assert not waits.may_go(request, marks, 5)
    assert marks.committing.keys() == extents
    assert marks.touched == dict.fromkeys(extents, 5)
    assert waits
    marks.intents_committed(1)
    assert waits.committed(1) == [request]
    assert not waits
    assert waits.may_go(request, marks, 6)
    assert marks.touched == dict.fromkeys(extents, 6)


def test_INTENT_a_write_waits_for_the_last_commit_that_it_needs_whoever_began_it() -> None:
    """Of a half before this one, say: its commits become durable too."""
    waits, marks = new_waits(), marks_of()
    marks.add_intents([0], 40)
    marks.add_intents([1], 41)
    first, second = (Request(Op.WRITE, EXTENT - SECTOR, 2 * SECTOR, to_nobody) for _ in range(2))
    assert not waits.may_go(first, marks, 1)
    assert not waits.may_go(second, marks, 1)
    assert waits.committed(40) == []
    assert waits.committed(41) == [first, second]
    assert waits.committed(41) == []


def test_DROP_the_longest_idle_go_first_of_all_volumes_until_as_many_are_left_as_are_kept() -> None:
    first, second = marks_of(0, 1, 2), marks_of(3, 4)
    first.touched.update({0: 3, 1: 2, 2: 1})
    candidates = [{0, 1, 2}, {3, 4}]
    for keep, gone in (
        (6, [[], []]),
        (5, [[], []]),
        (4, [[2], []]),
        (3, [[2, 1], []]),
        (2, [[2, 1, 0], []]),
        (1, [[2, 1, 0], [3]]),
        (0, [[2, 1, 0], [3, 4]]),
    ):
        assert superfluous([first, second], candidates, 4, keep) == gone


def test_DROP_an_extent_that_nobody_entered_is_the_longest_idle_from_the_first_flush_on() -> None:
    marks = marks_of(0, 7)
    marks.touched[0] = 1
    assert superfluous([marks], [{0, 7}], 2, 1) == [[7]]
    assert superfluous([marks], [{0, 7}], 1, 0) == [[7]]
