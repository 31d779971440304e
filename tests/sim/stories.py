"""Which world a seed is of: every twentieth has real controllers, the others the small stand-in, which is faster."""

import gc
from random import Random

from tests.sim.mix import ALL, WHOLE_EVERY, Less, Mix, draw, mix_of_whole
from tests.sim.story import Story
from tests.sim.whole.story import WholeStory

# A world is a heap of things that know each other: looking for garbage among them takes a twentieth of the time.
GARBAGE_AFTER = 200_000


def seldom_collect() -> None:
    """For processes that run many seeds: what is there now stays, and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


def story_of(seed: int, trace: bool = False, less: Less = ALL) -> Story:
    """The seed's story."""
    return WholeStory(seed, trace, less) if is_whole(seed) else Story(seed, trace, less)


def is_whole(seed: int) -> bool:
    """Whether it has real controllers."""
    return seed % WHOLE_EVERY == 0


def mix_of(seed: int) -> Mix:
    """What the seed draws before it begins."""
    return mix_of_whole(seed) if is_whole(seed) else draw(Random(f"{seed} mix"))
