"""The report that people read."""

from typing import Any

from bench.aims import comparisons
from bench.cases.figures import CaseResult, Figure, Plot
from bench.own.servers import OwnReplicated, OwnUnreplicated
from bench.peers.plain import Nbdkit, QemuNbd
from bench.peers.qemu_mirror import QemuMirror
from bench.report import text
from bench.report.results import Results
from bench.statistics import ratio, spread
from bench.tables import Table

TITLES = {
    server.name: server.title for server in (OwnReplicated, QemuMirror, OwnUnreplicated, Nbdkit, QemuNbd)
}


def markdown(results: Results, charts: dict[int, str]) -> str:
    """The whole report; `charts`: the SVG file of each table, by its number."""
    lines = ["# Benchmark", "", *_head(results)]
    for number, each in enumerate(results.tables):
        lines += ["", f"## {each.title}", ""]
        if not each.verified:
            lines += ["**Not complete**: the run ended before the copies were compared.", ""]
        if number in charts:
            lines += [f"![requests per second]({charts[number]})", ""]
        lines += [*_ratios(each), "", *_figures(each), "", *_settings(each)]
    for case in results.cases:
        lines += ["", *_case(case)]
    return "\n".join(lines) + "\n"


def _head(results: Results) -> list[str]:
    env, effort = results.environment, results.effort
    versions = ", ".join(f"{name}: {told}" for name, told in env["versions"].items())
    packages = ", ".join(f"{name} {told}" for name, told in env["packages"].items())
    return [
        f"`{results.command}`, {env['date']}.",
        "",
        f"- {env['cpu']}, {env['cpus']} CPUs{_virtual(env)}, {env['memory_gib']} GiB, Linux {env['kernel']}",
        f"- Python {env['python']}, {packages}; {versions}",
        f"- Code: {env['code']['commit']}, sources {env['code']['sources_sha256']}",
        f"- Before the run {env['cpu_share_before']:.0%} of the CPUs were in use; load average "
        f"{env['load_average'][0]:.2f}",
        f"- {effort.repetitions} interleaved repetitions of {effort.seconds:g} s after a warm-up of "
        f"{effort.warm_up_seconds:g} s, working set {effort.working_set_bytes // 2**20} MiB, filled in requests of "
        f"{effort.fill_block_bytes // 1024} KiB. Medians, with least and greatest in brackets",
    ]


def _virtual(env: dict[str, Any]) -> str:
    return " of a virtual machine" if env["virtual_machine"] else ""


def _ratios(each: Table) -> list[str]:
    rows = []
    for shape, rounds in each.rounds.items():
        for one in comparisons(shape):
            if one.ours in rounds and one.theirs in rounds:
                found = ratio(rounds[one.ours], rounds[one.theirs])
                compared = f"{TITLES[one.ours]} / {TITLES[one.theirs]}"
                rows.append([shape.title, compared, text.spread(found), text.verdict(one, found)])
    return text.table(["load", "requests per second of", "ratio", "aim"], rows)


def _figures(each: Table) -> list[str]:
    head = [
        "load",
        "server",
        "IOPS",
        "MB/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "CPU s/GB",
        "CPU s/100k",
        "elsewhere",
    ]
    rows = []
    for shape, rounds in each.rounds.items():
        for name, found in rounds.items():
            elsewhere = max(one.elsewhere_cpus for one in found)
            rows.append(
                [
                    shape.title,
                    TITLES[name],
                    text.spread(spread(found, lambda one: one.load.iops)),
                    text.number(spread(found, lambda one: one.load.mb_per_second).median),
                    text.number(spread(found, lambda one: one.load.p50_us).median),
                    text.number(spread(found, lambda one: one.load.p99_us).median),
                    text.number(spread(found, lambda one: one.load.p999_us).median),
                    text.number(spread(found, lambda one: one.cpu_seconds_per_gb).median),
                    text.number(spread(found, lambda one: one.cpu_seconds_per_100k).median),
                    f"{elsewhere:.2f}",
                ]
            )
    return [
        *text.table(head, rows),
        "",
        "*elsewhere*: CPUs in use by neither fio nor the server, in the worst repetition: kernel threads, other "
        "programs, what the machine's host took away.",
    ]


def _settings(each: Table) -> list[str]:
    lines = ["Settings:", ""]
    lines += [f"- {TITLES[name]}: {told}" for name, told in each.settings.items()]
    for name, tried in each.tried.items():
        best = max(one.score for one in tried)
        told = "; ".join(f"{one.settings}: {one.score / best:.0%}" for one in tried)
        lines.append(f"- tried for {TITLES[name]}, best of two short runs of three shapes: {told}")
    return lines


def _case(case: CaseResult) -> list[str]:
    rows = [[each.name, f"{_value(each)} {each.unit}", _aim(each)] for each in case.figures]
    lines = [f"## {case.title}", "", f"On {case.medium}. {case.notes}", ""]
    if rows:
        lines += [*text.table(["figure", "median (least to greatest)", "aim"], rows), ""]
    for plot in case.plots:
        lines += [f"![{plot.title}]({plot.name}.svg)", "", *_plot(plot), ""]
    return lines[:-1]


def _plot(plot: Plot) -> list[str]:
    rows = [
        [name, *(text.number(point.median) for point in line), text.growth(plot.places, line)]
        for name, line in plot.lines.items()
    ]
    return text.table([f"{plot.unit}, by {plot.along}", *map(text.place, plot.places), "times"], rows)


def _value(figure: Figure) -> str:
    return text.spread(figure.spread) if len(figure.values) > 1 else text.number(figure.values[0])


def _aim(figure: Figure) -> str:
    if figure.aim is None:
        return "-"
    return f"≤ {figure.aim:g} {figure.unit}: {'reached' if figure.reached else '**missed**'}"
