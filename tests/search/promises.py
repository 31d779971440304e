"""P1 to P5 as hosts and operators see them. Knows nothing of the core but writes, answers, reads and who leads.

Values are numbers of writes. A value is *gone* from a place once something took its place that began after it had
taken effect: a later write that was answered, or another value that a host has read.
"""

from collections.abc import Sequence
from typing import Any

from tests.sim.checkers.violation import Violation

Place = tuple[int, int]  # volume, chunk


class HostWrite:
    """One write."""

    __slots__ = (
        "after",
        "answered",
        "before",
        "branch",
        "durable",
        "ended",
        "foreign",
        "place",
        "site",
        "value",
    )

    def __init__(
        self, value: int, place: Place, site: str, branch: int, foreign: bool, durable: bool
    ) -> None:
        self.value = value
        self.place = place
        self.site = site
        self.branch = branch
        self.foreign = foreign  # asked for where production was no more
        self.durable = durable  # FUA
        self.answered = False
        self.ended = False  # failed, or its connection was closed: takes effect before that, or never
        self.before: frozenset[int] = (
            frozenset()
        )  # values of its place that had taken effect when it was asked for
        self.after: frozenset[int] = frozenset()  # writes that were answered then


class Register:
    """What may be found at one place."""

    __slots__ = ("effective", "gone", "seen")

    def __init__(self, value: int, gone: frozenset[int]) -> None:
        self.seen = value  # last
        self.effective = {value}
        self.gone = set(gone)


