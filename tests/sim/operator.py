"""An operator who asks for anything at any time, and who afterwards puts things in order."""

from random import Random
from typing import Any, Protocol

from tests.sim.checkers.violation import Violation
from tests.sim.world.calls import Operation
from tests.sim.world.world import World

from bilocate.domain.arbiter import RowState
from bilocate.domain.geometry import EXTENT_BYTES

MOST_BYTES = 2 * EXTENT_BYTES  # a volume that is larger is not extended again


class Asks(Protocol):
    """An operator, as a story needs one. `asked`: how often it has asked for something."""

    asked: int

    @property
    def busy(self) -> bool:
        """Whether something is under way."""

    def act(self, kinds: list[str]) -> None:
        """Ask for one of these."""

    def put_in_order(self) -> None:
        """In a healed world: what is left to do, by what the sites tell."""


class Operator:
    """One operation at a time, as the journal has it."""

    def __init__(self, world: World, rng: Random) -> None:
        self.world = world
        self.rng = rng
        self.operation: Operation | None = None
        self.asked = 0

    @property
    def busy(self) -> bool:
        """Whether an operation is under way."""
        return self.operation is not None and self.operation.running

    def act(self, kinds: list[str]) -> None:
        """Ask for one of these, of one session, unless something is under way."""
        if self.busy:
            return
        controller, rng = self.world.controller, self.rng
        self._look_back()
        self.asked += 1
        session_id = rng.choice(list(controller.wishes))
        match rng.choice(kinds):
            case "failover":
                self.operation = controller.failover(session_id)
            case "forced":
                self.operation = controller.failover(session_id, allow_data_loss=True)
            case "reverse":
                self.operation = controller.reverse(session_id)
            case "stop":
                self.operation = controller.set_paused(session_id, True)
            case "regroup":
                self._regroup()
            case "next":
                self._next(session_id)
            case "extend":
                self._extend(session_id)
            case _:
                self.operation = controller.set_paused(session_id, False)

    def _next(self, session_id: str) -> None:
        """Whatever leads to the next change of roles without a loss."""
        controller = self.world.controller
        if controller.wishes[session_id].paused:
            self.operation = controller.set_paused(session_id, False)
        elif self.world.arbiter.rows[session_id].state is RowState.IN_SYNC:
            verb = self.rng.choice((controller.failover, controller.reverse))
            self.operation = verb(session_id)

    def _extend(self, session_id: str) -> None:
        """A volume of whole extents gets one more."""
        world = self.world
        for volume in world.controller.wishes[session_id].members:
            size = max(world.size_at(volume, site) for site in world.agents)
            if size % EXTENT_BYTES == 0 and size <= MOST_BYTES:
                self.operation = world.controller.grow(session_id, volume, size + EXTENT_BYTES)
                return

    def _regroup(self) -> None:
        """Pairs join and leave, while all of it is paused."""
        controller, rng = self.world.controller, self.rng
        if not all(wish.paused for wish in controller.wishes.values()):
            for session_id in controller.wishes:
                self.operation = controller.set_paused(session_id, True)
            return
        groups: dict[str, list[int]] = {}
        for volume in range(len(self.world.sizes)):
            groups.setdefault(rng.choice(("group", "second", "third")), []).append(volume)
        controller.regroup(groups)

    def _look_back(self) -> None:
        operation = self.operation
        if operation is not None and operation.error and "can't be served" in operation.error:
            raise Violation("P6", f"a failover was committed, and refused: {operation.error}")

    def put_in_order(self) -> None:
        """In a healed world: whatever only an operator can mend."""
        self._look_back()
        for session_id in self.world.controller.wishes:
            if self.busy:
                return
            self.world.controller.settle(session_id)
            told = self.world.told(self.world.arbiter.rows[session_id].primary, session_id)
            if told:
                self._mend(session_id, told)

    def _mend(self, session_id: str, told: dict[str, Any]) -> None:
        controller = self.world.controller
        wish = controller.wishes[session_id]
        blank = any(volume["blank"] for volume in told["volumes"]) and "nothing of this volume's past" in str(
            told["refusal"]
        )
        if blank and not wish.trust_blank:
            self.operation = controller.set_paused(session_id, False, trust_blank=True)
        elif wish.paused:
            self.operation = controller.set_paused(session_id, False)
        elif told["in_step"] and any(volume["failed_bytes"] for volume in told["volumes"]):
            # Only a resync clears a failed mark, and only a stop lets a session out of step.
            self.operation = controller.set_paused(session_id, True)
