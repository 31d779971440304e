"""How the ledger grows, and how often it commits, under random writes over a sparse volume of 1 TiB."""

from dataclasses import dataclass

from bench import fio
from bench.cases.figures import CaseResult, Plot
from bench.own.installation import SITES, Installation
from bench.place import Place
from bench.shapes import GIB, KIB, MIB
from bench.statistics import Spread
from bilocate.cli.client import Group, Volume
from bilocate.cli.waiting import judge_stopped
from bilocate.site.agent import LEDGER_FILE

VOLUME_GIB = 1024
WRITES = (1_000, 4_000, 16_000, 64_000, 256_000)  # so many in all; a TiB has 262,144 extents
BLOCK_BYTES = 4 * KIB
NOTES = (
    "Random writes of 4 KiB, 16 under way, over a sparse volume of 1 TiB: the first 1,000, then up to 4,000 and so on. "
    "Nearly every write is the first into its extent, and waits for a commit: the dearest case. In step, and again "
    "with replication stopped, where chunks become dirty too. The ledger is the primary's, without its log, which is "
    "emptied at 2 MiB."
)


@dataclass(frozen=True)
class Found:
    """After so many writes in all; the rates are those of the writes since the point before."""

    ledger_mib: float
    writes_per_second: float
    transactions_per_second: float


class Scene:
    """A group of one pair that became large while it was in step: nothing of it needs to be compared."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        (twin,) = installation.twins("ledger", 1)
        self.volume: Volume = twin[0]
        self.group: Group = installation.group("ledger", [twin])
        installation.extend(self.group, VOLUME_GIB)
        self.uri = installation.connect(self.volume)
        self._written = 0

    def write(self, total: int) -> Found:
        """Up to so many in all."""
        before = self._installation.ledger_count(SITES[0], "transactions")
        count = total - self._written
        self._written = total
        medium = self._installation.place.medium
        load = fio.write_random(self.uri, VOLUME_GIB * GIB, BLOCK_BYTES, count, medium, seed=total)
        transactions = self._installation.ledger_count(SITES[0], "transactions") - before
        return Found(self._ledger_mib(), load.iops, transactions / load.seconds)

    def stop(self) -> None:
        """Replication rests from here on, and writes are counted anew."""
        self._installation.act(self.group, "stop", judge_stopped)
        self._written = 0

    def _ledger_mib(self) -> float:
        return (self._installation.layout.data(SITES[0]) / LEDGER_FILE).stat().st_size / MIB


def run(place: Place) -> CaseResult:
    """Once: what is written in one round is in its place in the next."""
    installation = Installation(place)
    try:
        scene = Scene(installation)
        in_step = [scene.write(total) for total in WRITES]
        scene.stop()
        stopped = [scene.write(total) for total in WRITES]
    finally:
        installation.stop()
    along = "random writes over 1 TiB so far"
    plots = [
        Plot(
            "growth-ledger",
            "Size of the ledger",
            along,
            WRITES,
            "MiB",
            _lines(in_step, stopped, "ledger_mib"),
            True,
        ),
        Plot(
            "growth-ledger-writes",
            "Writes per second, each into a new extent",
            along,
            WRITES,
            "writes per second",
            _lines(in_step, stopped, "writes_per_second"),
        ),
        Plot(
            "growth-ledger-commits",
            "Transactions of the ledger per second",
            along,
            WRITES,
            "transactions per second",
            _lines(in_step, stopped, "transactions_per_second"),
        ),
    ]
    return CaseResult("growth-ledger", "How the ledger grows", str(place.medium), NOTES, plots=plots)


def _lines(in_step: list[Found], stopped: list[Found], name: str) -> dict[str, tuple[Spread, ...]]:
    return {
        line: tuple(Spread.of([float(getattr(each, name))]) for each in found)
        for line, found in (("in step", in_step), ("stopped", stopped))
    }
