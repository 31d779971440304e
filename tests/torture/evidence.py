"""What was seen from outside in a round: what hosts were told and where, what the API told, what was out of reach.

All times are monotonic seconds, which all processes of a machine share.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.real.harness.events import Event, Kind


@dataclass(frozen=True, slots=True)
class Served:
    """A write that a site answered: sent at `sent`, answered at `answered`."""

    sent: float
    answered: float
    site: str


@dataclass(frozen=True, slots=True)
class Told:
    """What one look at the group told; it was true at some moment between `asked` and `answered`."""

    asked: float
    answered: float
    status: str
    replication: str
    station: str
    fault: str


@dataclass(frozen=True, slots=True)
class Apart:
    """Between these moments `site` was silent (None: each site for the other)."""

    since: float
    until: float
    site: str | None
    why: str


def served(events: Iterable[Event], site_of_phase: dict[int, str]) -> Iterator[Served]:
    """The answered writes of a host's diary."""
    sent: dict[int, tuple[float, str]] = {}
    for event in events:
        if event.kind is Kind.ISSUED:
            sent[event.number] = event.at, site_of_phase[event.extra]
        elif event.kind is Kind.ACKNOWLEDGED:
            at, site = sent[event.number]
            yield Served(at, event.at, site)


@dataclass
class Trace:
    """What was done and how it went, a line each, written as it happens; safe in threads."""

    file: Path
    began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, words: str) -> None:
        """One line."""
        with self._lock, self.file.open("a") as out:
            out.write(f"{time.monotonic():.3f} {time.monotonic() - self.began:8.3f}  {words}\n")

    @contextmanager
    def during(self, words: str) -> Iterator[None]:
        """A line before and one behind."""
        self.note(f"{words} ...")
        try:
            yield
        except BaseException as error:
            self.note(f"{words}: {type(error).__name__}: {error}")
            raise
        self.note(f"{words}: done")
