"""Nothing is printed while worlds are made and ended."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from random import Random

import pytest
from tests.quiet import quiet
from tests.sim.whole.world import WholeWorld, seeded_ids

__all__ = ["quiet"]

MakeWorld = Callable[[int, int], WholeWorld]


@pytest.fixture
def make_world() -> Iterator[MakeWorld]:
    """Makes one with so many pairs and controllers, in step, in which nothing happens by accident."""
    with ExitStack() as ending:

        def make(pairs: int, controllers: int) -> WholeWorld:
            ending.enter_context(seeded_ids(Random(1)))
            world = WholeWorld(pairs, controllers)
            ending.callback(world.close)
            world.file.accidents.calm = True
            world.start()
            assert world.run_until(world.in_step, 5.0)
            return world

        yield make
