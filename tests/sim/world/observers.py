"""What a world tells those who watch it. Nothing of the core: hosts, operators and machines only."""

from collections.abc import Sequence

from tests.sim.world.history import HostOp


class Observers:
    """Does nothing; a checker overrides what it needs. Moments are the history's."""

    def issued(self, op: HostOp) -> None:
        """A host asked."""

    def answered(self, op: HostOp) -> None:
        """A host was answered."""

    def ended(self, op: HostOp) -> None:
        """A host's connection was closed before it was answered."""

    def started(self, site: str) -> None:
        """A site's process started."""

    def died(self, site: str) -> None:
        """A site's process ended."""

    def power_cut(self, site: str, lost: bool) -> None:
        """A site's machine lost power, and with it perhaps some unflushed sectors."""

    def served(self, site: str, volumes: Sequence[int]) -> None:
        """A site begins to serve these volumes; no host of theirs has been answered yet."""

    def refused(self, site: str, volumes: Sequence[int]) -> None:
        """A site refuses all attachments from before: hosts see an error, not an older disk."""

    def failed_over(self, site: str, lossy: bool) -> None:
        """The operator's failover to this site is committed. `lossy`: answered writes may be missing there."""

    def switched_over(self, site: str) -> None:
        """The operator's switchover to this site is committed."""

    def trusted(self, site: str) -> None:
        """The operator said that this site's copy is the truth, whatever it may lack."""


class All(Observers):
    """Several, in order."""

    def __init__(self, *each: Observers) -> None:
        self.each = list(each)

    def issued(self, op: HostOp) -> None:
        for one in self.each:
            one.issued(op)

    def answered(self, op: HostOp) -> None:
        for one in self.each:
            one.answered(op)

    def ended(self, op: HostOp) -> None:
        for one in self.each:
            one.ended(op)

    def started(self, site: str) -> None:
        for one in self.each:
            one.started(site)

    def died(self, site: str) -> None:
        for one in self.each:
            one.died(site)

    def power_cut(self, site: str, lost: bool) -> None:
        for one in self.each:
            one.power_cut(site, lost)

    def served(self, site: str, volumes: Sequence[int]) -> None:
        for one in self.each:
            one.served(site, volumes)

    def refused(self, site: str, volumes: Sequence[int]) -> None:
        for one in self.each:
            one.refused(site, volumes)

    def failed_over(self, site: str, lossy: bool) -> None:
        for one in self.each:
            one.failed_over(site, lossy)

    def switched_over(self, site: str) -> None:
        for one in self.each:
            one.switched_over(site)

    def trusted(self, site: str) -> None:
        for one in self.each:
            one.trusted(site)
