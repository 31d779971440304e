"""A line chart as SVG: how a figure grows, with the range of each point."""

from collections.abc import Callable

from bench.cases.figures import Plot
from bench.report import text
from bench.report.axis import Axis, apart, linear, logarithmic
from bench.report.drawing import area, grid, label, stroke, svg, upright
from bench.statistics import Spread

LEFT, WIDTH, RIGHT = 84, 540, 196
TOP, HEIGHT, BOTTOM = 58, 260, 56
LABEL_HEIGHT = 15.0
TICK_SHARE = 0.05  # of the width, that the name of a place takes

At = Callable[[float], float]


def lines(plot: Plot) -> str:
    """The whole SVG."""
    across = Axis(plot.places[0], plot.places[-1], True, plot.places)
    up = _up(plot)

    def x(value: float) -> float:
        return LEFT + WIDTH * across.share(value)

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - up.share(max(value, up.low)))

    parts = [label(12, 44, _legend(plot), size=11), *_axes(plot, across, up, x, y)]
    if plot.cost:
        parts.append(_in_proportion(plot, up, x, y))
    for number, line in enumerate(plot.lines.values()):
        parts += _line(number, plot.places, line, x, y)
    ends = apart([y(line[-1].median) for line in plot.lines.values()], LABEL_HEIGHT)
    for number, (name, height) in enumerate(zip(plot.lines, ends, strict=True)):
        parts.append(f'<circle cx="{LEFT + WIDTH + 12}" cy="{height:.1f}" r="4" {area(number)}/>')
        parts.append(label(LEFT + WIDTH + 20, height + 4, name))
    return svg(plot.title, LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM, parts)


def _legend(plot: Plot) -> str:
    words = "Medians; upright lines from the least to the greatest." if _has_ranges(plot) else ""
    return f"{words} Dashed: in proportion to what is counted below.".strip() if plot.cost else words


def _has_ranges(plot: Plot) -> bool:
    return any(point.least < point.greatest for line in plot.lines.values() for point in line)


def _up(plot: Plot) -> Axis:
    points = [point for line in plot.lines.values() for point in line]
    if not plot.cost:
        return linear(max(point.greatest for point in points))
    # Zero has no logarithm: what was too little to be measured is drawn as the least that was.
    return logarithmic([each for point in points for each in (point.least, point.greatest) if each > 0])


def _axes(plot: Plot, across: Axis, up: Axis, x: At, y: At) -> list[str]:
    parts = []
    for value in up.ticks:
        parts.append(grid(LEFT, y(value), LEFT + WIDTH, y(value)))
        parts.append(label(LEFT - 8, y(value) + 4, f"{value:,g}", size=11, anchor="end"))
    last = 1 + TICK_SHARE
    for value in reversed(across.ticks):
        parts.append(grid(x(value), TOP + HEIGHT, x(value), TOP + HEIGHT + 4))
        if last - across.share(value) >= TICK_SHARE:
            parts.append(label(x(value), TOP + HEIGHT + 18, text.place(value), size=11, anchor="middle"))
            last = across.share(value)
    parts.append(label(LEFT + WIDTH / 2, TOP + HEIGHT + 40, plot.along, anchor="middle"))
    parts.append(upright(18, TOP + HEIGHT / 2, plot.unit))
    return parts


def _line(number: int, places: tuple[float, ...], line: tuple[Spread, ...], x: At, y: At) -> list[str]:
    points = [(x(place), y(point.median)) for place, point in zip(places, line, strict=True)]
    drawn = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
    parts = [f'<polyline points="{drawn}" fill="none" stroke-width="2" {stroke(number)}/>']
    parts += [f'<circle cx="{left:.1f}" cy="{top:.1f}" r="2.5" {area(number)}/>' for left, top in points]
    parts += [
        f'<line x1="{x(place):.1f}" x2="{x(place):.1f}" y1="{y(point.least):.1f}" y2="{y(point.greatest):.1f}" '
        f"{stroke(number)}/>"
        for place, point in zip(places, line, strict=True)
        if point.least < point.greatest
    ]
    return parts


def _in_proportion(plot: Plot, up: Axis, x: At, y: At) -> str:
    """From the first point of the dearest line, to the end of the chart or its top."""
    first = max((line[0].median for line in plot.lines.values()), default=up.low)
    first = max(first, up.low)
    place = min(plot.places[-1], plot.places[0] * up.high / first)
    value = first * place / plot.places[0]
    return (
        f'<line x1="{x(plot.places[0]):.1f}" y1="{y(first):.1f}" x2="{x(place):.1f}" y2="{y(value):.1f}" '
        f'stroke-dasharray="6 5" {stroke(3)}/>'
    )
