"""The secondary's flushes by themselves: whose end counts, which intents go behind it, what is told of a failure."""

import errno
from collections.abc import Callable, Sequence
from itertools import count

from bilocate.domain.geometry import EXTENT_BYTES
from bilocate.replication.barriers import Barriers
from bilocate.replication.marks import Marks
from bilocate.replication.records import AddFailed, Change, DropIntents, VolumeRecord


class Side:
    """The flushes of a secondary whose one volume has three intents; flushes and commits end when the test says so."""

    def __init__(self, intents_max: int) -> None:
        self.flushes: list[int] = []
        self.commits: list[tuple[Sequence[Change], Callable[[float], None]]] = []
        self.told: list[tuple[str, int]] = []
        marks = Marks(VolumeRecord("v", 8 * EXTENT_BYTES))
        marks.record.intents |= {0, 1, 2}
        tokens = count(7)
        self.barriers = Barriers(
            self,  # type: ignore[arg-type]
            [marks],
            lambda: next(tokens),
            lambda changes, then: self.commits.append((changes, then)),
            lambda volume: set(),
            intents_max,
        )

    def flush(self, token: int) -> None:
        self.flushes.append(token)

    def tell(self, name: str) -> Callable[[int], None]:
        """A `then` that notes whose it is."""
        return lambda errno: self.told.append((name, errno))


def test_FLUSH_the_end_of_one_that_was_given_up_is_not_that_of_the_next() -> None:
    """The first one's link is gone: what the second must cover is not durable yet (DISCARD)."""
    side = Side(intents_max=8)
    side.barriers.add(lambda: True, side.tell("first"))
    side.barriers.clear()
    side.barriers.add(lambda: True, side.tell("second"))
    first, second = side.flushes
    side.barriers.flushed(first, 0)
    assert side.told == []
    side.barriers.flushed(second, 0)
    assert side.told == [("second", 0)]


def test_DROP_a_flush_takes_no_intent_away_while_there_is_room() -> None:
    """Each that goes makes the next write into its extent wait."""
    side = Side(intents_max=3)
    side.barriers.add(lambda: True, side.tell("flush"))
    side.barriers.flushed(side.flushes[0], 0)
    assert side.told == [("flush", 0)]
    assert side.commits == []


def test_DROP_all_intents_are_gone_durably_before_it_is_told() -> None:
    side = Side(intents_max=3)
    side.barriers.add(lambda: True, side.tell("flush"), drop_all=True)
    side.barriers.flushed(side.flushes[0], 0)
    ((changes, durable),) = side.commits
    assert changes == [DropIntents("v", (0, 1, 2))]
    assert side.told == []
    durable(0.0)
    assert side.told == [("flush", 0)]


def test_STICKY_a_flush_that_makes_room_and_fails_is_told_with_its_errno() -> None:
    """Nobody asked for it; what it was to make durable has failed, and no intent goes."""
    side = Side(intents_max=2)
    side.barriers.trim(lambda error: side.told.append(("trim", error)))
    side.barriers.flushed(side.flushes[0], errno.EIO)
    assert [changes for changes, _ in side.commits] == [[AddFailed("v", (0, 1, 2))]]
    assert side.told == [("trim", errno.EIO)]


def test_rule_27_a_flush_that_makes_room_is_told_to_nobody_when_it_succeeds() -> None:
    side = Side(intents_max=2)
    side.barriers.trim(lambda error: side.told.append(("trim", error)))
    side.barriers.flushed(side.flushes[0], 0)
    assert [changes for changes, _ in side.commits] == [[DropIntents("v", (0, 1))]]
    assert side.told == []
