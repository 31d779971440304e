"""`python -m tests.torture [--minutes N] [--seed S]`: the real daemons under kill -9, SIGSTOP and cut links.

Seed S, S+1, ... until the minutes are over or a promise is broken; without minutes one seed alone. Each has an
installation of its own and several rounds. Of a failure everything is kept in a directory that is named: logs,
diaries, volumes, the plan and a trace of what was done when.
"""

import argparse
import contextlib
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import running_server
from tests.torture.hosts import ROUNDS_MAX
from tests.torture.plan import plan_of
from tests.torture.world import World

ROOT = Path(__file__).parents[2]


def main() -> int:
    """0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=None, help="the first; without one, by the clock")
    parser.add_argument("--rounds", type=int, default=ROUNDS_MAX, help="of each seed")
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "torture")
    parser.add_argument("--plan", action="store_true", help="only print what would be done")
    args = parser.parse_args()
    seed = int(time.time()) if args.seed is None else args.seed
    rounds = min(args.rounds, ROUNDS_MAX)
    if args.plan:
        for number in range(1, rounds + 1):
            print(f"round {number}: {plan_of(seed, number)}")
        return 0
    return torture(seed, args.minutes, rounds, args.directory)


def torture(seed: int, minutes: float, rounds: int, directory: Path) -> int:
    """Seeds until the time is over; 1 when a promise was broken."""
    began, done = time.monotonic(), 0
    with _postgresql() as server:
        while done == 0 or time.monotonic() - began < minutes * 60:
            place = directory / f"seed-{seed}-{time.strftime('%H%M%S')}"
            if not seed_holds(seed, rounds, place, server):
                return 1
            done, seed = done + 1, seed + 1
    print(f"{done} seeds in {(time.monotonic() - began) / 60:.1f} minutes: every promise was kept")
    return 0


def seed_holds(seed: int, rounds: int, place: Path, server: str | None) -> bool:
    """Play one seed; `place` is left behind only if a promise was broken."""
    number, world = 0, World(seed, place, server)
    try:
        world.begin()
        for number in range(1, rounds + 1):
            (place / f"plan-{number}").write_text(f"{plan_of(seed, number)}\n")
            print(f"seed {seed} round {number}: {world.round(number)}", flush=True)
    except Exception:
        (place / "failure").write_text(traceback.format_exc())
        print(f"seed {seed} round {number}: BROKEN\n{traceback.format_exc()}", flush=True)
        print(
            f"Everything is in {place}. Again, at other moments: make torture MINUTES=0 SEED={seed}",
            flush=True,
        )
        return False
    finally:
        world.close()
    shutil.rmtree(place)
    return True


@contextlib.contextmanager
def _postgresql() -> Iterator[str | None]:
    """A server for the seeds with several controllers; None where there is none."""
    with contextlib.ExitStack() as opened:
        try:
            server = opened.enter_context(running_server())
        except pytest.skip.Exception as missing:
            print(f"one controller in every seed: {missing}", flush=True)
            server = None
        yield server


if __name__ == "__main__":
    sys.exit(main())
