"""P4 STABLE: what a host reads is never older than what it, or any host, was answered or has read before."""

from tests.sim.checkers.registers import Registers
from tests.sim.checkers.violation import Violation
from tests.sim.world.history import HostOp
from tests.sim.world.observers import Observers

from bilocate.replication.requests import Op


class Stable(Observers):
    """Looks at every read before the registers take it in."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    def answered(self, op: HostOp) -> None:
        if op.op is not Op.READ or op.errno or not self._registers.counts(op):
            return
        for sector, writer in zip(op.sectors, op.found, strict=True):
            why = self._registers.now.why_not(op.volume, sector, writer, op.issued)
            if why is not None:
                raise Violation("P4", f"read {op.number}, sector {sector} of volume {op.volume}: {why}")
