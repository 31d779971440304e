"""A line chart as SVG: how a figure grows, with the range of each point."""

from bench.cases.figures import Plot
from bench.report import text
from bench.report.chart import COLOURS, label, svg

LEFT, WIDTH, RIGHT = 70, 560, 190
TOP, HEIGHT, BOTTOM = 50, 260, 40


def lines(plot: Plot) -> str:
    """The whole SVG."""
    greatest = max(point.greatest for line in plot.lines.values() for point in line)
    step = WIDTH / max(1, len(plot.places) - 1)

    def x(index: int) -> float:
        return LEFT + index * step

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - value / greatest)

    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        height = y(greatest * share)
        parts.append(
            f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{height:.1f}" y2="{height:.1f}" stroke="#e2e8f0"/>'
        )
        parts.append(label(LEFT - 6, height + 4, text.number(greatest * share), size=11, anchor="end"))
    for index, place in enumerate(plot.places):
        parts.append(label(x(index), TOP + HEIGHT + 18, str(place), size=11, anchor="middle"))
    for number, (name, line) in enumerate(plot.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(index):.1f},{y(point.median):.1f}" for index, point in enumerate(line))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<line x1="{x(index):.1f}" x2="{x(index):.1f}" y1="{y(point.least):.1f}" y2="{y(point.greatest):.1f}" '
            f'stroke="{colour}"/>'
            for index, point in enumerate(line)
        ]
        parts.append(label(LEFT + WIDTH + 8, y(line[-1].median) + 4, name, size=11))
    return svg(f"{plot.title} ({plot.unit})", LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM, parts)
