"""`python -m tests.sim SEED [COUNT]`: replay one seed with its trace, or run many; `--soak MINUTES`: new ones."""

import sys
import time

from tests.sim.soak import soak
from tests.sim.story import Story


def main() -> int:
    """One seed prints its trace; many print those that broke a promise."""
    if sys.argv[1] == "--soak":
        return soak(float(sys.argv[2]))
    first = int(sys.argv[1])
    if len(sys.argv) < 3:
        return _replay(first)
    began, count, broken = time.monotonic(), int(sys.argv[2]), 0
    for seed in range(first, first + count):
        try:
            Story(seed).run()
        except Exception as error:
            broken += 1
            print(f"seed {seed}: {type(error).__name__}: {error}")
    seconds = time.monotonic() - began
    print(f"{count} seeds, {broken} broke a promise, {count / seconds:.1f} seeds/s")
    return 1 if broken else 0


def _replay(seed: int) -> int:
    story = Story(seed, trace=True)
    try:
        told = story.run()
    except Exception as error:
        print(story.world.trace.text())
        print(f"seed {seed}: {type(error).__name__}: {error}")
        raise
    print(story.world.trace.text())
    print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
