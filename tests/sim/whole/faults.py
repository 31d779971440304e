"""What may go wrong beside the sites' own troubles: controllers that die, stop, or are cut off."""

from random import Random

from tests.sim.faults import Faults
from tests.sim.whole.world import WholeWorld


class WholeFaults(Faults):
    """All of it."""

    def __init__(self, world: WholeWorld, rng: Random, while_seconds: float) -> None:
        super().__init__(world, rng, while_seconds)
        self.whole = world
        self.kinds |= {
            "controller kill": self.controller_kill,
            "controller pause": self.controller_pause,
            "controller cut": self.controller_cut,
        }

    def controller_kill(self) -> None:
        """A controller's process ends, wherever it is in its work."""
        controller = self.rng.choice(self.whole.controllers)
        if controller.up:
            controller.kill()
            self.whole.start_later(controller)

    def controller_pause(self) -> None:
        """A controller is stopped, perhaps for longer than its leases last, and goes on as if nothing had been."""
        controller = self.rng.choice(self.whole.controllers)
        self.world.scheduler.freeze(controller.name)

        def go_on() -> None:
            self.world.scheduler.thaw(controller.name)

        self._later(go_on, 2.0)

    def controller_cut(self) -> None:
        """A controller and a site do not reach each other; others do."""
        pair = (self.rng.choice(self.whole.controllers).name, self._site())
        self.whole.network.cut.add(pair)
        self._later(lambda: self.whole.network.cut.discard(pair))

    def heal(self) -> None:
        """Nothing is wrong any more."""
        super().heal()
        self.whole.dying = 0.0
        self.whole.file.accidents.calm = True
        self.whole.network.cut.clear()
        for controller in self.whole.controllers:
            self.world.scheduler.thaw(controller.name)
            if not controller.up:
                controller.start()
