"""P2 ONE WRITER: once production has moved, the old site answers nothing that it was asked after that."""

from collections.abc import Sequence

from tests.sim.checkers.violation import Violation
from tests.sim.world.history import HostOp
from tests.sim.world.observers import Observers
from tests.sim.world.world import World

from bilocate.replication.requests import Op


class OneWriter(Observers):
    """`lawful` says whose answers count. A lossy failover is the documented exception: the old site is isolated.

    Reads at the old site may go on until it has noticed its lost link, no longer.
    """

    def __init__(self, world: World, site: str) -> None:
        self._world = world
        self.master = site
        self._handed_over = True  # the master has served since it became it
        self._since = 0
        self._since_time = 0.0
        self._exempt = False

    def lawful(self, site: str) -> bool:
        """Whether this site's answers count now."""
        return site == self.master or not self._handed_over

    def failed_over(self, site: str, lossy: bool) -> None:
        self._move(site, lossy)

    def switched_over(self, site: str) -> None:
        self._move(site, False)

    def _move(self, site: str, lossy: bool) -> None:
        self._exempt = lossy
        if site != self.master:
            self.master = site
            self._handed_over = False

    def served(self, site: str, volumes: Sequence[int]) -> None:
        if site == self.master:
            if not self._handed_over:
                self._since = self._world.history.tick()
                self._since_time = self._world.scheduler.now
            self._handed_over = True
        elif not self._exempt and self._handed_over:
            raise Violation("P2", f"{site} begins to serve, {self.master} is in production")

    def answered(self, op: HostOp) -> None:
        if op.errno or op.issued <= self._since or self._exempt or self.lawful(op.site):
            return
        if op.op in (Op.WRITE, Op.ZERO):
            raise Violation("P2", f"{op.site} answered write {op.number}, {self.master} is in production")
        limits = self._world.limits
        if self._world.scheduler.now > self._since_time + limits.heartbeat_timeout_seconds + 0.2:
            raise Violation("P2", f"{op.site} still answers reads, long after {self.master} took production")
