"""An operator who asks for anything at any time, and who afterwards puts things in order."""

from random import Random

from tests.sim.checkers.violation import Violation
from tests.sim.world.calls import Operation
from tests.sim.world.world import SESSION, World


class Operator:
    """One operation at a time, as the journal has it."""

    def __init__(self, world: World, rng: Random) -> None:
        self.world = world
        self.rng = rng
        self.operation: Operation | None = None
        self._stuck = False  # a failover ended after its point of no return
        self.asked = 0

    @property
    def busy(self) -> bool:
        """Whether an operation is under way."""
        return self.operation is not None and self.operation.running

    def act(self, kinds: list[str]) -> None:
        """Ask for one of these, unless something is under way."""
        if self.busy:
            return
        controller, rng = self.world.controller, self.rng
        self._look_back()
        self.asked += 1
        match rng.choice(kinds):
            case "failover":
                self.operation = controller.failover(SESSION)
            case "forced":
                self.operation = controller.failover(SESSION, allow_data_loss=True)
            case "reverse":
                self.operation = controller.reverse(SESSION)
            case "stop":
                self.operation = controller.set_paused(SESSION, True)
            case _:
                self.operation = controller.set_paused(SESSION, False)

    def _look_back(self) -> None:
        operation = self.operation
        if operation is not None and operation.error and "can't be served" in operation.error:
            raise Violation("P6", f"a failover was committed, and refused: {operation.error}")

    def put_in_order(self) -> None:
        """In a healed world: whatever only an operator can mend."""
        if self.busy:
            return
        self._look_back()
        controller, world = self.world.controller, self.world
        told = world.told(world.arbiter.rows[SESSION].primary)
        if not told:
            return
        wish = controller.wishes[SESSION]
        blank = any(volume["blank"] for volume in told["volumes"]) and "nothing of this volume's past" in str(
            told["refusal"]
        )
        if blank and not wish.trust_blank:
            self.operation = controller.set_paused(SESSION, False, trust_blank=True)
        elif wish.paused:
            self.operation = controller.set_paused(SESSION, False)
        elif told["in_step"] and any(volume["failed_bytes"] for volume in told["volumes"]):
            # Only a resync clears a failed mark, and only a stop lets a session out of step.
            self.operation = controller.set_paused(SESSION, True)
