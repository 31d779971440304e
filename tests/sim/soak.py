"""New seeds on all cores, until one breaks a promise or the time is over. It is then made smaller, and shown."""

import multiprocessing
import os
import secrets
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import count

from tests.sim.bugs import BUGS
from tests.sim.shrink import shrink
from tests.sim.stories import seldom_collect, story_of

# Seeds that a worker takes at once: a few seconds' worth.
BATCH = 20


def soak(minutes: float) -> int:
    """0 when every promise was kept."""
    began, first, done = time.monotonic(), secrets.randbelow(2**40), 0
    until = began + minutes * 60
    cores = os.cpu_count() or 1
    print(f"{len(BUGS)} seeds that found something before, then seeds from {first} on", flush=True)
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        starts = count(first, BATCH)
        under_way = {pool.submit(_batch, list(BUGS))}
        under_way |= {pool.submit(_batch, _from(next(starts))) for _ in range(2 * cores)}
        while under_way:
            ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for each in ended:
                broken = each.result()
                if broken is not None:
                    pool.shutdown(cancel_futures=True)
                    show(*broken)
                    return 1
                done += BATCH
                if time.monotonic() < until:
                    under_way.add(pool.submit(_batch, _from(next(starts))))
    seconds = time.monotonic() - began
    print(f"{done} seeds kept every promise: {done / seconds:.0f} a second on {cores} cores")
    return 0


def show(seed: int, why: str) -> None:
    """The seed, the least of it that breaks the same promise, and the trace of that."""
    print(f"seed {seed} broke a promise: {why}\nmaking it smaller ...", flush=True)
    less, what = shrink(seed)
    story = story_of(seed, trace=True, less=less)
    try:
        story.run()
        said = (
            f"{what} was not broken again: the seed is not the same twice, which is a defect of the simulator"
        )
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    print(story.world.trace.text())
    print(f"seed {seed}: {said}\nreplay this: make sim SEED={seed} LESS={less.text()}")


def _from(first: int) -> list[int]:
    return list(range(first, first + BATCH))


def _batch(seeds: list[int]) -> tuple[int, str] | None:
    seldom_collect()
    for seed in seeds:
        try:
            story_of(seed).run()
        except Exception as error:
            return seed, f"{type(error).__name__}: {error}"
    return None
