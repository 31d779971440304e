"""A test's hand on a host's process: start it, tell it what to do, see what it was told."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from tests.real.harness.events import Event, EventFile, Kind
from tests.real.harness.record import ZERO, Place, encode
from tests.real.harness.waiting import wait_for

ROOT = Path(__file__).parents[3]
SYSTEM_PYTHON = "/usr/bin/python3"
SYSTEM_PACKAGES = "/usr/lib/python3/dist-packages"
PAUSE_SECONDS = 10.0


class Host:
    """A writer of its own process, with its own diary. `run` tells its records from those of others, and
    `first_phase` gives it a region of its own."""

    def __init__(self, directory: Path, name: str = "host", first_phase: int = 1) -> None:
        self.run = secrets.token_bytes(8)
        diary = directory / f"{name}-{self.run.hex()}.events"
        diary.touch()
        self._diary = EventFile(diary)
        self._errors = (directory / f"{name}.errors").open("wb")
        settings = {"events": str(diary), "run": self.run.hex(), "first_phase": first_phase}
        program, environment = _python_with_nbd()
        self._process = subprocess.Popen(
            [program, "-m", "tests.real.harness.host_process", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            env=environment,
        )
        self._pauses = 0

    # --- commands ---

    def connect(self, uris: Sequence[str], new_phase: bool = True) -> None:
        """These two volumes from now on; what is under way elsewhere is given up."""
        self._tell(do="connect", uris=list(uris), new_phase=new_phase)

    def write(self) -> None:
        """Begin to write, or go on."""
        self._tell(do="write")

    def start(self, uris: Sequence[str], records: int = 500) -> None:
        """Connect, write, and come back when so many records have been acknowledged."""
        self.connect(uris)
        self.write()
        self.wait_acknowledged(records)

    def pause(self) -> None:
        """Come back when nothing is under way any more."""
        self._pauses += 1
        self._tell(do="pause")
        wait_for("the host's requests to end", self._paused, PAUSE_SECONDS)

    def quit(self) -> None:
        """End the process; safe to call at any time."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._diary.more()
        self._diary.close()
        self._errors.close()

    # --- what it saw ---

    @property
    def events(self) -> list[Event]:
        """Everything until now."""
        self._diary.more()
        return self._diary.events

    @property
    def acknowledged(self) -> int:
        """How many records were acknowledged until now."""
        self._diary.more()
        return self._diary.counts[Kind.ACKNOWLEDGED]

    @property
    def reads(self) -> int:
        """How many reads were right until now."""
        return max((event.number for event in self.events if event.kind is Kind.READS), default=0)

    def count(self, kind: Kind, since: float = 0.0) -> int:
        """How often it happened."""
        return sum(event.kind is kind for event in self._diary.since(since))

    def wait_acknowledged(self, more: int, timeout_seconds: float = 20.0) -> None:
        """Come back when so many further records are acknowledged."""
        wanted = self.acknowledged + more
        wait_for(
            f"{more} more acknowledged records",
            lambda: self.acknowledged >= wanted,
            timeout_seconds,
            self._alive,
        )

    def wait_event(self, kind: Kind, since: float, timeout_seconds: float = 20.0) -> Event:
        """The first event of that kind after `since` (monotonic seconds)."""

        def found() -> Event | None:
            return next((event for event in self._diary.since(since) if event.kind is kind), None)

        event = wait_for(f"{kind.name} at the host", found, timeout_seconds, self._alive)
        assert event is not None
        return event

    def wait_first_acknowledgement(self, since: float, timeout_seconds: float = 20.0) -> float:
        """When the first record was acknowledged after `since`."""
        return self.wait_event(Kind.ACKNOWLEDGED, since, timeout_seconds).at

    def longest_stall(self, since: float, until: float | None = None) -> float:
        """The longest time without any acknowledgement."""
        end = time.monotonic() if until is None else until
        events = self._diary.since(since)
        times = [event.at for event in events if event.kind is Kind.ACKNOWLEDGED and event.at <= end]
        edges = [since, *times, end]
        return max(later - earlier for earlier, later in pairwise(edges))

    def wrong_reads(self) -> list[Event]:
        """Reads that gave something old, or nothing whole."""
        return [event for event in self.events if event.kind in (Kind.READ_OLD, Kind.READ_BROKEN)]

    def block(self, seq: int, place: Place) -> bytes:
        """A record as it was written there; 0: nothing was."""
        return encode(self.run, seq, place) if seq else ZERO

    # --- inside ---

    def _tell(self, **command: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def _paused(self) -> bool:
        self._diary.more()
        return self._diary.counts[Kind.PAUSED] > 0 and self._diary.counts[Kind.PAUSED] >= self._pauses

    def _alive(self) -> str:
        ended = self._process.poll()
        if ended is not None:
            raise AssertionError(
                f"the host's process has ended ({ended}): {Path(self._errors.name).read_text()}"
            )
        last = self.events[-3:]
        return f"{self.acknowledged} acknowledged, the last events {last}"


@cache
def _python_with_nbd() -> tuple[str, dict[str, str]]:
    """A Python that has libnbd's binding: the system's, or this one with the system's packages."""
    for program, path in ((SYSTEM_PYTHON, [ROOT]), (sys.executable, [ROOT, SYSTEM_PACKAGES])):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
        found = subprocess.run([program, "-c", "import nbd"], env=environment, capture_output=True)
        if found.returncode == 0:
            return program, environment
    raise AssertionError("no Python here has libnbd's binding: install python3-libnbd (make system-packages)")
