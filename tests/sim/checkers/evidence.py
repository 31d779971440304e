"""P5 EVIDENCE: copies that are called equal are equal; a secondary that the row calls in step has every answer."""

from collections.abc import Collection

from tests.sim.checkers.durable import Durable
from tests.sim.checkers.violation import Violation
from tests.sim.world.disk import ZERO
from tests.sim.world.observers import Observers
from tests.sim.world.world import SESSION, A, B, World

from bilocate.domain.arbiter import RowState


class Evidence(Observers):
    """Looks at what sites and the row tell, and at the disks."""

    def __init__(self, world: World, durable: Durable) -> None:
        self._world = world
        self._durable = durable
        self.audits = 0

    def switched_over(self, site: str) -> None:
        other = next(name for name in self._world.agents if name != site)
        told = self._world.told(other, SESSION)
        failed = [volume for volume, each in enumerate(told.get("volumes", ())) if each["failed_bytes"]]
        if told:
            self.equal("a switchover was committed", failed)

    def audit(self, session_id: str) -> None:
        """At any moment: the row says in step and the secondary does not object → it could take over now."""
        row = self._world.arbiter.rows[session_id]
        if row.state is not RowState.IN_SYNC:
            return
        told = self._world.told(row.secondary, session_id)
        if told.get("epoch") != row.epoch or told["role"] != "secondary":
            return
        if all(v["consistent"] and not v["blank"] and not v["dirty_bytes"] for v in told["volumes"]):
            self.audits += 1
            try:
                self._durable.check_all(row.secondary, self._world.controller.wishes[session_id].members)
            except Violation as violation:
                raise Violation("P5", f"the row says in_sync, but {violation}") from violation

    def equal(self, why: str, but: Collection[int] = ()) -> None:
        """Both copies of every volume are the same, sector by sector; `but` those in which writes have failed."""
        for volume in set(range(len(self._world.sizes))).difference(but):
            mine, other = self._world.disk(volume, A).cache, self._world.disk(volume, B).cache
            for sector in sorted(mine.keys() | other.keys()):
                if mine.get(sector, ZERO) != other.get(sector, ZERO):
                    raise Violation("P5", f"{why}, but sector {sector} of volume {volume} differs")
