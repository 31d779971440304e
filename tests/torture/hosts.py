"""The hosts of a round: processes that write and read over both volumes, wherever they are told that production is.

Two write at once, and may be connected to different sites: one has heard of a failover, the other has not yet.
"""

import heapq
import threading
from pathlib import Path

from tests.real.harness.checker import Verdict, check
from tests.real.harness.host import Host
from tests.real.harness.record import PHASES
from tests.torture.evidence import Served, served

HOSTS = ("host1", "host2")
# Each connection is a stretch of writing with a place of its own, so there is an end of them.
PHASES_PER_HOST = 5
LATE_PHASES = 2  # of the one that comes after a forced failover
ROUNDS_MAX = PHASES // (len(HOSTS) * PHASES_PER_HOST + LATE_PHASES)


class Writer:
    """One host, and which site it was connected to when."""

    def __init__(self, directory: Path, name: str, first_phase: int, phases: int) -> None:
        self.host = Host(directory, name, first_phase)
        self.may_lack = False  # a failover was forced: only the order is promised of what it wrote
        self._first, self._left = first_phase, phases
        self._site_of_phase: dict[int, str] = {}
        self._moving = threading.Lock()

    def move(self, site: str, uris: list[str]) -> bool:
        """Write there from now on, if there is a place left: one is kept for the end of the round."""
        with self._moving:  # two moves at once would take each other's place
            if self._left > 1:
                self.connect(site, uris)
                return True
            return False

    def connect(self, site: str, uris: list[str]) -> None:
        """Write there from now on. No move may be under way."""
        assert self._left > 0, "no place is left to write to"
        self._left -= 1
        self._site_of_phase[self._first + len(self._site_of_phase)] = site
        self.host.connect(uris)
        self.host.write()

    def served(self) -> list[Served]:
        """What it was answered, and by which site."""
        return list(served(self.host.events, self._site_of_phase))

    def check(self, files: list[Path]) -> Verdict:
        """A site has what it was told."""
        return check(self.host, files, may_lack=self.may_lack)


class Writers:
    """All of an installation. Those of earlier rounds write no more; what they were told holds for ever."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._next_phase = 0
        self.all: list[Writer] = []
        self.now: dict[str, Writer] = {}

    def begin(self, round_number: int) -> None:
        """New ones for a round."""
        self.end()
        self.now = {name: self._make(f"{name}-{round_number}", PHASES_PER_HOST) for name in HOSTS}

    def replace_all(self, round_number: int) -> None:
        """Nobody goes on after a forced failover; someone new comes."""
        self.end()
        self.now = {"late": self._make(f"late-{round_number}", LATE_PHASES)}

    def end(self) -> None:
        """The hosts of now write no more."""
        for writer in self.now.values():
            writer.host.quit()

    def served(self, round_writers: list[Writer]) -> list[Served]:
        """What these were answered, in order."""
        answered = [writer.served() for writer in round_writers]
        return list(heapq.merge(*answered, key=lambda each: each.answered))

    def _make(self, name: str, phases: int) -> Writer:
        writer = Writer(self._directory, name, self._next_phase, phases)
        self._next_phase += phases
        self.all.append(writer)
        return writer
