"""Small pieces of Markdown."""

from collections.abc import Sequence

from bench.aims import Comparison
from bench.statistics import Spread


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; all columns but the first are numbers."""
    align = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, align, *rows)]


def number(value: float) -> str:
    """Three digits that matter, and thousands set apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def place(value: float) -> str:
    """A place on the axis of what grows, such as 0.1 or 64,000."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def growth(places: Sequence[float], line: Sequence[Spread]) -> str:
    """How many times as much at the last place as at the first, and how many times the place that is."""
    if not line[0].median:
        return "-"
    return f"{number(line[-1].median / line[0].median)} for {place(round(places[-1] / places[0]))}"


def spread(found: Spread) -> str:
    """A median with its range."""
    return f"{number(found.median)} ({number(found.least)} to {number(found.greatest)})"


def verdict(comparison: Comparison, found: Spread) -> str:
    """The aim, and whether the median reaches it."""
    if comparison.aim is None:
        return "-"
    return f"≥ {comparison.aim:g}: {'reached' if found.median >= comparison.aim else '**missed**'}"