class Promises:
    """All places, and who is in production."""

    def __init__(self, master: str, places: Sequence[Place]) -> None:
        self.master = master
        self._handed_over = True  # the master has served since it became it
        self._exempt = False  # an operator accepted loss: the old site may answer until it hears of it
        self._branch = 0
        self.attachment = 0  # rises when hosts had to come anew, having been told of a crash
        self.writes: list[HostWrite] = []
        self._places = {place: Register(0, frozenset()) for place in sorted(set(places))}
        self._lossy = False  # the master was promoted although it may lack something
        self._cut: set[str] = set()  # sites that have lost power

    def _lawful(self, site: str) -> bool:
        return site == self.master or not self._handed_over

    # --- hosts ---

    def issued(self, place: Place, site: str, durable: bool) -> None:
        """The next write is asked for."""
        value = len(self.writes) + 1
        foreign = site != self.master and not (self._exempt and self._lawful(site))
        write = HostWrite(value, place, site, self._branch, foreign, durable)
        register = self._places[place]
        write.before = frozenset(register.effective)
        write.after = frozenset(each.value for each in self.writes if each.answered)
        if write.foreign:
            register.gone.add(value)
        self.writes.append(write)

    def answered(self, value: int, errno: int) -> None:
        """A write was answered: P2, and from now on P1."""
        write = self.writes[value - 1]
        if write.answered or write.ended:
            raise Violation(
                "P1", f"write {value} is answered, though it was before, or its connection is gone"
            )
        if errno:
            write.ended = True
            return
        write.answered = True
        if write.foreign and not self._exempt:
            raise Violation("P2", f"{write.site} answered write {value}, {self.master} is in production")
        if write.branch == self._branch and not write.foreign:
            register = self._places[write.place]
            register.gone |= write.before
            register.effective.add(value)

    def disconnected(self, site: str) -> None:
        """Nothing that hosts asked for there is answered any more."""
        for write in self.writes:
            if write.site == site and not write.answered:
                write.ended = True

    def observed(self, site: str, place: Place, value: int) -> None:
        """A host has read this: P1 and P4."""
        if not self._lawful(site):
            return  # an isolated site that has not heard of it: the documented exception, for reads
        register = self._places[place]
        self._require(site, place, value, "P4")
        if value != register.seen:
            register.gone.add(register.seen)
        if value and self.writes[value - 1].branch == self._branch:
            register.gone |= self.writes[value - 1].before
        register.seen = value
        register.effective.add(value)
        for each in self.writes:
            if each.ended and each.place == place and each.value != value:
                register.gone.add(each.value)

    def _require(self, site: str, place: Place, value: int, promise: str) -> None:
        if value in self._places[place].gone:
            answered = [each.value for each in self.writes if each.answered and each.place == place]
            if answered and promise == "P4" and max(answered) > value:
                promise = "P1"
            raise Violation(
                promise,
                f"{site} shows {value or 'zeros'} at {place}; answered: {answered}, "
                f"last read: {self._places[place].seen}",
            )

    # --- roles ---

    def moved(self, site: str, lossy: bool) -> None:
        """An operator's call has made this site the master."""
        self.master, self._handed_over = site, False
        self._exempt = self._lossy = lossy

    def power_cut(self, site: str) -> None:
        """The site's machine has lost power."""
        self._cut.add(site)

    def served(self, site: str, disks: Sequence[list[int]], refused: bool) -> None:
        """A site begins to serve: what its disks hold is what hosts will read. `refused`: they know of a crash."""
        if site == self.master:
            self._handed_over = True
        if site == self.master and self._lossy:
            self._lossy = False
            self._require_order(site, disks)
            self._rebase(disks)
        elif refused:
            self._require_durable(site, disks)
            self._rebase(disks)
            self.attachment += 1
        elif self._lawful(site):
            self.has_all(site, disks, "P1")

    def has_all(self, site: str, disks: Sequence[list[int]], promise: str) -> None:
        """Nothing that was answered or read is missing on these disks."""
        for place in self._places:
            self._require(site, place, disks[place[0]][place[1]], promise)

    def _require_order(self, site: str, disks: Sequence[list[int]]) -> None:
        """P3: with a write, everything that was answered before it was asked for, over all volumes."""
        for write in self.writes:
            if disks[write.place[0]][write.place[1]] != write.value:
                continue
            for value in write.after:
                earlier = self.writes[value - 1]
                if site in self._cut and not earlier.durable:
                    continue
                if disks[earlier.place[0]][earlier.place[1]] < value:
                    raise Violation(
                        "P3", f"{site} has write {write.value}, not {value}, which was answered before"
                    )

    def _require_durable(self, site: str, disks: Sequence[list[int]]) -> None:
        """P1 of flushed writes: not even the loss of a machine's memory may take them (rule 19)."""
        for write in self.writes:
            if write.answered and write.durable and write.branch == self._branch and not write.foreign:
                found = disks[write.place[0]][write.place[1]]
                if found < write.value:
                    raise Violation(
                        "P1", f"{site} lacks write {write.value}, which was flushed; it has {found}"
                    )

    def _rebase(self, disks: Sequence[list[int]]) -> None:
        """A new history begins with what these disks hold."""
        self._branch += 1
        for place in self._places:
            value = disks[place[0]][place[1]]
            others = {0, *(each.value for each in self.writes if each.place == place)} - {value}
            self._places[place] = Register(value, frozenset(others))

    def state(self, lossy: bool) -> tuple[Any, ...]:
        """All that what follows may depend on. `lossy`: an operator may still accept loss."""
        order = lossy or self._lossy
        writes = []
        for each in self.writes:
            here = each.branch == self._branch
            gone = each.value in self._places[each.place].gone
            under_way = not each.answered and not each.ended
            writes.append(
                (
                    each.answered,
                    each.ended,
                    here,
                    (each.site, each.foreign) if under_way else each.foreign and here,
                    each.before if here and not each.answered and not gone else (),
                    (each.after,) if order else (),
                )
            )
        places = [(each.seen, each.gone, each.effective) for each in self._places.values()]
        roles = (self.master, self._handed_over, self._exempt, self._lossy, self.attachment)
        return (writes, places, roles, self._cut if order else ())

    @property
    def unanswered(self) -> bool:
        """Whether some host still waits."""
        return any(not each.answered and not each.ended for each in self.writes)
