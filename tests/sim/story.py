"""One seed: a world is made, everything goes wrong in it, then it is healed and must come in order."""

from collections import Counter
from dataclasses import dataclass, replace
from random import Random

from tests.sim.checkers.live import converge
from tests.sim.checkers.violation import Violation
from tests.sim.checkers.watch import Watch
from tests.sim.faults import Faults
from tests.sim.load import Load
from tests.sim.mix import ALL, Less, Mix, draw
from tests.sim.operator import Asks, Operator
from tests.sim.plots import VERBS, Director
from tests.sim.world.delays import Drawn
from tests.sim.world.scheduler import Event, Kind
from tests.sim.world.world import QUICK, World

from bilocate.domain.arbiter import RowState
from bilocate.replication.limits import Limits

HEAL_SECONDS = 30.0
LOOK_SECONDS = 0.2  # between two looks of the operator in a healed world
TELLING = frozenset({Kind.LEDGER, Kind.FLUSH, Kind.CALL, Kind.ASK, Kind.ANSWER, Kind.LINK})
LOOKED_AT = frozenset({Kind.CALL, Kind.ANSWER, Kind.LINK})  # what the row or a site says may be another now
LONG_RESUME_SECONDS = 0.3
# The share of seeds whose resyncs have a bound, and the bounds in bytes a second.
PACED, PACES = 0.15, (4 * 1024 * 1024, 32 * 1024 * 1024)
AHEAD = 0.5  # the share of seeds in which extents are marked in advance


@dataclass(slots=True)
class Told:
    """What became of a seed, for people."""

    seed: int
    events: int
    requests: int
    audits: int
    operations: int


def pace_of(seed: int) -> int:
    """The bound on a resync's bytes per second; most seeds have none. Of a stream of its own: it came late."""
    rng = Random(f"{seed} pace")
    return rng.choice(PACES) if rng.random() < PACED else 0


def ahead_of(seed: int) -> int:
    """How many extents a sequential writer has marked in advance, by a stream of its own as well."""
    rng = Random(f"{seed} ahead")
    return rng.choice((1, 2)) if rng.random() < AHEAD else 0


