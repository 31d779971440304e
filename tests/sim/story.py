"""One seed: a world is made, everything goes wrong in it, then it is healed and must come in order."""

from dataclasses import dataclass, replace
from random import Random

from tests.sim.checkers.live import converge
from tests.sim.checkers.violation import Violation
from tests.sim.checkers.watch import Watch
from tests.sim.faults import Faults
from tests.sim.load import Load
from tests.sim.operator import Operator
from tests.sim.world.delays import Drawn
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, QUICK, SESSION, World

SMALL = 320 * KIB + 512  # one extent with a short last chunk
TWO_EXTENTS = 4096 * KIB + 2 * 64 * KIB
TROUBLE_SECONDS = 2.5
HEAL_SECONDS = 30.0
OPERATIONS = ["failover", "forced", "reverse", "reverse", "stop", "sync", "sync", "sync"]


@dataclass(slots=True)
class Told:
    """What became of a seed, for people."""

    seed: int
    events: int
    requests: int
    audits: int
    operations: int


class Story:
    """Everything about one seed."""

    def __init__(self, seed: int, trace: bool = False) -> None:
        self.seed = seed
        self.rng = rng = Random(seed)
        sizes = [rng.choice((SMALL, SMALL, TWO_EXTENTS)) for _ in range(rng.choice((1, 1, 2, 3)))]
        self.delays = Drawn(rng)
        limits = replace(
            QUICK, intents_max=rng.choice((1, 2, 4)), unanswered_bytes_max=rng.choice((64, 1024)) * KIB
        )
        self.world = World(sizes, limits, rng, self.delays, trace)
        self.watch = Watch(self.world)
        self.faults = Faults(self.world, rng)
        self.operator = Operator(self.world, rng)
        self.loads: list[Load] = []
        kinds = sorted(self.faults.kinds)
        self._kinds = rng.sample(kinds, rng.randint(1, 5))
        self._verbs = rng.sample(OPERATIONS, rng.randint(1, len(OPERATIONS)))
        self._operator_share = rng.choice((0.0, 0.2, 0.5))
        self._pause = rng.choice((0.05, 0.15, 0.4))

    def run(self) -> Told:
        """:raises Violation: a promise was broken."""
        world, rng = self.world, self.rng
        repeats = rng.choice((0.0, 0.2))
        world.controller.repeat_steps(lambda: rng.random() < repeats)
        world.start()
        if rng.random() < 0.8:
            world.run_until(world.in_step, 5.0)
        for volume in range(len(world.sizes)):
            for _ in range(rng.choice((1, 1, 2))):
                think = rng.choice((0.005, 0.02, 0.06))
                self.loads.append(Load(world, volume, rng, rng.choice((1, 2, 4)), think))
        self._trouble_later()
        world.run(TROUBLE_SECONDS)
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

    def _trouble_later(self) -> None:
        delay = self.rng.random() * 2 * self._pause
        self.world.scheduler.after(delay, Kind.FAULT, "world", "trouble", self._trouble)

    def _trouble(self) -> None:
        if self.faults.healed:
            return
        rng = self.rng
        self.watch.evidence.audit(SESSION)
        if rng.random() < self._operator_share:
            self.operator.act(self._verbs)
        else:
            kind = rng.choice(self._kinds)
            if self.world.trace.on:
                self.world.trace.add(self.world.scheduler.now, "world", f"** {kind}")
            self.faults.kinds[kind]()
        self._trouble_later()

    # --- healing ---

    def _heal(self) -> None:
        self.delays.calm = True
        self.faults.heal()
        self.watch.evidence.audit(SESSION)

    def _settle(self) -> None:
        world = self.world
        until = world.scheduler.now + HEAL_SECONDS
        while world.scheduler.now < until:
            self.operator.put_in_order()
            world.run(0.2)
            if self._in_order():
                break
        converge(world, HEAL_SECONDS)
        self._hosts_are_answered()
        for load in self.loads:
            load.stopped = True
        world.run(1.0)
        self._check_the_end()

    def _in_order(self) -> bool:
        wish, world = self.world.controller.wishes[SESSION], self.world
        if self.operator.busy or wish.paused or not world.in_step():
            return False
        told = world.told(world.arbiter.rows[SESSION].primary)
        return not any(volume["failed_bytes"] for volume in told["volumes"])

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
        if not world.in_step():
            raise Violation("P6", "the session does not stay in step")
        self.watch.durable.check_all(world.arbiter.rows[SESSION].primary)
        self.watch.evidence.audit(SESSION)
        self.watch.evidence.equal("in step and quiet")
        if world.malformed:
            raise Violation("P6", f"{world.malformed} frames were called malformed")
