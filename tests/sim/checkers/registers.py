"""Every sector as a register: which of the writes that hosts made may be found there at a given moment.

A value is too old when something else took its place before the moment: a write that was answered, or a value
that a host has read, which began only after the value in question had taken effect. Writes under way may be
found or not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.sim.world.disk import Disk
from tests.sim.world.history import NEVER, History, HostOp, writer_of
from tests.sim.world.observers import Observers

from bilocate.replication.requests import Op

Must = Callable[[HostOp], bool]
ZEROS = 0


def was_answered(op: HostOp) -> bool:
    """The usual must: what a host was told is done."""
    return op.ok


@dataclass(slots=True)
class SectorLog:
    """What happened to one sector since the branch began."""

    base: int = ZEROS  # who had written it then
    writes: list[HostOp] = field(default_factory=list)
    claims: list[tuple[int, int, int]] = field(default_factory=list)  # reads: (issued, answered, writer)
    seen: dict[int, int] = field(default_factory=dict)  # writer → when a read that returned it was answered

    def is_plain(self, writer: int) -> bool:
        """Whether it is the last that was asked for, and nobody has read anything."""
        writes = self.writes
        return bool(writes) and not self.claims and writes[-1].number == writer and writer != ZEROS

    def candidates(self, writer: int) -> list[HostOp | None]:
        """Who may have put this content there: writes of the branch, None for its base."""
        out: list[HostOp | None] = [None] if writer == self.base else []
        if writer == ZEROS:
            return out + [op for op in self.writes if op.op is Op.ZERO]
        return out + [op for op in self.writes if op.number == writer]


class Branch:
    """One history without loss: it began with what some disks held, at `began`.

    A volume that was not on those disks has its history from before, which began at another moment.
    """

    def __init__(self, history: History, began: int) -> None:
        self._history = history
        self._began = began
        self._began_before: dict[int, int] = {}  # by volume, where it was another moment
        self.logs: dict[int, dict[int, SectorLog]] = {}  # by volume and sector
        self._looked: dict[Disk, set[int]] = {}  # disks that were right: sectors of which was heard since

    def fork(self) -> "Branch":
        """The same history, which goes on by itself."""
        other = Branch(self._history, self._began)
        for volume in self.logs:
            other.take_over(self, volume)
        return other

    def rebased(self, began: int, disks: Mapping[int, Disk], site: str) -> "Branch":
        """What these disks of the site hold is the truth from now on; the other volumes' history goes on.

        What hosts asked there, and what is not over, may still come upon it.
        """
        other = Branch(self._history, began)
        for volume in self.logs.keys() - disks.keys():
            other.take_over(self, volume)
        for volume, disk in disks.items():
            logs = other.logs.setdefault(volume, {})
            for sector, content in disk.cache.items():
                writer = writer_of(volume, sector, content)
                if writer != ZEROS:
                    logs[sector] = SectorLog(writer)
            for sector, log in self.logs.get(volume, {}).items():
                pending = [op for op in log.writes if op.site == site and op.effect_end == NEVER]
                if pending:
                    logs.setdefault(sector, SectorLog()).writes += pending
        return other

    def take_over(self, other: "Branch", volume: int) -> None:
        """A volume's history until now."""
        self._began_before[volume] = other.began(volume)
        self.logs[volume] = {
            sector: SectorLog(log.base, list(log.writes), list(log.claims), dict(log.seen))
            for sector, log in other.logs.get(volume, {}).items()
        }

    def began(self, volume: int) -> int:
        """The moment at which what is the base of its sectors was there."""
        return self._began_before.get(volume, self._began)

    def logs_of(self, volume: int, sectors: range) -> list[SectorLog]:
        """The logs of these sectors, made when they are first needed."""
        logs = self.logs.setdefault(volume, {})
        for sector in sectors:
            if sector not in logs:
                logs[sector] = SectorLog()
        return [logs[sector] for sector in sectors]

    def _log_at(self, volume: int, sector: int) -> SectorLog | None:
        return self.logs.get(volume, {}).get(sector)

    def why_not(
        self,
        volume: int,
        sector: int,
        writer: int,
        moment: int,
        must: Must = was_answered,
        claims: bool = True,
    ) -> str | None:
        """Why this writer's content must not be found at `moment`; None if it may."""
        log = self._log_at(volume, sector)
        if log is None:
            return None if writer == ZEROS else f"write {writer} is there, of which nothing is known"
        if log.is_plain(writer):
            return None
        candidates = log.candidates(writer)
        if not candidates:
            return f"write {writer} is there, which is not of this history"
        why = None
        for candidate in candidates:
            end = (
                self.began(volume)
                if candidate is None
                else min(candidate.effect_end, log.seen.get(writer, NEVER))
            )
            why = self._superseded(log, writer, end, moment, must, claims)
            if why is None:
                return None
        return f"{'zeros are' if writer == ZEROS else f'write {writer} is'} there, but {why}"

    def why_not_disks(
        self, disks: Mapping[int, Disk], moment: int, must: Must = was_answered, claims: bool = True
    ) -> str | None:
        """The same for all that the disks, by volume, hold."""
        for volume, disk in disks.items():
            sectors = self.logs.get(volume, {}).keys() | disk.cache.keys()
            why = self._why_not_sectors(volume, disk, sectors, moment, must, claims)
            if why is not None:
                return why
        return None

    def why_not_now(self, disks: Mapping[int, Disk], moment: int) -> str | None:
        """The same at every present moment, for disks that are looked at again and again.

        What may be found now may be found later as well, unless it is written to or something is heard of it: so only
        that is looked at.
        """
        for volume, disk in disks.items():
            heard = self._looked.get(disk)
            if heard is None or disk.changed is None:
                sectors = self.logs.get(volume, {}).keys() | disk.cache.keys()
            else:
                sectors = heard | disk.changed
            why = self._why_not_sectors(volume, disk, sectors, moment, was_answered, True)
            if why is not None:
                self._looked.pop(disk, None)
                return why
            self._looked[disk] = set()
            disk.changed = set()
        return None

    def _why_not_sectors(
        self, volume: int, disk: Disk, sectors: Iterable[int], moment: int, must: Must, claims: bool
    ) -> str | None:
        cache, logs = disk.cache, self.logs.get(volume, {})
        for sector in sectors:
            content = cache.get(sector)
            writer = ZEROS if content is None else writer_of(volume, sector, content)
            log = logs.get(sector)
            if log is not None and log.is_plain(writer):
                continue
            why = self.why_not(volume, sector, writer, moment, must, claims)
            if why is not None:
                return f"sector {sector} of volume {volume}: {why}"
        return None

    def heard(self, op: HostOp) -> None:
        """Something became of a request: what it touches must be looked at anew, at both sites."""
        for disk, sectors in self._looked.items():
            if disk.volume == op.volume:
                sectors.update(op.sectors)

    def newest(self, disks: Mapping[int, Disk]) -> int:
        """The moment at which the last of the branch's writes that the disks show was asked for."""
        newest = 0
        for volume, disk in disks.items():
            for sector, content in disk.cache.items():
                writer = writer_of(volume, sector, content)
                log = self._log_at(volume, sector)
                if log is not None and writer not in (ZEROS, log.base):
                    newest = max(newest, self._history.by_number[writer].issued)
        return newest

    def _superseded(
        self, log: SectorLog, writer: int, end: int, moment: int, must: Must, claims: bool
    ) -> str | None:
        for op in reversed(log.writes):
            if op.issued <= end:
                break  # they are in the order in which they were asked for
            same = op.number == writer or (writer == ZEROS and op.op is Op.ZERO)
            if op.answered < moment and not same and must(op):
                return f"write {op.number} was answered after it"
        if claims:
            for issued, answered_at, value in reversed(log.claims):
                if answered_at <= end:
                    break  # they are in the order of their answers, and none is answered before it is asked
                if (
                    issued > end
                    and answered_at < moment
                    and value != writer
                    and not self._undefined(log, value)
                ):
                    return f"write {value} was read after it"
        return None

    def _undefined(self, log: SectorLog, writer: int) -> bool:
        """After an error nobody is promised what is there."""
        if writer == ZEROS:
            return any(op.errno for op in log.writes if op.op is Op.ZERO)
        return bool(self._history.by_number[writer].errno)