class Story:
    """Everything about one seed. What is drawn for hosts, troubles and delays comes from streams of their own: less
    trouble leaves the rest as it was."""

    def __init__(self, seed: int, trace: bool = False, less: Less = ALL) -> None:
        self.seed = seed
        self.less = less
        self.mix = mix = self._draw(Random(f"{seed} mix"))
        self.rng = Random(f"{seed} trouble")
        self.delays = Drawn(Random(f"{seed} delays"))
        limits = replace(
            QUICK,
            intents_max=mix.intents_max,
            unanswered_bytes_max=mix.unanswered_bytes_max,
            resume_wait_seconds=LONG_RESUME_SECONDS if mix.lazy_resume else QUICK.resume_wait_seconds,
            resync_bytes_per_second=pace_of(seed),
            intents_ahead=ahead_of(seed),
        )
        self.world = self._make_world(limits, trace)
        self.delays.change(mix.lossy_calls, mix.slow_steps)
        self.delays.clock = lambda: self.world.scheduler.now
        self.watch = Watch(self.world)
        self.faults = self._make_faults()
        self.operator: Asks = self._make_operator()
        self.loads: list[Load] = []
        self.happened: Counter[str] = Counter()  # faults and calls of the operator
        self._kinds = list(mix.faults)
        self._weights = list(mix.faults.values())
        self._verbs = [verb for verb in mix.verbs if verb not in less.without]
        self._director: Director | None = None
        if mix.plot and "plot" not in less.without:
            rng, sites = Random(f"{seed} plot"), list(self.world.agents)
            self._director = Director(mix.plot, rng, self.world.scheduler, sites, self._deed)
            self.watch.also(self._director)

    def _draw(self, rng: Random) -> Mix:
        return draw(rng)

    def _make_faults(self) -> Faults:
        return Faults(self.world, self.rng, self.mix.while_seconds)

    def _make_world(self, limits: Limits, trace: bool) -> World:
        mix, repeated = self.mix, Random(f"{self.seed} repeated")
        world = World(mix.sizes, limits, Random(f"{self.seed} world"), self.delays, trace)
        world.controller.repeat_steps(lambda: repeated.random() < mix.repeats)
        return world

    def _make_operator(self) -> Asks:
        return Operator(self.world, self.rng)

    def run(self) -> Told:
        """:raises Violation: a promise was broken."""
        world, mix = self.world, self.mix
        world.start()
        if mix.in_step_first:
            world.run_until(world.in_step, 5.0)
        for number, host in enumerate(mix.hosts[: self.less.hosts_most]):
            rng = Random(f"{self.seed} host {number}")
            self.loads.append(Load(world, host, rng, self.less.requests_most))
        self._begin_trouble()
        world.scheduler.after_each = self._strike
        world.run(mix.trouble_seconds)
        world.scheduler.after_each = None
        self._plans_are_over()
        self._heal()
        self._settle()
        return Told(
            self.seed,
            world.scheduler.events_run,
            len(world.history.ops),
            self.watch.evidence.audits,
            self.operator.asked,
        )

    # --- trouble ---

    def _begin_trouble(self) -> None:
        self._trouble_later()

    def _trouble_later(self) -> None:
        delay = self.rng.random() * 2 * self.mix.pause_seconds
        self.world.scheduler.after(delay, Kind.FAULT, "world", "trouble", self._trouble)

    def _trouble(self) -> None:
        if self.faults.healed:
            return
        self._audit()
        if self.rng.random() < self.mix.operator_share:
            if self._verbs and self._one_more("operator"):
                self.operator.act(self._verbs)
        else:
            self._break()
        self._trouble_later()

    def _strike(self, event: Event) -> None:
        """The narrow moments: between a commit and what it allows, a check's answer and its use."""
        if event.kind in LOOKED_AT:
            self._audit()
        if self._director is not None:
            self._director.after(event)
        if self.mix.strikes and event.kind in TELLING and self.rng.random() < self.mix.strikes:
            self._break()

    def _break(self) -> None:
        kind = self.rng.choices(self._kinds, self._weights)[0]
        if kind in self.less.without or not self._one_more(kind):
            return
        if self.world.trace.on:
            self.world.trace.add(self.world.scheduler.now, "world", f"** {kind}")
        self.faults.strike(kind)

    def _deed(self, what: str, site: str) -> None:
        """Of the plot."""
        known = what in VERBS or what in self.faults.kinds  # some are of real controllers only
        if self.faults.healed or not known or what in self.less.without or not self._one_more(what):
            return
        self._audit()
        if self.world.trace.on:
            self.world.trace.add(self.world.scheduler.now, "world", f"** the plot: {what} {site}".rstrip())
        if what in VERBS:
            self.operator.act([what])
        else:
            self.faults.strike(what, site)

    def _one_more(self, kind: str) -> bool:
        most = self.less.troubles_most
        if most is not None and self.happened.total() >= most:
            return False
        self.happened[kind] += 1
        return True

    def _plans_are_over(self) -> None:
        if self._director is not None:
            self._director.over = True

    # --- healing ---

    def _heal(self) -> None:
        self.delays.calm = True
        self.faults.heal()
        self._audit()

    def _settle(self) -> None:
        world = self.world
        healed = world.scheduler.now
        while world.scheduler.now < healed + HEAL_SECONDS:
            self.operator.put_in_order()
            world.run(LOOK_SECONDS)
            if self._in_order() and world.scheduler.now > self.delays.last_due + LOOK_SECONDS:
                break
        converge(world, HEAL_SECONDS)
        self._hosts_are_answered()
        for load in self.loads:
            load.stopped = True
        world.run(1.0)
        self._check_the_end()

    def _in_order(self) -> bool:
        world = self.world
        if self.operator.busy:
            return False
        for session_id, wish in world.controller.wishes.items():
            if wish.paused or not world.in_step(session_id):
                return False
            told = world.told(world.arbiter.rows[session_id].primary, session_id)
            if any(volume["failed_bytes"] for volume in told["volumes"]):
                return False
        return True

    def _audit(self) -> None:
        for session_id in self.world.arbiter.rows:
            self.watch.evidence.audit(session_id)

    def _hosts_are_answered(self) -> None:
        moment = self.world.history.tick()

        def all_answered() -> bool:
            return all(
                any(op.issued > moment and op.ok and op.volume == load.host.volume for op in ops[start:])
                for load in self.loads
            )

        ops = self.world.history.ops
        start = len(ops)
        if not self.world.run_until(all_answered, 10.0):
            raise Violation("P6", "hosts are not answered in a healed world")

    def _check_the_end(self) -> None:
        world = self.world
        unanswered = [op.number for load in self.loads for op in load.host.pending.values()]
        if unanswered:
            raise Violation("P6", f"requests {unanswered} are never answered")
        if not all(world.in_step(session_id) for session_id in world.arbiter.rows):
            raise Violation("P6", "a session does not stay in step")
        for row in world.arbiter.rows.values():
            if row.state is not RowState.IN_SYNC:
                raise Violation("P6", f"{row.session_id} is in step, and its row says {row.state.value}")
            self.watch.durable.check_all(row.primary, world.controller.wishes[row.session_id].members)
        self._audit()
        self.watch.evidence.equal("in step and quiet")
        if world.malformed:
            raise Violation("P6", f"{world.malformed} frames were called malformed")
