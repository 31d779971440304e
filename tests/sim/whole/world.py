"""A world whose controllers are the real ones: journal, runner, verbs, reconciler, observer and arbiter over SQLite."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from unittest import mock

from tests.sim.whole.controllers import QUICK as QUICK_TIMING
from tests.sim.whole.controllers import Controller, Rows
from tests.sim.whole.database import DatabaseFile
from tests.sim.whole.loop import VirtualLoop
from tests.sim.whole.network import Network
from tests.sim.whole.template import template
from tests.sim.world.delays import Steady
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import QUICK, World

from bilocate.domain.errors import BilocateError
from bilocate.domain.geometry import EXTENT_BYTES
from bilocate.operations.settings import Timing
from bilocate.replication.limits import Limits


class WholeWorld(World):
    """Volumes are extents, which count as GiB. `close` at its end."""

    def __init__(
        self,
        pairs: int,
        controllers: int,
        limits: Limits = QUICK,
        rng: Random | None = None,
        delays: Steady | None = None,
        trace: bool = False,
        dying: float = 0.0,
        timing: Timing = QUICK_TIMING,
    ) -> None:
        """`dying`: the chance that a controller ends at a step's beginning, at its end or within it."""
        super().__init__([EXTENT_BYTES] * pairs, limits, rng, delays, trace)
        self.file = DatabaseFile(self.scheduler, self.rng, *template(pairs))
        self.network = Network(self)
        self.timing = timing
        self.buried: list[VirtualLoop] = []
        self.controllers = [Controller(self, f"c{number + 1}") for number in range(controllers)]
        self.database = Rows(self, self.file, self.network)
        self.arbiter = self.controller = self.database  # type: ignore[assignment]
        self.dying = dying
        self.at_step: Callable[[], None] = lambda: None  # told of every moment of a step

    def start(self) -> None:
        """All processes."""
        for agent in self.agents.values():
            agent.start()
        for controller in self.controllers:
            controller.start()

    def close(self) -> None:
        """Nothing is left of it."""
        for controller in self.controllers:
            controller.kill()
        for loop in self.buried:
            loop.bury()
        self.file.close()

    # --- controllers ---

    def any_controller(self) -> Controller | None:
        """One that runs."""
        running = [controller for controller in self.controllers if controller.up]
        return self.rng.choice(running) if running else None

    def dies_within_step(self) -> bool:
        """Asked at each moment of each step."""
        return self.dying > 0.0 and self.rng.random() < self.dying

    def start_later(self, controller: Controller) -> None:
        """It comes back."""

        def start() -> None:
            if not controller.up:
                controller.start()

        self.scheduler.after(self.rng.random() * 1.5, Kind.FAULT, "world", f"start {controller.name}", start)

    def hello(self, site: str) -> None:
        """An agent has started, and tells a controller."""
        controller = self.any_controller()
        agent = self.agents[site]
        if controller is not None and agent.reachable:
            controller.run(_hello(controller, site, agent.instance, agent.boot_id))


async def _hello(controller: Controller, site: str, instance: str, boot_id: str) -> None:
    try:
        await controller.operations.site_hello(site, instance, boot_id)
    except BilocateError:
        return  # the agent would say it again


@contextmanager
def seeded_ids(rng: Random) -> Iterator[None]:
    """Random ids are of the seed."""
    with mock.patch("uuid.uuid4", side_effect=lambda: uuid.UUID(int=rng.getrandbits(128), version=4)):
        yield
