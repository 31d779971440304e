"""One seed of a world with real controllers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import structlog
from tests.sim.checkers.violation import Violation
from tests.sim.faults import Faults
from tests.sim.mix import ALL, Less, Mix, mix_of_whole
from tests.sim.plots import DELAYS
from tests.sim.story import Story, Told
from tests.sim.whole.controllers import QUICK
from tests.sim.whole.faults import WholeFaults
from tests.sim.whole.operator import WholeOperator
from tests.sim.whole.planner import Planner
from tests.sim.whole.plans import draw_plan
from tests.sim.whole.world import WholeWorld, seeded_ids
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, World

from bilocate.domain.observed import Observed, Replication
from bilocate.replication.limits import Limits

# What a controller says when its own code is wrong: nothing that a world does may lead to that.
DEFECTS = frozenset(
    {
        "operation_defect",
        "runner_defect",
        "observer_defect",
        "reconcile_defect",
        "step_defect",
    }
)
SETTLED = frozenset({"available"})
TRUTH_SECONDS = 1.0


class WholeStory(Story):
    """The same trouble, the same checkers, and what the API says at the end must be true."""

    world: WholeWorld
    operator: WholeOperator

    def __init__(self, seed: int, trace: bool = False, less: Less = ALL) -> None:
        with seeded_ids(Random(f"{seed} ids")):
            super().__init__(seed, trace, less)
        self._planner: Planner | None = None
        self._at_steps = Random(f"{seed} at steps")
        if self.mix.planned:
            self.world.at_step = self._step_reached
            if "plan" not in less.without:
                rng = Random(f"{seed} plan")
                plan = draw_plan(rng, len(self.mix.sizes))
                self._planner = Planner(plan, rng, self.operator, self._ask)

    def _draw(self, rng: Random) -> Mix:
        return mix_of_whole(self.seed)

    def _make_world(self, limits: Limits, trace: bool) -> World:
        mix, rng = self.mix, Random(f"{self.seed} world")
        timing = replace(
            QUICK,
            reconcile_every_seconds=mix.reconcile_seconds,
            forward_patience_seconds=mix.patience_seconds,
        )
        return WholeWorld(len(mix.sizes), mix.controllers, limits, rng, self.delays, trace, mix.dying, timing)

    def _make_faults(self) -> Faults:
        return WholeFaults(self.world, self.rng, self.mix.while_seconds)

    def _make_operator(self) -> WholeOperator:
        return WholeOperator(self.world, self.rng)

    def _begin_trouble(self) -> None:
        super()._begin_trouble()
        if self._planner is not None:
            self._planner.start()

    def _ask(self, what: str) -> None:
        """Of the plan."""
        if not self.faults.healed and self._one_more("plan"):
            self._audit()
            if self.world.trace.on:
                self.world.trace.add(self.world.scheduler.now, "world", f"** the plan: {what}")
            self.operator.act([what])

    def _step_reached(self) -> None:
        """A fault comes soon, where a step of a verb has just begun or ended."""
        if not self.faults.healed and self._at_steps.random() < self.mix.step_strikes:
            delay = self._at_steps.choice(DELAYS)
            self.world.scheduler.after(delay, Kind.FAULT, "world", "at a step", self._break_unless_healed)

    def _break_unless_healed(self) -> None:
        if not self.faults.healed:
            self._break()

    def _plans_are_over(self) -> None:
        super()._plans_are_over()
        if self._planner is not None:
            self._planner.over = True

    def run(self) -> Told:
        """:raises Violation: a promise was broken."""
        with seeded_ids(Random(f"{self.seed} more ids")), self._logs():
            try:
                return super().run()
            finally:
                self.world.close()

    def _in_order(self) -> bool:
        wishes = self.world.database.wishes
        return list(wishes) == [SESSION] and wishes[SESSION].status in SETTLED and super()._in_order()

    def _check_the_end(self) -> None:
        super()._check_the_end()
        if unfinished := self.operator.unfinished():
            raise Violation("API", f"operations do not end: {unfinished}")
        held = self.world.file.read("SELECT id, operation_id FROM groups WHERE operation_id IS NOT NULL")
        if held:
            raise Violation("API", f"ended operations hold their groups: {held}")
        self._check_what_is_told()

    def _check_what_is_told(self) -> None:
        found: list[Observed] = []
        controller = self.world.controllers[0]

        async def observe() -> None:
            found.extend((await controller.operations.observe([SESSION], TRUTH_SECONDS)).values())

        controller.run(observe())
        self.world.run_until(lambda: bool(found), 2 * TRUTH_SECONDS)
        if [each.replication for each in found] != [Replication.ACTIVE]:
            raise Violation("API", f"in step and quiet, but {found} is told")

    @contextmanager
    def _logs(self) -> Iterator[None]:
        """Log lines go into the trace; a line that speaks of a defect breaks the seed."""

        def take(_logger: Any, _method: str, fields: Any) -> Any:
            name, trace = str(fields.pop("event", "")), self.world.trace
            if name in DEFECTS:
                said = f"{name} {fields.get('step', '')}: {fields.get('exc_info') or fields.get('error')!r}"
                self.operator.defects.append(said)
            if trace.on:
                told = " ".join(f"{key}={value}" for key, value in sorted(fields.items()))
                trace.add(self.world.scheduler.now, "log", f"{name} {told}")
            raise structlog.DropEvent

        before = structlog.get_config()
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, take],
            wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        )
        try:
            yield
        finally:
            structlog.configure(**before)
