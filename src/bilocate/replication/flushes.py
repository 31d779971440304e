"""Flushes at the primary: one runs at a time and answers all who asked before it began (rule 8); after it the
intents that it made superfluous may go (rule 5)."""

from collections.abc import Callable, Sequence

from bilocate.replication.frames import DROP_INTENTS, Kind, header
from bilocate.replication.intents import superfluous
from bilocate.replication.marks import Marks
from bilocate.replication.ports import Ports
from bilocate.replication.records import Change
from bilocate.replication.write_path import WritePath

FlushDone = Callable[[int], None]


class Flushes:
    """The flush under way, and those who wait for the next one."""

    def __init__(
        self,
        ports: Ports,
        path: WritePath,
        marks: Sequence[Marks],
        next_token: Callable[[], int],
        intents_max: int,
    ) -> None:
        self._ports = ports
        self._path = path
        self._marks = marks
        self._next_token = next_token
        self._intents_max = intents_max
        self._waiting: list[FlushDone] = []
        self._served: list[FlushDone] = []
        self._token = 0  # of the local flush under way
        self._seq = 0  # of the FLUSH under way
        self._local = self._remote = False  # still to come
        self._errno = 0
        self._drop_all = False  # at both sites
        self._drop_idle = False  # here: whatever may go, though there is room for more
        self._drop_idle_next = False
        self._both = False  # both sites take part, and no trip came between
        self._candidates: list[set[int]] = []

    @property
    def running(self) -> bool:
        """Whether a flush is under way."""
        return self._local or self._remote

    def ask(self, done: FlushDone) -> None:
        """`done(errno)` once everything answered before this call is durable, at both sites unless solo."""
        self._waiting.append(done)
        if not self.running:
            self._begin(drop_all=False)

    def drop_all(self, done: FlushDone) -> None:
        """Quiesce: flush both sites and drop all intents at both. Nothing may be under way."""
        self._waiting.append(done)
        self._begin(drop_all=True)

    def drop_idle(self) -> None:
        """After a resync: flush both sites, so that only extents in use keep their intents. What has one is compared
        whole after a crash of this site."""
        self._drop_idle_next = True
        if not self.running:
            self._begin(drop_all=False)

    def _begin(self, drop_all: bool) -> None:
        path = self._path
        path.flush_number += 1
        self._served, self._waiting = self._waiting, []
        # DROPRACE: only extents without a write under way now; `touched` tells of those that enter later.
        self._candidates = [
            marks.record.intents - path.extents_under_write(volume)
            for volume, marks in enumerate(self._marks)
        ]
        self._errno = 0
        self._drop_all = drop_all
        self._drop_idle, self._drop_idle_next = drop_all or self._drop_idle_next, False
        self._both = self._remote = path.linked and not path.permit
        self._local = True
        if self._remote:
            self._send()
        self._token = self._next_token()
        self._ports.flush(self._token)

    def _send(self) -> None:
        self._seq = self._path.seq
        flags = DROP_INTENTS if self._drop_all else 0
        self._ports.send(header(Kind.FLUSH, seq=self._seq, flags=flags))

    # --- events ---

    def local_done(self, token: int, errno: int) -> None:
        """This site's disks have flushed."""
        if token != self._token or not self._local:
            return
        self._local = False
        self._errno = self._errno or errno
        if errno:
            # What the disk dropped is unknown: every extent that was not proven durable has failed (STICKY).
            changes = [c for marks in self._marks for c in marks.fail(marks.record.intents)]
            if changes:
                self._ports.commit(changes, self._next_token())
        self._end_if_done()

    def remote_done(self, seq: int) -> None:
        """The secondary has flushed all up to `seq`."""
        if self._remote and seq == self._seq:
            self._remote = False
            self._end_if_done()

    def tripped(self) -> None:
        """The link is lost: what it said of this flush is not believed any more."""
        self._both = False

    def link_given_up(self) -> None:
        """A permit: one site's flush is enough from now on."""
        self._both = False
        if self._remote:
            self._remote = False
            self._end_if_done()

    def resumed(self) -> None:
        """A new connection, behind the writes that were sent again: ask again."""
        if self._remote:
            self._send()

    def abandon(self) -> None:
        """Nobody is answered any more."""
        self._waiting.clear()
        self._served.clear()
        self._drop_idle_next = False
        self._local = self._remote = False

    def _end_if_done(self) -> None:
        if self._local or self._remote:
            return
        changes = self._drop() if not self._errno else []
        if changes:
            self._ports.commit(changes, self._next_token())
        served, self._served = self._served, []
        for done in served:
            done(self._errno)
        if (self._waiting or self._drop_idle_next) and not self.running:
            self._begin(drop_all=False)

    # --- intents ---

    def trim(self) -> None:
        """Past the bound of intents a flush of our own makes room (rule 27).

        Not while it could not: without link and permit no intent may go, nor after a flush that failed.
        """
        if self._path.open and not self.running and not self._errno and self._count() > self._intents_max:
            self._begin(drop_all=False)

    def _count(self) -> int:
        return sum(len(marks.record.intents) for marks in self._marks)

    def _drop(self) -> list[Change]:
        """DROP: after a flush of both sites; SOLODROP: while solo their chunks become dirty first."""
        all_idle = self._drop_idle and self._both  # SOLODROP would make too much of them dirty
        if not all_idle and self._count() <= self._intents_max:
            return []
        keep = 0 if all_idle else self._intents_max // 2
        changes: list[Change] = []
        dropped = superfluous(self._marks, self._candidates, self._path.flush_number, keep)
        for marks, gone in zip(self._marks, dropped, strict=True):
            if self._both:
                changes += marks.drop_intents(e for e in gone if e not in marks.record.failed)
            elif self._path.permit:
                changes += marks.drop_intents_as_dirty(gone)
        return changes
