"""How the requests per second of writes grow: by depth, connections, volumes in a group, groups, and agents."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import fio
from bench.cases.figures import CaseResult, Plot
from bench.own.installation import SITES, Installation
from bench.place import Place
from bench.processes import cpu_seconds
from bench.shapes import KIB, MIB, Shape
from bench.statistics import Spread

DEPTHS = (1, 2, 4, 8, 16, 32, 64, 128)
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64)
VOLUMES = (1, 2, 4, 8, 16)
GROUPS = (1, 2, 4, 8, 16, 32, 64, 100)
AGENTS = (1, 2, 4)
GROUPS_OF_AGENTS = 8
DEPTH_OF_EACH = 4
SECONDS = 0.5
IDLE_SECONDS = 4.0
WORKING_SET_BYTES = 64 * MIB  # of all volumes that are written to together
UNIT = "requests per second"
NOTES = (
    "Random writes of 4 KiB within 64 MiB of all volumes together, half a second for each point; a round takes all "
    "points one after the other."
)
EACH = f" {DEPTH_OF_EACH} are under way on each connection."


@dataclass(frozen=True)
class Line:
    """`uris(n)` and `depth(n)`: what is written to at place n, and how many are under way on each."""

    uris: Callable[[int], list[str]]
    depth: Callable[[int], int] = lambda n: DEPTH_OF_EACH


def by_depth(place: Place, repetitions: int) -> CaseResult:
    """One connection; replicated and not."""
    with _installed(place) as installation:
        one, plain = _one_and_plain(installation)
        lines = {
            "replicated": Line(lambda n: one, lambda n: n),
            "unreplicated": Line(lambda n: plain, lambda n: n),
        }
        grown = _grown(place, repetitions, DEPTHS, lines)
    plot = Plot("growth-depth", "Writes by depth", "requests under way", DEPTHS, UNIT, grown)
    return CaseResult("growth-depth", "How speed grows with depth", str(place.medium), NOTES, plots=[plot])


def by_connections(place: Place, repetitions: int) -> CaseResult:
    """All to one volume; replicated and not."""
    with _installed(place) as installation:
        one, plain = _one_and_plain(installation)
        lines = {"replicated": Line(lambda n: one * n), "unreplicated": Line(lambda n: plain * n)}
        grown = _grown(place, repetitions, CONNECTIONS, lines)
    plot = Plot(
        "growth-connections", "Writes by connections", "connections to one volume", CONNECTIONS, UNIT, grown
    )
    title = "How speed grows with connections"
    return CaseResult("growth-connections", title, str(place.medium), NOTES + EACH, plots=[plot])


def by_volumes(place: Place, repetitions: int) -> CaseResult:
    """Of one group, whose write order is kept as if they were one."""
    with _installed(place) as installation:
        group = {count: _group(installation, f"of-{count}", count) for count in VOLUMES}
        grown = _grown(place, repetitions, VOLUMES, {"replicated": Line(lambda n: group[n])})
    plot = Plot(
        "growth-volumes", "Writes by volumes in a group", "volumes in one group", VOLUMES, UNIT, grown
    )
    title = "How speed grows with the volumes of a group"
    return CaseResult("growth-volumes", title, str(place.medium), NOTES + EACH, plots=[plot])


def by_groups(place: Place, repetitions: int) -> CaseResult:
    """Of one volume each: their speed together, and what they cost while nobody writes."""
    idle: dict[str, list[Spread]] = {"controller": [], "agent": []}
    uris: list[str] = []
    with _installed(place) as installation:
        for count in GROUPS:
            twins = installation.twins(f"g{count}", count - len(uris))
            installation.groups(f"g{count}", [[twin] for twin in twins])
            uris += [installation.connect(one) for one, _ in twins]
            for name, found in _idle(installation).items():
                idle[name].append(found)
        grown = _grown(place, repetitions, GROUPS, {"replicated": Line(lambda n: uris[:n])})
    along = "groups of one volume"
    plots = [
        Plot("growth-groups", "Writes by groups", along, GROUPS, UNIT, grown),
        Plot(
            "growth-groups-idle",
            "CPU time of groups in step while nobody writes",
            along,
            GROUPS,
            "ms of CPU time per second",
            {name: tuple(found) for name, found in idle.items()},
            cost=True,
        ),
    ]
    notes = f"{NOTES}{EACH} CPU time while idle: over {IDLE_SECONDS:g} s; the agent is the primary's."
    return CaseResult("growth-groups", "How speed grows with groups", str(place.medium), notes, plots=plots)


def by_agents(place: Place, repetitions: int) -> CaseResult:
    """In each zone: groups of one volume each, spread over them."""
    uris: dict[int, list[str]] = {}
    with ExitStack() as running:
        for agents in AGENTS:
            installation = running.enter_context(_installed(place.below(f"agents-{agents}"), agents))
            uris[agents] = _spread(installation, agents)
        grown = _grown(place, repetitions, AGENTS, {"replicated": Line(lambda n: uris[n])})
    plot = Plot("growth-agents", "Writes by agents", "agents in each zone", AGENTS, UNIT, grown)
    notes = (
        f"{NOTES}{EACH} {GROUPS_OF_AGENTS} groups of one volume each. Every number of agents has an installation "
        "of its own, and all of them run all the time."
    )
    title = "How speed grows with agents"
    return CaseResult("growth-agents", title, str(place.medium), notes, plots=[plot])


def _spread(installation: Installation, agents: int) -> list[str]:
    """NBD addresses of the groups' volumes, in step."""
    twins = []
    for number in range(1, agents + 1):
        sites = SITES if agents == 1 else (f"{SITES[0]}-{number}", f"{SITES[1]}-{number}")
        twins += installation.twins(f"a{number}", GROUPS_OF_AGENTS // agents, sites=sites)
    installation.groups("a", [[twin] for twin in twins])
    return [installation.connect(one) for one, _ in twins]


@contextmanager
def _installed(place: Place, agents: int = 1) -> Iterator[Installation]:
    installation = Installation(place, agents=agents)
    try:
        yield installation
    finally:
        installation.stop()


def _one_and_plain(installation: Installation) -> tuple[list[str], list[str]]:
    plain = installation.connect(installation.volume("plain", 1, SITES[0]))
    return _group(installation, "one", 1), [plain]


def _group(installation: Installation, name: str, count: int) -> list[str]:
    """NBD addresses of a group's volumes, in step."""
    twins = installation.twins(name, count)
    installation.group(name, twins)
    return [installation.connect(one) for one, _ in twins]


def _idle(installation: Installation) -> dict[str, Spread]:
    """Milliseconds of CPU time in a second."""
    pids = {"controller": installation.controller_pid, "agent": installation.pid(SITES[0])}
    before = {name: cpu_seconds([pid]) for name, pid in pids.items()}
    time.sleep(IDLE_SECONDS)
    used = {name: (cpu_seconds([pid]) - before[name]) * 1000 / IDLE_SECONDS for name, pid in pids.items()}
    return {name: Spread.of([each]) for name, each in used.items()}


def _grown(
    place: Place, repetitions: int, places: tuple[int, ...], lines: dict[str, Line]
) -> dict[str, tuple[Spread, ...]]:
    found: dict[tuple[str, int], list[float]] = {(line, n): [] for line in lines for n in places}
    for repetition in range(repetitions + 1):  # the first warms up
        for (line, n), values in found.items():
            shape = Shape("write", 4 * KIB, lines[line].depth(n))
            uris = lines[line].uris(n)
            each = max(MIB, WORKING_SET_BYTES // len(set(uris)) // MIB * MIB)
            values.append(fio.run_beside(uris, shape, SECONDS, each, place.medium, repetition))
    return {line: tuple(Spread.of(found[line, n][1:]) for n in places) for line in lines}
