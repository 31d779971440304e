"""Troubles that follow on each other: random ones seldom meet in the narrow places that the rules are about.

A plot has a few beats, each a line: what is waited for, and what may then be done, one of them by chance. `here` is the
site where it happened, `there` the other one. When a beat's moment does not come for a while, the plot begins anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.sim.world.observers import Observers
from tests.sim.world.scheduler import Event, Kind, Scheduler

PATIENCE_SECONDS = 0.8
SKIPPED_MOST = 5  # moments of the first beat that are let pass
DELAYS = (0.0, 0.0, 0.001, 0.005, 0.03, 0.12)  # seconds between the moment and what is done

# By the rules that they are about (docs/safety.md). A plot with `members:` before its name regroups.
PLOTS: dict[str, tuple[str, ...]] = {
    "PGEN END": (
        "FRAME CONFIRM: kill there, power there, partition, kill here",
        "FRAME END: kill here, kill there, power here, power there, cut, half cut there",
        "FRAME WELCOME: cut, kill here, kill there, failover, nothing",
    ),
    "CLEARLAST": (
        "FRAME CONFIRM: kill there, power there, partition",
        "FRAME ENDED: kill here, power here, kill there, cut, controller here, failover",
        "FRAME WELCOME: power here, failover, disk here, nothing",
    ),
    "ORDER": (
        "FRAME CONFIRM: kill there, power there, partition",
        "FRAME RESYNC: kill here, power here, kill there, cut",
        "FRAME COPY: kill here, power here, cut, failover, forced",
    ),
    "FAILEND": (
        "FRAME CONFIRM: kill there, power there, partition",
        "FRAME READY: disk here, full here, full here, disk there, flush here",
        "FRAME ENDED: kill here, failover, nothing",
    ),
    "GENCHK": (
        "FRAME CONFIRM: kill there, partition",
        "FRAME END: cut, kill here, kill there",
        "FRAME WELCOME: failover, forced, kill there, cut",
        "failed over: kill here, power here, nothing",
    ),
    "FLUSHSERVE": (
        "FRAME CONFIRM: failover, failover, forced, reverse",
        "served: power here, power both, kill here",
        "served: power here, failover, nothing",
    ),
    "PRECHECK": (
        "FRAME CONFIRM: failover, failover, reverse",
        "CALL precheck: power here, kill here, kill there, power there, flush here, cut",
        "CALL release: kill here, failover, cut",
    ),
    "PRECHECK that is answered": (
        "LEDGER AddIntents: failover",
        "CALL precheck answered: kill here, power here, cut, failover, controller kill, controller pause",
        "LEDGER PutSession: kill here, power here, failover, nothing",
    ),
    "HOLDHELLO": (
        "FRAME CONFIRM: failover",
        "LEDGER PutSession: kill here, kill here, power here, controller here",
        "FRAME HELLO: failover, kill here, nothing",
    ),
    "UNDO": (
        "FRAME CONFIRM: reverse",
        "CALL quiesce answered: cut, cut, half cut here, half cut there, controller pause",
        "FRAME STEP: nothing, reverse",
    ),
    "LATE UNDO": (
        "FRAME CONFIRM: reverse",
        "CALL quiesce answered: cut, half cut here, kill here, controller here, controller kill, controller pause",
        "CALL resume: reverse, failover, cut, kill here",
    ),
    "SWITCHOVER": (
        "FRAME CONFIRM: reverse",
        "switched over: kill here, power here, kill there, power both, cut, controller kill, controller pause",
        "served: kill here, power here, reverse, failover",
    ),
    "DEMOTE": (
        "FRAME CONFIRM: isolate here, isolate there, partition, black hole",
        "ASK REQUEST_SOLO: failover, forced",
        "LEDGER PutSession: kill there, nothing",
        "LEDGER PutSession: kill here, power here, cut, nothing",
    ),
    "DEMOTE with intents": (
        "LEDGER AddIntents: kill here, kill here, isolate here, pause here",
        "FRAME CUT: failover",
        "served: kill here, nothing, nothing",
        "FRAME WELCOME: nothing, kill here, cut",
    ),
    "DEMOTE with a permit": (
        "FRAME CONFIRM: partition, kill there",
        "ANSWER REQUEST_SOLO: forced, kill here, controller here",
        "failed over: kill there, power there, controller kill, nothing",
        "FRAME WELCOME: kill here, failover, cut",
    ),
    "REPLY ATTACH": (
        "FRAME CONFIRM: cut, partition, kill here, kill there",
        "ASK REQUEST_SOLO: cut, half cut, kill here, controller here",
        "ASK REQUEST_RESYNC: cut, controller here, kill here",
        "ASK REPORT_IN_SYNC: cut, controller here, kill here, failover",
    ),
    "CONFLINK TRIP": (
        "FRAME CONFIRM: half cut here, half cut there, black hole here, black hole there",
        "ANSWER REQUEST_SOLO: failover, forced, kill here, cut",
    ),
    "CONFLINK": (
        "FRAME CONFIRM: half cut here, half cut there, cut",
        "FRAME STEP: kill here, kill there, failover, cut",
        "served: nothing, power here",
    ),
    "DISCARD": (
        "FRAME WRITE: half cut there, cut, black hole here, pause here",
        "FRAME HELLO: half cut, cut, kill there, nothing",
        "FRAME STEP: failover, kill there, nothing",
    ),
    "RESUME": (
        "FRAME WRITE: cut, half cut here, half cut there",
        "FRAME HELLO: kill here, kill there, stop, controller there",
        "FRAME STEP: cut, failover, kill here",
    ),
    "PULL": (
        "FRAME WRITE: kill there, power there, kill there",
        "FRAME WELCOME: nothing, nothing, disk here, flush here, cut",
        "FRAME PULL: kill there, kill here, disk there, cut, failover",
        "served: kill here, power here, failover",
    ),
    "PULLCALL PULLOWN": (
        "FRAME CONFIRM: kill here, power here",
        "ASK ATTACH: controller here, cut, half cut",
        "FRAME PULLED: kill here, cut, disk here, failover",
        "ASK REQUEST_SOLO: kill here, cut",
    ),
    "PULLOWN": (
        "FRAME CONFIRM: disk here, full here",
        "LEDGER AddFailed: kill here, power here, power here",
        "served: failover, kill here, nothing",
    ),
    "INTENT": (
        "LEDGER AddIntents: kill here, power here, kill both, power both",
        "FRAME WELCOME: kill there, power there, failover",
    ),
    "DROPRACE": (
        "LEDGER DropIntents: kill here, power here, power both, cut",
        "FRAME WELCOME: failover, cut, kill here, nothing",
    ),
    "DROPWAIT SOLODROP": (
        "FRAME CONFIRM: partition, kill there",
        "ANSWER REQUEST_SOLO: nothing",
        "LEDGER DropIntents: kill here, power here, power there, kill both",
        "FRAME WELCOME: failover, nothing",
    ),
    "UNSURE": (
        "FRAME WRITE: kill here, power here",
        "FRAME HELLO: failover, forced, kill there, power there",
        "served: kill here, power here",
    ),
    "STICKY there": (
        "FRAME CONFIRM: disk there, full there, flush there",
        "FRAME FAILED: kill here, kill there, failover, cut",
        "FRAME RESYNC: kill there, failover, nothing",
    ),
    "STICKY here": (
        "FRAME CONFIRM: disk here, full here, flush here",
        "LEDGER AddFailed: kill here, failover, reverse, cut, stop",
        "FRAME WELCOME: kill there, failover, nothing",
    ),
    "ATTACH": (
        "FRAME CONFIRM: half cut here, kill there, partition",
        "FRAME CUT: kill here, power here, pause here",
        "ASK ATTACH: nothing, cut, kill here",
    ),
    "ATTACH and late reports": (
        "FRAME CONFIRM: kill there, partition",
        "FRAME ENDED: kill here, power here",
        "ASK ATTACH: cut, partition, kill there",
        "ANSWER REQUEST_SOLO: kill here, failover, forced",
    ),
    "STOP": (
        "FRAME CONFIRM: stop",
        "FRAME BYE: kill here, kill there, power here, forced, cut",
        "CALL PUT: sync, forced, kill here",
    ),
    "BLANK": (
        "FRAME CONFIRM: ledger here, ledger there",
        "FRAME WELCOME: kill here, kill there, failover, cut",
        "FRAME PULL: kill here, cut, reverse",
    ),
    "REV EPOCH": (
        "FRAME CONFIRM: stop, sync, extend, reverse",
        "CALL PUT: stop, sync, kill here, controller here",
        "CALL PUT: sync, stop, reverse",
        "LEDGER PutSession: kill here, sync, power here",
    ),
    "OLD MEMORY BOOTID": (
        "FRAME CONFIRM: power there, power here, power both",
        "ASK ATTACH: partition, cut, kill there",
        "ANSWER REQUEST_SOLO: kill here, power here",
    ),
    "members: MEMBERS": (
        "FLUSH FLUSH: regroup",
        "CALL PUT answered: regroup, regroup, kill here",
        "LEDGER PutSession: kill here, kill both, cut, sync, regroup",
        "CALL DELETE: kill here, cut, sync",
    ),
}
VERBS = frozenset({"failover", "forced", "reverse", "stop", "sync", "regroup", "extend"})


@dataclass(frozen=True, slots=True)
class Deed:
    """A fault or a call of the operator. `where`: "here", "there" or "" (anywhere)."""

    what: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    """One of a plot's moments, and what may be done then."""

    moment: str
    deeds: tuple[Deed, ...]


