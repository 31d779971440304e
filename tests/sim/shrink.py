"""A seed that broke a promise, made smaller: fewer kinds of trouble, less of it, fewer requests and hosts."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.sim.checkers.violation import Violation
from tests.sim.mix import Less
from tests.sim.stories import mix_of, story_of

SECONDS = 60.0


def broken(seed: int, less: Less) -> str | None:
    """What breaks, in a few words that stay the same as a seed gets smaller; None: nothing does."""
    try:
        story_of(seed, less=less).run()
    except Violation as violation:
        return violation.promise
    except Exception as error:
        return type(error).__name__
    return None


def shrink(
    seed: int, seconds: float = SECONDS, breaks: Callable[[int, Less], str | None] = broken
) -> tuple[Less, str | None]:
    """The least that still breaks the same promise, as far as it is found in `seconds`; and what breaks."""
    least = Less()
    what = breaks(seed, least)
    until = time.monotonic() + seconds
    smaller = what is not None
    while smaller:
        smaller = False
        for candidate in _candidates(seed, least):
            if time.monotonic() > until:
                return least, what
            if breaks(seed, candidate) == what:
                least, smaller = candidate, True
                break
    return least, what


def _candidates(seed: int, least: Less) -> Iterator[Less]:
    """Each takes something more away; the boldest first."""
    mix = mix_of(seed)
    other = [name for name, there in (("plot", mix.plot), ("plan", mix.planned)) if there]
    for name in sorted({*mix.faults, *mix.verbs, *other} - least.without):
        yield replace(least, without=least.without | {name})
    for field, start in (("troubles_most", 64), ("requests_most", 128), ("hosts_most", len(mix.hosts))):
        now = getattr(least, field)
        most = start if now is None else now
        lowest = 1 if field == "hosts_most" else 0
        tried = {most // 2, most - 1} if now is not None else {most, most // 2}
        for value in sorted(value for value in tried if value >= lowest and value != now):
            yield replace(least, **{field: value})  # type: ignore[arg-type]
