"""A bar chart as SVG: requests per second by shape and server, with the range as a line. No library needed."""

from dataclasses import dataclass

from bench.report import text
from bench.report.drawing import INK, area, label, svg
from bench.statistics import Spread

BAR, GAP, GROUP_GAP = 16, 3, 18
LEFT, WIDTH, RIGHT = 170, 520, 190
TOP = 44


@dataclass(frozen=True)
class Bar:
    """One server's figure; `colour` is a number that means the same server in all groups."""

    label: str
    colour: int
    value: Spread


@dataclass(frozen=True)
class Group:
    """The bars of one shape. Each group has its own scale: shapes differ by orders of magnitude."""

    label: str
    unit: str
    bars: tuple[Bar, ...]


def chart(title: str, groups: list[Group]) -> str:
    """The whole SVG."""
    parts: list[str] = []
    y = TOP
    for group in groups:
        parts.append(label(LEFT - 8, y + BAR, group.label, anchor="end", weight="bold"))
        greatest = max(bar.value.greatest for bar in group.bars)
        for bar in group.bars:
            parts += _bar(bar, y, greatest, group.unit)
            y += BAR + GAP
        y += GROUP_GAP
    return svg(title, LEFT + WIDTH + RIGHT, y, parts)


def _bar(bar: Bar, y: int, greatest: float, unit: str) -> list[str]:
    def x(value: float) -> float:
        return LEFT + value / greatest * WIDTH

    middle = y + BAR / 2
    told = f"{bar.label}: {text.number(bar.value.median)} {unit}"
    return [
        f'<rect x="{LEFT}" y="{y}" width="{x(bar.value.median) - LEFT:.1f}" height="{BAR}" '
        f"{area(bar.colour)}/>",
        f'<line x1="{x(bar.value.least):.1f}" x2="{x(bar.value.greatest):.1f}" y1="{middle}" y2="{middle}" '
        f'class="mark" stroke="{INK}" stroke-width="1.5"/>',
        label(max(x(bar.value.greatest), x(bar.value.median)) + 6, y + BAR - 3, told, size=11),
    ]
