"""What a case finds: named figures with their unit and, where there is one, the aim."""

from dataclasses import dataclass, field
from typing import Any

from bench.statistics import Spread


@dataclass(frozen=True)
class Figure:
    """One figure over all repetitions. `aim`: the most it should be; None where there is no aim."""

    name: str
    unit: str
    values: tuple[float, ...]
    aim: float | None = None

    @property
    def spread(self) -> Spread:
        """Its median and range."""
        return Spread.of(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median is within the aim."""
        return None if self.aim is None else self.spread.median <= self.aim

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {"name": self.name, "unit": self.unit, "values": self.values, "aim": self.aim}


@dataclass(frozen=True)
class Plot:
    """How a figure grows: lines over the same places, shown at the distance of their logarithms."""

    name: str  # of its file
    title: str
    along: str  # what the places count, with its unit
    places: tuple[float, ...]  # positive, in order
    unit: str
    lines: dict[str, tuple[Spread, ...]]
    cost: bool = False  # less is better: shown by its logarithm, beside what grows in proportion

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        lines = {name: [each.as_json() for each in line] for name, line in self.lines.items()}
        return {
            "name": self.name,
            "title": self.title,
            "along": self.along,
            "places": self.places,
            "unit": self.unit,
            "lines": lines,
        }


@dataclass
class CaseResult:
    """All figures of a case, and what a reader must know of how they came about."""

    name: str
    title: str
    medium: str
    notes: str
    figures: list[Figure] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "name": self.name,
            "title": self.title,
            "medium": self.medium,
            "notes": self.notes,
            "figures": [figure.as_json() for figure in self.figures],
            "plots": [plot.as_json() for plot in self.plots],
        }
