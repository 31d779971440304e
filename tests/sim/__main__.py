"""`python -m tests.sim SEED [--less ...]`: replay one seed with its trace. `SEED --count N`: run many.

`--soak`: new ones on all cores, for so many `--minutes`, or so many `--seeds` from the `--first` on.
`SEED --shrink`: make a seed that breaks a promise smaller, and show it.
"""

import argparse
import sys
import time

from tests.sim.branches import report
from tests.sim.mix import Less
from tests.sim.soak import show, soak
from tests.sim.stories import is_whole, seldom_collect, story_of

BRANCH_SEEDS = 1000


def main() -> int:
    """0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    parser.add_argument("--count", type=int, default=0, help="run so many seeds, without traces")
    parser.add_argument("--stop", action="store_true", help="with --count: at the first that breaks")
    parser.add_argument("--core", action="store_true", help="with --count: none with real controllers")
    parser.add_argument(
        "--branches", action="store_true", help="with --count: which branches are seldom taken"
    )
    parser.add_argument("--soak", action="store_true", help="new seeds on all cores")
    parser.add_argument("--minutes", type=float, help="with --soak: for so long")
    parser.add_argument("--seeds", type=int, help="with --soak: so many")
    parser.add_argument("--whole", action="store_true", help="with --soak: only those with real controllers")
    parser.add_argument("--first", type=int, help="with --soak: from this one on; else from anywhere")
    parser.add_argument("--less", type=Less.read, default=Less(), help="take trouble away, as a soak says")
    parser.add_argument("--shrink", action="store_true", help="find the least of the seed that breaks")
    args = parser.parse_args()
    if args.soak:
        return soak(args.minutes, args.seeds, args.first, args.whole)
    if args.shrink:
        show(args.seed, "as you say")
        return 0
    if args.branches:
        return report(range(args.seed, args.seed + (args.count or BRANCH_SEEDS)))
    if args.count:
        seeds = range(args.seed, args.seed + args.count)
        return _many([seed for seed in seeds if not (args.core and is_whole(seed))], args.stop)
    return _replay(args.seed, args.less)


def _many(seeds: list[int], stop: bool) -> int:
    seldom_collect()
    began, broken = time.monotonic(), 0
    for seed in seeds:
        try:
            story_of(seed).run()
        except Exception as error:
            broken += 1
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
            if stop:
                return 1
    seconds = time.monotonic() - began
    print(f"{len(seeds)} seeds, {broken} broke a promise, {len(seeds) / seconds:.1f} seeds/s")
    return 1 if broken else 0


def _replay(seed: int, less: Less) -> int:
    story = story_of(seed, trace=True, less=less)
    try:
        said, code = str(story.run()), 0
    except Exception as error:
        said, code = f"seed {seed}: {type(error).__name__}: {error}", 1
    print(story.world.trace.text())
    print(said)
    return code


if __name__ == "__main__":
    sys.exit(main())