class Registers(Observers):
    """Takes in what hosts do.

    `now` is the branch in production. After a failover the old site may go on in isolation: what it is asked goes
    into a branch of its own, for it may be promoted again. `lawful` says which site's answers count now.
    """

    def __init__(self, history: History, lawful: Callable[[str], bool]) -> None:
        self.history = history
        self._lawful = lawful
        self.now = Branch(history, 0)
        self.past: list[Branch] = []
        self._of_site: dict[str, Branch] = {}

    def counts(self, op: HostOp) -> bool:
        """Whether the request belongs to the present branch, at a lawful site."""
        return op.branch == self.history.branch and self._lawful(op.site)

    def issued(self, op: HostOp) -> None:
        if op.op in (Op.WRITE, Op.ZERO):
            branch = self.now if self._lawful(op.site) else self._of_site.get(op.site, self.now)
            if branch is not self.now or self._lawful(op.site):
                for log in branch.logs_of(op.volume, op.sectors):
                    log.writes.append(op)
                branch.heard(op)

    def ended(self, op: HostOp) -> None:
        self.now.heard(op)

    def answered(self, op: HostOp) -> None:
        self.now.heard(op)
        if op.op is not Op.READ or op.errno or not self.counts(op):
            return
        for log, writer in zip(self.now.logs_of(op.volume, op.sectors), op.found, strict=True):
            log.claims.append((op.issued, op.answered, writer))
            if writer != ZEROS:  # zeros do not tell who wrote them
                log.seen.setdefault(writer, op.answered)

    def served(self, site: str, volumes: Sequence[int]) -> None:
        if self._lawful(site):
            for other, branch in self._of_site.items():
                if other != site and branch is self.now:
                    # It may go on for a while, unlawfully: what it was asked then is in a branch of its own.
                    self._of_site[other] = branch.fork()
                    self.past.append(self._of_site[other])
            self._of_site[site] = self.now

    def rebase(self, site: str, disks: Mapping[int, Disk]) -> None:
        """A new branch: what these disks of the site, by volume, hold is the truth from now on."""
        self.past.append(self.now)
        self.history.branch += 1
        self.now = self._of_site[site] = self.now.rebased(self.history.tick(), disks, site)
