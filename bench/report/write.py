"""Write the report of a run: results.json, report.md and a chart for each table and each plot of a case."""

from pathlib import Path

from bench.measurement import Measurement
from bench.report.chart import Bar, Group, chart
from bench.report.lines import lines
from bench.report.markdown import TITLES, markdown
from bench.report.results import Results
from bench.rounds import Rounds
from bench.shapes import Shape
from bench.statistics import spread
from bench.tables import Table


def write(results: Results, directory: Path) -> Path:
    """Write all files, over those of an earlier call; the path of the Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    results.write_json(directory / "results.json")
    charts: dict[int, str] = {}
    for number, table in enumerate(results.tables):
        if table.rounds:
            charts[number] = f"table-{number + 1}.svg"
            (directory / charts[number]).write_text(_chart(table))
    for plot in (each for case in results.cases for each in case.plots):
        (directory / f"{plot.name}.svg").write_text(lines(plot))
    report = directory / "report.md"
    report.write_text(markdown(results, charts))
    return report


def _chart(table: Table) -> str:
    return chart(table.title, [_group(shape, rounds) for shape, rounds in table.rounds.items()])


def _group(shape: Shape, rounds: Rounds) -> Group:
    def figure(one: Measurement) -> float:
        return one.load.mb_per_second if shape.is_large else one.load.iops

    order = list(TITLES)
    bars = tuple(
        Bar(TITLES[name], order.index(name), spread(found, figure))
        for name, found in sorted(rounds.items(), key=lambda item: order.index(item[0]))
    )
    return Group(shape.title, "MB/s" if shape.is_large else "IOPS", bars)
