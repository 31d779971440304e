"""New seeds on all cores, until one breaks a promise or the time is over. Its seed is printed for `make sim SEED=n`."""

import multiprocessing
import os
import secrets
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import count

from tests.sim.story import Story

# Seeds that a worker takes at once: a few seconds' worth.
BATCH = 20


def soak(minutes: float) -> int:
    """0 when every promise was kept."""
    first, until, done = secrets.randbelow(2**40), time.monotonic() + minutes * 60, 0
    cores = os.cpu_count() or 1
    print(f"seeds from {first} on", flush=True)
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        starts = count(first, BATCH)
        under_way = {pool.submit(_batch, next(starts)) for _ in range(2 * cores)}
        while under_way:
            ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for each in ended:
                broken = each.result()
                if broken is not None:
                    print(
                        f"seed {broken[0]} broke a promise: {broken[1]}\nreplay it: make sim SEED={broken[0]}"
                    )
                    pool.shutdown(cancel_futures=True)
                    return 1
                done += BATCH
                if time.monotonic() < until:
                    under_way.add(pool.submit(_batch, next(starts)))
    print(f"{done} seeds kept every promise")
    return 0


def _batch(first: int) -> tuple[int, str] | None:
    for seed in range(first, first + BATCH):
        try:
            Story(seed).run()
        except Exception as error:
            return seed, f"{type(error).__name__}: {error}"
    return None
