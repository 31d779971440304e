"""How an agent's memory, its ledger and the time of its start grow: by volumes of 1 TiB, and by what is dirty."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.cases.dirty_ledger import check_dirty, make_dirty
from bench.cases.figures import CaseResult, Plot
from bench.own.installation import SITES, Installation
from bench.place import Place
from bench.processes import resident_bytes
from bench.shapes import MIB
from bench.statistics import Spread
from bilocate.cli.client import Group
from bilocate.site.agent import LEDGER_FILE

VOLUMES = (1, 2, 4, 8, 16, 32, 64, 100)
SHARES_PERCENT = (0.1, 1.0, 10.0, 50.0)
VOLUMES_OF_SHARES = 16
VOLUME_GIB = 1024
SETTLE_SECONDS = 4.0
NOTES = (
    "Pairs of 1 TiB (sparse files), each in a group of its own, never in step, so that nothing is copied. For each "
    "point the agent of the first site is started anew while the other one is away, and its memory is read. "
    f"What is dirty is chosen at random, in each of {VOLUMES_OF_SHARES} volumes, and put into the ledger before the "
    "start; by volumes nothing is dirty. Once: memory does not vary as time does."
)


@dataclass(frozen=True)
class Found:
    """Of one agent after its start."""

    memory_mib: float
    ledger_mib: float
    start_seconds: float


class Scene:
    """An installation whose second site is away while anything is measured."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._ledger = installation.layout.data(SITES[0]) / LEDGER_FILE
        self._groups: list[Group] = []
        self._ids: list[str] = []

    def grow(self, count: int) -> None:
        """So many pairs are there from now on."""
        twins = self._installation.twins(f"v{count}", count - len(self._ids), VOLUME_GIB)
        self._groups += self._installation.new_groups(f"v{count}", [[twin] for twin in twins])
        self._ids += [one["id"] for one, _ in twins]

    def start(self, share: float) -> Found:
        """Start the agent with so much of each volume dirty."""
        installation = self._installation
        for site in SITES:
            installation.layout.daemon(site).stop()
        if share:
            make_dirty(self._ledger, self._ids, VOLUME_GIB, share)
        began = time.monotonic()
        installation.start(SITES[0])
        seconds = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        if share:
            check_dirty(installation, self._groups, VOLUME_GIB, share)
        memory = resident_bytes(installation.pid(SITES[0]))
        installation.start(SITES[1])
        return Found(memory / MIB, self._ledger.stat().st_size / MIB, seconds)


def run(place: Place) -> CaseResult:
    """By share, then by volumes, each with an installation of its own."""
    by_share = _by_share(place.below("share"))
    by_volumes = _by_volumes(place.below("volumes"))
    dirty = f"% of {VOLUMES_OF_SHARES} volumes of 1 TiB dirty"
    plots = [
        *_plots("growth-memory-volumes", "by volumes", "volumes of 1 TiB", VOLUMES, by_volumes),
        *_plots("growth-memory-dirty", "by what is dirty", dirty, SHARES_PERCENT, by_share),
    ]
    return CaseResult("growth-memory", "How an agent's memory grows", str(place.medium), NOTES, plots=plots)


def _by_share(place: Place) -> list[Found]:
    installation = Installation(place)
    try:
        scene = Scene(installation)
        scene.grow(VOLUMES_OF_SHARES)
        return [scene.start(percent / 100) for percent in SHARES_PERCENT]
    finally:
        installation.stop()


def _by_volumes(place: Place) -> list[Found]:
    installation = Installation(place)
    found = []
    try:
        scene = Scene(installation)
        for count in VOLUMES:
            scene.grow(count)
            found.append(scene.start(0.0))
    finally:
        installation.stop()
    return found


def _plots(
    name: str, title: str, along: str, places: Sequence[float], found: Sequence[Found]
) -> tuple[Plot, Plot]:
    memory = {
        "memory": tuple(Spread.of([each.memory_mib]) for each in found),
        "ledger": tuple(Spread.of([each.ledger_mib]) for each in found),
    }
    start = {"start": tuple(Spread.of([each.start_seconds]) for each in found)}
    return (
        Plot(name, f"Memory and ledger {title}", along, tuple(places), "MiB", memory, cost=True),
        Plot(
            f"{name}-start", f"Start of an agent {title}", along, tuple(places), "seconds", start, cost=True
        ),
    )
