"""Carries a round's plan out on real processes, and keeps account of who was out of reach when."""

import os
import time
from collections.abc import Callable

from tests.real.harness.cluster import Cluster
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.proxy import Wire
from tests.torture.checks import Broken
from tests.torture.evidence import Apart, Trace
from tests.torture.plan import LINK, Step


class Stage:
    """The processes and wires of one installation, under a plan. Calls and moves are others' business."""

    def __init__(self, installation: Installation, trace: Trace) -> None:
        self._installation, self._trace = installation, trace
        self._since: dict[str, float] = {}  # what is in trouble, by site or LINK, and since when
        self._down: set[str] = set()
        self._frozen: set[str] = set()
        self.apart: list[Apart] = []

    def do(self, step: Step) -> None:
        """One step."""
        self._trace.note(str(step))
        acts: dict[str, Callable[[Step], None]] = {
            "kill": lambda step: self.kill(*step.who),
            "start": lambda step: self.start(*step.who),
            "freeze": self._freeze,
            "thaw": lambda step: self._thaw(*step.who),
            "wire": lambda step: self._wire(Wire(step.how)),
            "isolate": self._isolate,
            "join": self._join,
        }
        acts[step.what](step)

    def heal(self) -> None:
        """Everything runs and is within reach again; what ended by itself is an error."""
        self._thaw(*self._frozen)
        self.check_alive()
        for site in SITES:
            self._installation.isolate(site, Wire.WHOLE)
        self._wire(Wire.WHOLE)
        self.start(*sorted(self._down))

    def check_alive(self) -> None:
        """Whoever was not killed runs."""
        for name in self._installation.names:
            if name not in self._down and self._installation.layout.daemon(name).pid() is None:
                last = self._installation.layout.daemon(name).last_words()
                raise Broken(f"{name} has ended by itself: {last}")

    def kill(self, *names: str) -> None:
        """SIGKILL, all at the same moment."""
        self._installation.kill(*names)
        self._down |= {*names}
        self._begin(*names)

    def start(self, *names: str) -> None:
        """Start what was killed, without waiting for it."""
        self._end(*names)
        for name in names:
            self._down.discard(name)
            self._installation.start(name, wait=False)

    def wait_ready(self) -> None:
        """Until every process answers."""
        if isinstance(self._installation, Cluster):
            for name in self._installation.controllers:
                self._installation.wait_ready(name)
        else:
            self._installation.wait_controller()
        for site in SITES:
            if site not in self._down:
                self._installation.wait_agent(site)

    # --- inside ---

    def _freeze(self, step: Step) -> None:
        for name in step.who:
            self._installation.freeze(name)
            _wait_stopped(self._installation.pid(name))
        self._frozen |= {*step.who}
        self._begin(*step.who)

    def _thaw(self, *names: str) -> None:
        self._end(*names)
        for name in names:
            self._installation.thaw(name)
            self._frozen.discard(name)

    def _wire(self, wire: Wire) -> None:
        if wire is Wire.WHOLE:
            self._end(LINK)
            self._installation.set_link(wire)
        else:
            self._installation.set_link(wire)
            self._begin(LINK)

    def _isolate(self, step: Step) -> None:
        self._installation.isolate(step.who[0], Wire(step.how))
        self._begin(LINK)

    def _join(self, step: Step) -> None:
        self._end(LINK)
        self._installation.isolate(step.who[0], Wire.WHOLE)

    def _begin(self, *names: str) -> None:
        """They are surely silent from here on."""
        for name in names:
            if name in (*SITES, LINK):
                self._since[name] = time.monotonic()

    def _end(self, *names: str) -> None:
        """They may be heard again from here on."""
        for name in names:
            if name in self._since:
                site = name if name in SITES else None
                words = f"{name} was away"
                self.apart.append(Apart(self._since.pop(name), time.monotonic(), site, words))


def _wait_stopped(pid: int) -> None:
    """A signal is delivered soon, not at once."""
    while open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] not in "Tt":  # noqa: SIM115
        os.sched_yield()
