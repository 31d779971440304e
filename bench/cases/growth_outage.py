"""How long an outage of one site is for all groups: until hosts are answered again, and until all are in step."""

import time

from bench.cases.figures import CaseResult, Plot
from bench.errors import BenchError
from bench.own.installation import SITES, Installation
from bench.place import Place
from bench.statistics import Spread

GROUPS = (1, 4, 16, 64, 100)
LOOK_SECONDS = 0.01
TIMEOUT_SECONDS = 120.0
NOTES = (
    "Groups of one volume, all with the same primary; nobody writes. The secondary's agent is killed: until every "
    "group has leave to answer without it, which hosts wait for. Then it is started again: until all are in step."
)


def run(place: Place, repetitions: int) -> CaseResult:
    """Groups are added from point to point."""
    alone: list[Spread] = []
    back: list[Spread] = []
    made = 0
    installation = Installation(place)
    try:
        for count in GROUPS:
            twins = installation.twins(f"g{count}", count - made)
            installation.groups(f"g{count}", [[twin] for twin in twins])
            made = count
            times = [_outage(installation, count) for _ in range(repetitions)]
            alone.append(Spread.of([each for each, _ in times]))
            back.append(Spread.of([each for _, each in times]))
    finally:
        installation.stop()
    lines = {"all may go on alone": tuple(alone), "all in step again": tuple(back)}
    plot = Plot(
        "growth-outage",
        "Loss of the secondary by groups",
        "groups of one volume",
        GROUPS,
        "seconds",
        lines,
        cost=True,
    )
    return CaseResult(
        "growth-outage", "How an outage grows with groups", str(place.medium), NOTES, plots=[plot]
    )


def _outage(installation: Installation, groups: int) -> tuple[float, float]:
    """Seconds from the kill until all are solo, and from the start until all are in step."""
    began = time.monotonic()
    installation.kill(SITES[1])
    alone = _await(installation, "solo", groups) - began
    began = time.monotonic()
    installation.layout.daemon(SITES[1]).start()
    return alone, _await(installation, "in_step", groups) - began


def _await(installation: Installation, state: str, groups: int) -> float:
    """When all halves at the first site were first seen in a state, in monotonic seconds."""
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while installation.states(SITES[0]).count(state) < groups:
        if time.monotonic() > give_up:
            raise BenchError(f"not all groups are {state} after {TIMEOUT_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)
    return time.monotonic()
