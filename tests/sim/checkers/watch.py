"""All checkers over one world, in the order in which they must look."""

from tests.sim.checkers.durable import Durable
from tests.sim.checkers.evidence import Evidence
from tests.sim.checkers.one_writer import OneWriter
from tests.sim.checkers.registers import Registers
from tests.sim.checkers.stable import Stable
from tests.sim.world.observers import All, Observers
from tests.sim.world.world import A, World


class Watch:
    """Set before the world starts."""

    def __init__(self, world: World) -> None:
        self.one_writer = OneWriter(world, A)
        self.registers = Registers(world.history, self.one_writer.lawful)
        self.durable = Durable(world, self.registers)
        self.stable = Stable(self.registers)
        self.evidence = Evidence(world, self.durable)
        # P4 looks at a read before the registers take it in; P2 knows of a move before the others do.
        self._all = All(self.one_writer, self.stable, self.registers, self.durable, self.evidence)
        world.observers = self._all

    def also(self, other: Observers) -> None:
        """Who is told behind all checkers."""
        self._all.each.append(other)
