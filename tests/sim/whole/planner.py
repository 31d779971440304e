"""Carries a plan out: looks every moment whether the place of its next call is reached, and asks then."""

from collections.abc import Callable
from random import Random

from tests.sim.whole.operator import WholeOperator
from tests.sim.whole.plans import REMEDIES, Call
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION

LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 0.5  # then the plan is spoiled
HASTE = 0.005  # the chance, at each look, that the next call does not wait for the end of the one before


class Planner:
    """One operator. `ask(what)`: the story's part; after `over` nothing more is asked."""

    def __init__(
        self, plan: list[Call], rng: Random, operator: WholeOperator, ask: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._rng = rng
        self._operator = operator
        self._world = operator.world
        self._ask = ask
        self._next = 0
        self._since = 0.0
        self.over = False

    def start(self) -> None:
        """From now on."""
        self._since = self._world.scheduler.now
        self._later(LOOK_SECONDS)

    def _later(self, seconds: float) -> None:
        self._world.scheduler.after(seconds, Kind.FAULT, "world", "plan", self._look)

    def _look(self) -> None:
        if self.over:
            return
        now = self._world.scheduler.now
        call = self._plan[self._next % len(self._plan)]
        place = place_of(self._operator)
        if not any(controller.up for controller in self._world.controllers):
            pass  # nobody to ask
        elif self._operator.busy:
            if self._rng.random() < HASTE:
                self._do(call.what)
        elif place == call.place:
            self._do(call.what)
        elif now > self._since + PATIENCE_SECONDS:
            self._mend(place)
        self._later(LOOK_SECONDS * (0.5 + self._rng.random()))

    def _do(self, what: str) -> None:
        self._next += 1
        self._since = self._world.scheduler.now
        self._ask(what)

    def _mend(self, place: str) -> None:
        """Spoiled: what leads out of here, or on with the plan from here."""
        self._since = self._world.scheduler.now
        for skipped in range(len(self._plan)):
            if self._plan[(self._next + skipped) % len(self._plan)].place == place:
                self._next += skipped
                return
        what = self._rng.choice(REMEDIES.get(place, ("nothing",)))
        if what != "nothing":
            self._ask(what)


def place_of(operator: WholeOperator) -> str:
    """Where the group is, as its operator is told."""
    world = operator.world
    wish = world.database.wishes[SESSION]
    if wish.status != "available":
        return str(wish.status).replace("failed_over", "failed over")
    split = len(wish.members) < len(world.sizes)
    if wish.paused:
        return "split" if split else "stopped"
    in_step = world.told(world.arbiter.rows[SESSION].primary).get("in_step")
    return ("half " if split else "") + ("in step" if in_step else "behind")
