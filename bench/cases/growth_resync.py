"""How the time of a resync grows: by what differs, and by the size of the volume."""

import time

from bench import fio
from bench.cases.figures import CaseResult, Plot
from bench.errors import BenchError
from bench.own.installation import SITES, Installation
from bench.place import Place
from bench.shapes import GIB, KIB, MIB
from bench.statistics import Spread
from bilocate.cli.client import Group, Volume
from bilocate.cli.waiting import judge_stopped

CHUNK_BYTES = 64 * KIB
SIZE_GIB = 1
SHARES_PERCENT = (0.1, 1.0, 10.0, 100.0)
SIZES_GIB = (1, 4, 16, 64, 256, 1024)
FIRST_SIZES_GIB = (1, 4, 16, 64)
CHANGED_BYTES = 64 * MIB
LOOK_SECONDS = 0.005
TIMEOUT_SECONDS = 600.0
NOTES = (
    "Replication is stopped, random blocks of 64 KiB are written, then the group is synced: from the call until the "
    f"primary's agent says that the copies are equal. By share: of a volume of {SIZE_GIB} GiB that is full. By size: "
    f"{CHANGED_BYTES // MIB} MiB are written, in a volume that was grown to its size while it was in step, so that it "
    "is sparse. First sync: of two new volumes, of which everything is compared."
)


class Scene:
    """A group of one pair."""

    def __init__(self, installation: Installation, name: str, size_gib: int) -> None:
        self._installation = installation
        (twin,) = installation.twins(name, 1, size_gib)
        self._volume: Volume = twin[0]
        self._group: Group = installation.new_group(name, [twin])
        self._seed = 0

    def sync(self) -> float:
        """Seconds until it is in step."""
        installation = self._installation
        began = time.monotonic()
        installation.client.act(self._group["id"], "sync")
        while not installation.session(self._group, SITES[0])["in_step"]:
            if time.monotonic() - began > TIMEOUT_SECONDS:
                raise BenchError(f"not in step after {TIMEOUT_SECONDS:g} s")
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - began

    def fill(self) -> None:
        """Everything is written, in step."""
        installation = self._installation
        fio.fill(installation.connect(self._volume), SIZE_GIB * GIB, installation.place.medium)

    def resync(self, size_gib: int, changed_bytes: int) -> float:
        """Stop, write so much, and take it in."""
        installation = self._installation
        installation.act(self._group, "stop", judge_stopped)
        uri = installation.connect(self._volume)
        self._seed += 1
        medium = installation.place.medium
        fio.write_once(uri, size_gib * GIB, CHUNK_BYTES, changed_bytes, medium, self._seed)
        seconds = self.sync()
        told = installation.session(self._group, SITES[0])["last_resync"]
        if told is None or told["differing_bytes"] != changed_bytes:
            raise BenchError(f"{changed_bytes} bytes were changed, and the agent tells {told}")
        return seconds

    def extend(self, size_gib: int) -> None:
        """Larger from now on."""
        self._installation.extend(self._group, size_gib)


def run(place: Place, repetitions: int) -> CaseResult:
    """By share, by size, and the first sync."""
    installation = Installation(place)
    try:
        first = [Scene(installation, f"first-{size}", size).sync() for size in FIRST_SIZES_GIB]
        by_size = _by_size(installation, repetitions)
        by_share = _by_share(installation, repetitions)
    finally:
        installation.stop()
    plots = [
        Plot(
            "growth-resync-share",
            "Resync by what differs",
            f"% of {SIZE_GIB} GiB that differs",
            SHARES_PERCENT,
            "seconds",
            {"resync": by_share},
            cost=True,
        ),
        Plot(
            "growth-resync-size",
            f"Resync of {CHANGED_BYTES // MIB} MiB by size",
            "GiB of volume",
            SIZES_GIB,
            "seconds",
            {"resync": by_size},
            cost=True,
        ),
        Plot(
            "growth-resync-first",
            "First sync by size, everything compared",
            "GiB of volume",
            FIRST_SIZES_GIB,
            "seconds",
            {"first sync": tuple(Spread.of([each]) for each in first)},
            cost=True,
        ),
    ]
    return CaseResult("growth-resync", "How a resync grows", str(place.medium), NOTES, plots=plots)


def _by_share(installation: Installation, repetitions: int) -> tuple[Spread, ...]:
    scene = Scene(installation, "share", SIZE_GIB)
    scene.sync()
    scene.fill()
    changed = [round(SIZE_GIB * GIB * each / 100) // CHUNK_BYTES * CHUNK_BYTES for each in SHARES_PERCENT]
    found = [[scene.resync(SIZE_GIB, each) for each in changed] for _ in range(repetitions)]
    return tuple(Spread.of(each) for each in zip(*found, strict=True))


def _by_size(installation: Installation, repetitions: int) -> tuple[Spread, ...]:
    scene = Scene(installation, "size", SIZES_GIB[0])
    scene.sync()
    found = []
    for size in SIZES_GIB:
        if size > SIZES_GIB[0]:
            scene.extend(size)
        found.append(Spread.of([scene.resync(size, CHANGED_BYTES) for _ in range(repetitions)]))
    return tuple(found)
