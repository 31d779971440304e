"""What a run of the benchmark leaves: JSON, Markdown and a chart that is well-formed."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench.aims import Comparison
from bench.cases.figures import CaseResult, Figure, Plot
from bench.report import text
from bench.report.chart import Bar, Group, chart
from bench.report.markdown import TITLES
from bench.report.results import Results
from bench.report.write import write
from bench.statistics import Spread
from tests.bench.figures import EFFORT, table

ENVIRONMENT = {
    "date": "today",
    "kernel": "6.1",
    "cpu": "some",
    "cpus": 2,
    "memory_gib": 8,
    "virtual_machine": True,
    "python": "3.11",
    "versions": {"fio": "fio-3.33"},
    "packages": {"uvloop": "0.23"},
    "code": {"commit": "abc", "sources_sha256": "def"},
    "cpu_share_before": 0.01,
    "load_average": [0.5, 0.4, 0.3],
}


@pytest.fixture
def results() -> Results:
    found = Results(ENVIRONMENT, EFFORT, "python -m bench --rows write")
    found.tables.append(table())
    figures = [Figure("longest write", "s", (0.3, 0.2, 0.6), 0.5), Figure("memory", "MiB", (109.0,), 100.0)]
    found.cases.append(CaseResult("stall", "Stall", "ext4", "A host writes.", figures))
    return found


def test_the_markdown_tells_ratios_aims_figures_and_events(results: Results, tmp_path: Path) -> None:
    report = write(results, tmp_path).read_text()
    rows = report.splitlines()
    load, ours = "write 4 KiB, depth 16", TITLES["bilocate-replicated"]
    mirror, plain = TITLES["qemu-mirror"], TITLES["bilocate-unreplicated"]
    assert f"| {load} | {ours} / {mirror} | 3.10 (3.00 to 3.10) | ≥ 3: reached |" in rows
    assert f"| {load} | {ours} / {plain} | 0.44 (0.39 to 0.55) | ≥ 0.5: **missed** |" in rows
    assert "| longest write | 0.30 (0.20 to 0.60) s | ≤ 0.5 s: reached |" in rows
    assert "| memory | 109 MiB | ≤ 100 MiB: **missed** |" in rows
    assert "**Not complete**: the run ended before the copies were compared." in rows
    assert "![requests per second](table-1.svg)" in rows


def test_every_table_has_as_many_cells_in_each_row(results: Results, tmp_path: Path) -> None:
    cells = 0
    for line in write(results, tmp_path).read_text().splitlines():
        if not line.startswith("|"):
            cells = 0
            continue
        assert cells in (0, line.count("|"))
        cells = line.count("|")


def test_the_json_holds_every_single_measurement(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path)
    told = json.loads((tmp_path / "results.json").read_text())
    found = told["tables"][0]["shapes"]["write-4k-16"]["bilocate-replicated"]
    assert [each["iops"] for each in found] == [30_000, 33_000, 31_000]
    assert told["tables"][0]["ratios"][0]["aim"] == 3.0
    assert told["cases"][0]["figures"][0]["values"] == [0.3, 0.2, 0.6]


def test_the_chart_is_svg_with_a_bar_for_each_server(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path)
    root = ElementTree.fromstring((tmp_path / "table-1.svg").read_text())
    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("x")]
    assert len(bars) == 5
    assert all(0 < float(each.get("width", "0")) <= 520 for each in bars)


def test_a_plot_is_a_table_and_a_chart_with_a_line_for_each(results: Results, tmp_path: Path) -> None:
    points = (Spread(1000.0, 900.0, 1100.0), Spread(4000.0, 3000.0, 5000.0))
    plot = Plot(
        "growth-depth",
        "By depth",
        "depth",
        (1, 16),
        "requests/s",
        {"replicated": points, "plain": points[::-1]},
    )
    results.cases.append(CaseResult("growth", "How speed grows", "tmpfs", "Writes.", plots=[plot]))
    rows = write(results, tmp_path).read_text().splitlines()
    assert "![By depth](growth-depth.svg)" in rows
    assert rows[rows.index("| requests/s, by depth | 1 | 16 | times |") :] == [
        "| requests/s, by depth | 1 | 16 | times |",
        "| --- | ---: | ---: | ---: |",
        "| replicated | 1,000 | 4,000 | 4.00 for 16 |",
        "| plain | 4,000 | 1,000 | 0.25 for 16 |",
    ]
    root = ElementTree.fromstring((tmp_path / "growth-depth.svg").read_text())
    drawn = [each.get("points", "").split() for each in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(each) for each in drawn] == [2, 2]
    assert drawn[0][0].split(",")[1] == drawn[1][1].split(",")[1]  # the same value at the same height


def test_names_in_a_chart_are_escaped() -> None:
    svg = chart("<a> & b", [Group("<g>", "IOPS", (Bar("<s>", 0, Spread(1.0, 1.0, 1.0)),))])
    ElementTree.fromstring(svg)
    assert "<a>" not in svg


@pytest.mark.parametrize(
    ("value", "told"), [(1234567.8, "1,234,568"), (99.96, "100.0"), (12.34, "12.3"), (0.456, "0.46")]
)
def test_numbers_have_three_digits_that_matter(value: float, told: str) -> None:
    assert text.number(value) == told


def test_a_table_aligns_numbers_to_the_right() -> None:
    assert text.table(["load", "IOPS"], [["read", "5"]]) == [
        "| load | IOPS |",
        "| --- | ---: |",
        "| read | 5 |",
    ]


@pytest.mark.parametrize(("aim", "told"), [(None, "-"), (2.0, "≥ 2: reached"), (2.5, "≥ 2.5: **missed**")])
def test_a_verdict_is_that_of_the_median(aim: float | None, told: str) -> None:
    assert text.verdict(Comparison("a", "b", aim), Spread(2.0, 1.0, 3.0)) == told