def beats_of(name: str) -> tuple[Beat, ...]:
    """A plot as it is played."""
    return tuple(_beat(line) for line in PLOTS[name])


def _beat(line: str) -> Beat:
    moment, _, deeds = line.partition(": ")
    return Beat(moment, tuple(_deed(text) for text in deeds.split(", ")))


def _deed(text: str) -> Deed:
    what, _, where = text.rpartition(" ")
    return Deed(what, where) if where in ("here", "there") else Deed(text)


def plain(name: str) -> str:
    """A call of a real controller, as the small stand-in names it."""
    name = name.removeprefix("POST sessions/group/").replace(" sessions/group", "")
    call, answered, _ = name.partition(" answered")
    return call + answered


class Director(Observers):
    """Plays one plot again and again. `do(deed, site)`: the world's part; `site` is where it is to be, or ""."""

    def __init__(
        self,
        name: str,
        rng: Random,
        scheduler: Scheduler,
        sites: Sequence[str],
        do: Callable[[str, str], None],
    ) -> None:
        self._beats = beats_of(name)
        self._rng = rng
        self._scheduler = scheduler
        self._sites = sites
        self._do = do
        self._next = self._skip = 0
        self._since = 0.0
        self.over = False
        self._begin()

    def _begin(self) -> None:
        self._next, self._skip = 0, self._rng.randrange(SKIPPED_MOST)

    def after(self, event: Event) -> None:
        """Something has happened."""
        kind = event.kind
        if kind is not Kind.HOST and kind is not Kind.DISK and not self.over:
            name = plain(event.name) if kind is Kind.CALL else event.name
            self._happened(f"{kind._name_} {name}", event.site)

    def served(self, site: str, volumes: Sequence[int]) -> None:
        self._happened("served", site)

    def failed_over(self, site: str, lossy: bool) -> None:
        self._happened("failed over", site)

    def switched_over(self, site: str) -> None:
        self._happened("switched over", site)

    def _happened(self, what: str, site: str) -> None:
        if self.over:
            return
        now = self._scheduler.now
        if self._next and now > self._since + PATIENCE_SECONDS:
            self._begin()
        beat = self._beats[self._next]
        if what != beat.moment:
            return
        if self._skip:
            self._skip -= 1
            return
        self._since = now
        self._play(self._rng.choice(beat.deeds), site)
        self._next = (self._next + 1) % len(self._beats)
        if not self._next:
            self._begin()

    def _play(self, deed: Deed, here: str) -> None:
        if deed.what == "nothing":
            return
        if here not in self._sites:
            here = self._rng.choice(self._sites)  # at a controller
        there = next(site for site in self._sites if site != here)
        site = {"here": here, "there": there, "": ""}[deed.where]

        def do() -> None:
            if not self.over:
                self._do(deed.what, site)

        # Never from inside of what is just happening.
        self._scheduler.after(self._rng.choice(DELAYS), Kind.FAULT, "world", "plot", do)
