"""From a value to its place along an axis, and the round values that are named there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Axis:
    """`low` and `high` are its ends, by value."""

    low: float
    high: float
    logarithmic: bool
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(greatest: float) -> Axis:
    """From zero to a round value that nothing goes beyond, in at most six steps."""
    step = _round_step(greatest / 5)
    count = math.ceil(greatest / step - 1e-9)
    return Axis(0.0, step * count, False, tuple(step * number for number in range(count + 1)))


def logarithmic(values: Sequence[float]) -> Axis:
    """From 1, 2 or 5 times a power of ten to another, around positive values; over many decades only powers
    of ten are named."""
    least, greatest = min(values), max(values)
    marks = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(greatest)) + 2)
        for factor in (1, 2, 5)
    ]
    low = max(mark for mark in marks if mark <= least * (1 + 1e-9))
    high = min(mark for mark in marks if mark >= greatest * (1 - 1e-9) and mark > low)
    inside = [mark for mark in marks if low <= mark <= high]
    if high / low > 500:
        inside = [mark for mark in inside if f"{mark:e}".startswith("1")]
    return Axis(low, high, True, tuple(inside))


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return float(
        next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))
    )


def apart(heights: Sequence[float], distance: float) -> list[float]:
    """Heights of labels, moved until each is `distance` from the next, as little as it takes; in the given order."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    moved = list(heights)
    for before, index in pairwise(order):
        moved[index] = max(moved[index], moved[before] + distance)
    return moved
