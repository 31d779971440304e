"""Random worlds: everything goes wrong, then all is healed, and every promise must have been kept.

SIM_SEEDS and SIM_FIRST say how many and from where on; `python -m tests.sim SEED` replays one with its trace.
"""

import os

import pytest
from tests.sim.bugs import BUGS
from tests.sim.mix import WHOLE_EVERY
from tests.sim.stories import story_of

FIRST = int(os.environ.get("SIM_FIRST", "1"))
COUNT = int(os.environ.get("SIM_SEEDS", "200"))


@pytest.mark.parametrize("seed", [*BUGS, *range(FIRST, FIRST + COUNT)])
def test_every_promise_is_kept(seed: int) -> None:
    try:
        told = story_of(seed).run()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error}; replay it: python -m tests.sim {seed}") from error
    assert told.requests > 0


@pytest.mark.parametrize("seed", [FIRST + 6, WHOLE_EVERY, 2 * WHOLE_EVERY])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    traces = set()
    for _ in range(10 if seed % WHOLE_EVERY else 3):
        story = story_of(seed, trace=True)
        story.run()
        traces.add(story.world.trace.text())
    assert len(traces) == 1
    assert len(traces.pop().splitlines()) > 500
