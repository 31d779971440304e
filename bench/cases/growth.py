"""How the requests per second of writes grow: by depth, connections, volumes in a group, and groups."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import fio
from bench.cases.figures import CaseResult, Plot
from bench.own.installation import SITES, Installation
from bench.place import Place
from bench.shapes import KIB, MIB, Shape
from bench.statistics import Spread

DEPTHS = (1, 2, 4, 8, 16, 32, 64, 128)
CONNECTIONS = (1, 2, 4, 8, 16)
VOLUMES = (1, 2, 4, 8)
GROUPS = (1, 2, 4, 8)
DEPTH_OF_EACH = 4
SECONDS = 0.5
WORKING_SET_BYTES = 64 * MIB
NOTES = (
    "Random writes of 4 KiB within 64 MiB of each volume, half a second for each point; a round takes all points one "
    f"after the other. By connections, volumes and groups {DEPTH_OF_EACH} are under way on each of them. Charts show "
    "ranges too."
)


@dataclass(frozen=True)
class Line:
    """`uris(n)` and `depth(n)`: what is written to at place n, and how many are under way on each."""

    uris: Callable[[int], list[str]]
    depth: Callable[[int], int]


def run(place: Place, repetitions: int) -> CaseResult:
    """All volumes are made before anything is measured."""
    installation = Installation(place)
    try:
        found = [_grown(place, repetitions, *each) for each in _wanted(installation)]
    finally:
        installation.stop()
    return CaseResult("growth", "How speed grows", str(place.medium), NOTES, plots=found)


def _wanted(installation: Installation) -> list[tuple[str, str, tuple[int, ...], dict[str, Line]]]:
    plain = [installation.connect(installation.volume("plain", 1, SITES[0]))]
    one = _group(installation, "one", 1)
    group = {count: _group(installation, f"of-{count}", count) for count in VOLUMES}
    groups = [uri for number in range(max(GROUPS)) for uri in _group(installation, f"g{number}", 1)]
    by_depth = {
        "replicated": Line(lambda n: one, lambda n: n),
        "unreplicated": Line(lambda n: plain, lambda n: n),
    }
    by_connections = {
        "replicated": Line(lambda n: one * n, lambda n: DEPTH_OF_EACH),
        "unreplicated": Line(lambda n: plain * n, lambda n: DEPTH_OF_EACH),
    }
    by_volumes = {"replicated": Line(lambda n: group[n], lambda n: DEPTH_OF_EACH)}
    by_groups = {"replicated": Line(lambda n: groups[:n], lambda n: DEPTH_OF_EACH)}
    return [
        ("growth-depth", "By depth", DEPTHS, by_depth),
        ("growth-connections", "By connections to one volume", CONNECTIONS, by_connections),
        ("growth-volumes", "By volumes in one group", VOLUMES, by_volumes),
        ("growth-groups", "By groups of one volume", GROUPS, by_groups),
    ]


def _group(installation: Installation, name: str, count: int) -> list[str]:
    """NBD addresses of a group's volumes, in step."""
    twins = [
        (
            installation.volume(f"{name}-{number}-az1", 1, SITES[0]),
            installation.volume(f"{name}-{number}-az2", 1, SITES[1]),
        )
        for number in range(count)
    ]
    installation.group(name, twins)
    return [installation.connect(one) for one, _ in twins]


def _grown(
    place: Place, repetitions: int, name: str, title: str, places: tuple[int, ...], lines: dict[str, Line]
) -> Plot:
    found: dict[tuple[str, int], list[float]] = {(line, n): [] for line in lines for n in places}
    for repetition in range(repetitions + 1):  # the first warms up
        for (line, n), values in found.items():
            shape = Shape("write", 4 * KIB, lines[line].depth(n))
            uris = lines[line].uris(n)
            values.append(fio.run_beside(uris, shape, SECONDS, WORKING_SET_BYTES, place.medium, repetition))
    grown = {line: tuple(Spread.of(found[line, n][1:]) for n in places) for line in lines}
    return Plot(name, title, places, "requests/s", grown)
