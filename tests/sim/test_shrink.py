"""A seed is made smaller only where it still breaks the same promise; what is left can be written down and read."""

from random import Random

import pytest
from tests.sim.mix import FAULTS, OPERATIONS, Less, draw
from tests.sim.shrink import shrink
from tests.sim.story import Story

SEED = 3


def test_it_takes_away_all_that_is_not_needed() -> None:
    kinds = list(Story(SEED).mix.faults)

    def breaks(seed: int, less: Less) -> str | None:
        enough = less.troubles_most is None or less.troubles_most >= 5
        if less.requests_most is not None and less.requests_most < 7:
            return "P6"  # another one: that is no smaller case of the first
        return "P1" if kinds[0] not in less.without and enough else None

    less, what = shrink(SEED, breaks=breaks)
    assert what == "P1"
    assert kinds[0] not in less.without
    assert {*kinds[1:], *Story(SEED).mix.verbs} <= less.without
    assert (less.troubles_most, less.requests_most, less.hosts_most) == (5, 7, 1)


def test_a_seed_that_keeps_its_promises_is_left_alone() -> None:
    assert shrink(SEED) == (Less(), None)


@pytest.mark.parametrize(
    "less", [Less(), Less(frozenset({"half cut", "kill"}), 3, 10, 1), Less(requests_most=5)]
)
def test_what_is_left_is_read_as_it_is_written(less: Less) -> None:
    assert Less.read(less.text()) == less


def test_what_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        Less.read("luck=3")


def test_less_trouble_leaves_the_rest_of_a_seed_as_it_was() -> None:
    story = Story(SEED, less=Less(troubles_most=0))
    story.run()
    assert not story.happened
    assert story.mix == Story(SEED).mix


def test_every_kind_of_trouble_is_drawn() -> None:
    mixes = [draw(Random(seed)) for seed in range(200)]
    assert {name for mix in mixes for name in mix.faults} == set(FAULTS)
    assert {name for mix in mixes for name in mix.verbs} >= set(OPERATIONS)
