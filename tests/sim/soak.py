"""New seeds on all cores, until one breaks a promise, the time is over or all were run. One that breaks is then made
smaller, and shown."""

import multiprocessing
import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import count, islice

from tests.sim.bugs import BUGS
from tests.sim.shrink import shrink
from tests.sim.stories import is_whole, seldom_collect, story_of

# Seeds that a worker takes at once: a second's worth.
BATCH = 20
BATCH_WHOLE = 2
TELL_SECONDS = 60.0


@dataclass(slots=True)
class Ran:
    """What a worker says of a batch, or a soak of all of them."""

    seeds: int = 0
    whole: int = 0  # of them: with real controllers
    cpu_seconds: float = 0.0
    broken: tuple[int, str] | None = None  # the seed that broke a promise, and how

    def add(self, other: "Ran") -> None:
        """Both together."""
        self.seeds += other.seeds
        self.whole += other.whole
        self.cpu_seconds += other.cpu_seconds
        self.broken = self.broken or other.broken

    def text(self, seconds: float, cores: int) -> str:
        """For people."""
        rates = f"{self.seeds / seconds / cores:.1f} a second a core"
        cpu = f"{self.seeds / max(self.cpu_seconds, 1e-9):.1f} a second of its time"
        return f"{self.seeds} seeds, {self.whole} of them with real controllers, in {seconds:.0f} s: {rates}, {cpu}"


def soak(
    minutes: float | None = None, seeds: int | None = None, first: int | None = None, whole: bool = False
) -> int:
    """0 when every promise was kept. `seeds`: how many; None: as many as there are in these minutes. `whole`: of them,
    those with real controllers alone."""
    first = secrets.randbelow(2**40) if first is None else first
    cores = os.cpu_count() or 1
    print(f"{len(BUGS)} seeds that found something before, then seeds from {first} on", flush=True)
    began, ran, told = time.monotonic(), Ran(), 0.0
    batches = _batches(first, seeds, whole)
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        under_way: set[Future[Ran]] = {pool.submit(_batch, list(BUGS))}
        under_way |= {pool.submit(_batch, batch) for _, batch in zip(range(2 * cores), batches, strict=False)}
        while under_way:
            ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            seconds = time.monotonic() - began
            for each in ended:
                ran.add(each.result())
                more = next(batches, None) if minutes is None or seconds < minutes * 60 else None
                if more is not None and ran.broken is None:
                    under_way.add(pool.submit(_batch, more))
            if ran.broken is not None:
                pool.shutdown(cancel_futures=True)
                break
            if seconds > told + TELL_SECONDS:
                told = seconds
                print(ran.text(seconds, cores), flush=True)
    print(ran.text(time.monotonic() - began, cores), flush=True)
    if ran.broken is None:
        print("every promise was kept")
        return 0
    show(*ran.broken)
    return 1


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


def _batches(first: int, seeds: int | None, whole: bool) -> Iterator[list[int]]:
    wanted = (seed for seed in count(first) if is_whole(seed) or not whole)
    left = seeds
    while left is None or left > 0:
        batch = list(islice(wanted, BATCH_WHOLE if whole else BATCH))[:left]
        yield batch
        left = None if left is None else left - len(batch)


def _batch(seeds: list[int]) -> Ran:
    seldom_collect()
    ran, began = Ran(), time.process_time()
    for seed in seeds:
        ran.seeds += 1
        ran.whole += is_whole(seed)
        try:
            story_of(seed).run()
        except Exception as error:
            ran.broken = seed, f"{type(error).__name__}: {error}"
            break
    ran.cpu_seconds = time.process_time() - began
    return ran
