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


def new_waits(ahead: int = 0) -> IntentWaits:
    """Commits have the numbers 1, 2, …"""
    tokens = count(1)
    return IntentWaits(Ports(), lambda: next(tokens), ahead)  # type: ignore[arg-type]


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


@pytest.mark.parametrize(
    ("marked", "offset", "length", "ahead"),
    [
        ((1,), 2 * EXTENT, SECTOR, {3, 4}),
        ((1, 3), 2 * EXTENT, SECTOR, {4}),
        ((2,), 3 * EXTENT - SECTOR, 2 * SECTOR, {4, 5}),
        ((5,), 6 * EXTENT, SECTOR, {7}),
        ((6,), 7 * EXTENT, SECTOR, set()),
        ((1,), 2 * EXTENT + SECTOR, SECTOR, set()),
        ((1,), 3 * EXTENT, SECTOR, set()),
        ((), 3 * EXTENT - SECTOR, 2 * SECTOR, set()),
        ((7,), 0, SECTOR, set()),
    ],
    ids=[
        "next",
        "one-is-marked",
        "across",
        "near-the-end",
        "last",
        "within",
        "elsewhere",
        "new-across",
        "first",
    ],
)
def test_whoever_writes_one_extent_after_the_other_waits_once_for_several(
    marked: tuple[int, ...], offset: int, length: int, ahead: set[int]
) -> None:
    waits, marks = new_waits(ahead=2), marks_of(*marked)
    request = Request(Op.WRITE, offset, length, to_nobody)
    assert not waits.may_go(request, marks, 1)
    entered = set(range(offset // EXTENT, (offset + length - 1) // EXTENT + 1))
    assert marks.committing.keys() == (entered - set(marked)) | ahead
    assert marks.touched.keys() == entered, "what is only marked may be dropped"
    assert set(marks.committing.values()) == {1}, "in one commit"
    marks.intents_committed(1)
    assert waits.committed(1) == [request]
    for extent in ahead:
        assert waits.may_go(Request(Op.WRITE, extent * EXTENT, SECTOR, to_nobody), marks, 2)


def test_a_write_that_waits_for_others_commits_marks_nothing_in_advance() -> None:
    waits, marks = new_waits(ahead=2), marks_of(1)
    marks.add_intents([2], 40)
    assert not waits.may_go(Request(Op.WRITE, 2 * EXTENT, SECTOR, to_nobody), marks, 1)
    assert marks.committing == {2: 40}
