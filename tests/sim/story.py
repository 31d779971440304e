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
from tests.sim.world.scheduler import Event, Kind
from tests.sim.world.world import KIB, QUICK, World

SMALL = 320 * KIB + 512  # one extent with a short last chunk
TWO_EXTENTS = 4096 * KIB + 2 * 64 * KIB
TROUBLE_SECONDS = 2.5
HEAL_SECONDS = 30.0
TELLING = frozenset({Kind.LEDGER, Kind.FLUSH, Kind.CALL, Kind.ASK, Kind.ANSWER, Kind.LINK})
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
        # The chance that a fault comes right behind a telling event.
        self._strikes = rng.choice((0.0, 0.01, 0.04))
        self._focus(rng.choice((None, None, "roles", "link", "disks", "members" if len(sizes) > 1 else None)))

    def _focus(self, focus: str | None) -> None:
        """Half of all seeds are about one thing, so that its narrow moments come often."""
        rng = self.rng
        match focus:
            case "roles":
                self._verbs, self._operator_share, self._pause = ["next"], 0.7, 0.05
                self._kinds = rng.sample(["kill", "power", "cut", "partition", "controller"], 2)
            case "link":
                self._kinds, self._pause = ["cut", *rng.sample(["kill", "power", "black hole"], 1)], 0.03
            case "disks":
                self._kinds, self._pause = ["disk", "cut", *rng.sample(["flush", "power", "kill"], 1)], 0.05
            case "members":
                # Nothing that lets go of answered writes: all volumes are of one history.
                self._verbs = ["regroup", "regroup", "sync", "sync", "sync"]
                self._kinds = rng.sample(
                    ["kill", "kill both", "cut", "partition", "black hole", "controller"], 2
                )

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
        world.scheduler.after_each = self._strike if self._strikes else None
        world.run(TROUBLE_SECONDS)
        world.scheduler.after_each = None
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
        self._audit()
        if rng.random() < self._operator_share:
            self.operator.act(self._verbs)
        else:
            self._break(rng.choice(self._kinds))
        self._trouble_later()

    def _strike(self, event: Event) -> None:
        """The narrow moments: between a commit and what it allows, a check's answer and its use."""
        if event.kind in TELLING and self.rng.random() < self._strikes:
            self._break(self.rng.choice(self._kinds))

    def _break(self, kind: str) -> None:
        if self.world.trace.on:
            self.world.trace.add(self.world.scheduler.now, "world", f"** {kind}")
        self.faults.kinds[kind]()

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
            world.run(0.2)
            if self._in_order() and world.scheduler.now > healed + self.delays.latest_call:
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
            self.watch.durable.check_all(row.primary, world.controller.wishes[row.session_id].members)
        self._audit()
        self.watch.evidence.equal("in step and quiet")
        if world.malformed:
            raise Violation("P6", f"{world.malformed} frames were called malformed")
