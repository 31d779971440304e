"""P1 DURABLE and P3 ORDER, looked at whenever a site begins to serve: what it holds is what hosts will read."""

from collections.abc import Sequence

from tests.sim.checkers.registers import Must, Registers, was_answered
from tests.sim.checkers.violation import Violation
from tests.sim.world.disk import Disk
from tests.sim.world.history import HostOp
from tests.sim.world.observers import Observers
from tests.sim.world.world import World


class Durable(Observers):
    """P1: everything answered is there. What is allowed to be missing is said by operators and refused hosts."""

    def __init__(self, world: World, registers: Registers) -> None:
        self._world = world
        self._registers = registers
        self._lossy: set[str] = set()  # sites that an operator promoted although they may lack something
        # Volumes of sites that told their hosts of a crash, and have not been served since.
        self._refused: set[tuple[str, int]] = set()
        self._trusted: set[str] = set()
        self._cuts: dict[str, int] = {}  # the moment of a site's last power cut that lost something

    def power_cut(self, site: str, lost: bool) -> None:
        if lost:
            self._cuts[site] = self._world.history.tick()

    def started(self, site: str) -> None:
        agent = self._world.agents[site]
        if not agent.attachments <= agent.refused:
            # The refusal was not durable: hosts may come back as if nothing happened.
            self._refused = {(other, volume) for other, volume in self._refused if other != site}

    def refused(self, site: str, volumes: Sequence[int]) -> None:
        self._refused |= {(site, volume) for volume in volumes}

    def failed_over(self, site: str, lossy: bool) -> None:
        self._lossy.discard(site)
        if lossy:
            self._lossy.add(site)

    def trusted(self, site: str) -> None:
        self._trusted.add(site)

    def served(self, site: str, volumes: Sequence[int]) -> None:
        disks = self.disks(site, volumes)
        told = {(site, volume) for volume in volumes} & self._refused
        self._refused -= told
        if site in self._trusted:
            self._trusted.discard(site)
            self._registers.rebase(site, disks)
        elif site in self._lossy:
            self._lossy.discard(site)
            self._check_order(site, disks)
            self._registers.rebase(site, disks)
        elif told:
            self._check_flushed(site, disks)
            self._registers.rebase(site, disks)
        else:
            self.check_all(site, volumes)

    def disks(self, site: str, volumes: Sequence[int]) -> dict[int, Disk]:
        """The site's disks of these volumes."""
        return {volume: self._world.disk(volume, site) for volume in volumes}

    def check_all(self, site: str, volumes: Sequence[int] | None = None) -> None:
        """P1 and P4: the site holds everything that was answered, and everything that was read."""
        disks = self.disks(site, range(len(self._world.sizes)) if volumes is None else volumes)
        why = self._registers.now.why_not_now(disks, self._world.history.tick())
        if why is not None:
            raise Violation("P1", f"at {site}, {why}")

    def _check_flushed(self, site: str, disks: dict[int, Disk]) -> None:
        """P1 of flushed writes, which not even the loss of the machine's memory may take (rule 19)."""
        moment = self._world.history.tick()
        must = self._survives_cut(site, moment)
        why = self._registers.now.why_not_disks(disks, moment, must, claims=False)
        if why is not None:
            raise Violation("P1", f"flushed, at {site}, {why}")

    def _check_order(self, site: str, disks: dict[int, Disk]) -> None:
        """P3: with any write, everything that was answered before that write was asked for.

        Unless this site lost power: then of what was answered before that, what had been flushed. What it holds
        may be of a moment before the present branch began: then it must be one of that branch.
        """
        branches = [self._registers.now, *reversed(self._registers.past)]
        first = ""
        for branch in branches:
            moment = branch.newest(disks)
            must = self._survives_cut(site, moment) if site in self._cuts else was_answered
            why = branch.why_not_disks(disks, moment, must, claims=False)
            if why is None:
                return
            first = first or why
        raise Violation("P3", f"at {site}, {first}")

    def _survives_cut(self, site: str, moment: int) -> Must:
        """What a power cut of this site must not have taken, of what was answered before `moment`."""
        cut = self._cuts.get(site, -1)
        flushed: dict[int, int] = {}  # volume → answered before this moment: durable
        for flush in self._world.history.flushes:
            if flush.answered < moment:
                flushed[flush.volume] = max(flushed.get(flush.volume, 0), flush.issued)

        def must(op: HostOp) -> bool:
            if not op.ok:
                return False
            return op.issued > cut or op.fua or op.answered < flushed.get(op.volume, 0)

        return must
