"""Medians with their range, and ratios of what was measured side by side."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from bench.measurement import Measurement


@dataclass(frozen=True)
class Spread:
    """A median with the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(median(values), min(values), max(values))

    def as_json(self) -> dict[str, float]:
        """For the report."""
        return asdict(self)


def spread(measurements: Sequence[Measurement], figure: Callable[[Measurement], float]) -> Spread:
    """Of one figure over all repetitions."""
    return Spread.of([figure(each) for each in measurements])


def ratio(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> Spread:
    """How many times as many requests per second: the ratio of the medians; least and greatest of the repetitions'
    own ratios, each of two measurements made within the same round."""
    medians = [median(each.load.iops for each in one) for one in (ours, theirs)]
    pairs = [one.load.iops / other.load.iops for one, other in zip(ours, theirs, strict=True)]
    return Spread(medians[0] / medians[1], min(pairs), max(pairs))
