"""A primary's resync, from the row's mark to "in step" (rules 13 to 16). The copying itself is `resync.Copier`'s."""

from typing import TYPE_CHECKING

from bilocate.domain.arbiter import Call, RowState
from bilocate.domain.primary_states import PrimaryEvent, PrimaryState
from bilocate.replication.backoff import Backoff
from bilocate.replication.frames import Kind, header
from bilocate.replication.pace import Pace
from bilocate.replication.records import Change
from bilocate.replication.resync import Copier, Progress, set_of

if TYPE_CHECKING:
    from bilocate.replication.primary import PrimaryHalf

S, E = PrimaryState, PrimaryEvent


class Resync:
    """The resyncs of one primary half, one after the other."""

    def __init__(self, half: "PrimaryHalf") -> None:
        self._half = half
        self.copier: Copier | None = None
        self.progress: Progress | None = None  # of the one under way
        self.last_progress: Progress | None = None  # of the last one that ended well
        self._marked = False  # the secondary was told to mark itself
        self._copied = False
        self._drain_seq: int | None = None  # all up to it was answered under the permit
        self.backoff = Backoff(half.limits)

    def pursue(self, now: float) -> None:
        """SOLO: begin when the secondary is there and nobody has stopped it."""
        half = self._half
        if half.view.row is None:
            half.view.ask(Call.ATTACH)
        elif half.welcome is not None and not half.wanted.paused and now >= self.backoff.until:
            half.refusal = None
            half.move(E.RESYNC)
            self._marked = False
            half.view.ask(Call.REQUEST_RESYNC)

    def pursue_mark(self) -> None:
        """MARKING: the row's mark comes first (ORDER)."""
        view = self._half.view
        if view.row is None:
            view.ask(Call.ATTACH)
        elif not self._marked:
            view.ask(Call.REQUEST_RESYNC)

    def row_marked(self) -> None:
        """ORDER: the row first, then the secondary's own mark, then the first chunk."""
        if self._half.state is S.MARKING:
            self._marked = True
            self._half.ports.send(header(Kind.RESYNC))

    def begin_copying(self, now: float) -> None:
        """SET: taken in this one step; every write that begins after it goes on the link."""
        half = self._half
        assert half.welcome is not None
        half.move(E.COPY)
        self._copied = False
        chunks = set_of(half.marks, half.welcome, half.peer_suspects)
        half.path.link()
        self.copier = Copier(
            half.ports,
            half.path,
            half.marks,
            half.next_token,
            half.limits.resync_window_bytes,
            Pace(half.limits.resync_bytes_per_second),
            chunks,
            now,
            self._set_copied,
            half.give_link_up,
        )
        self.progress = self.copier.progress
        self.copier.go_on(now)

    @property
    def due(self) -> float:
        """When copying that only its pace holds up goes on; else a time that is long past."""
        return float("-inf") if self.copier is None else self.copier.due

    def pursue_copying(self, now: float) -> None:
        """COPYING: the pace may allow more now, or all is copied and the last write under way is on the link."""
        if self.copier is not None and float("-inf") < self.copier.due <= now:
            self.copier.go_on(now)
        self.end_copying()

    def _set_copied(self) -> None:
        self._copied = True
        self.end_copying()

    def end_copying(self) -> None:
        """END: first the permit is given up (PERMITLATE), once every write under way is on the link (ENDSENT)."""
        half = self._half
        if not self._copied or half.state is not S.COPYING or not half.path.all_on_link():
            return
        half.path.permit = False
        half.move(E.COPIED)
        self._drain_seq = half.path.seq
        self.drained_perhaps()

    def drained_perhaps(self) -> None:
        """DRAINING: what was answered under the permit is at the secondary; then PGEN, then END is sent."""
        half, path = self._half, self._half.path
        if self._drain_seq is None or max(path.confirmed_seq, path.linked_after) < self._drain_seq:
            return
        self._drain_seq = None
        generation = half.ports.new_generation()
        for marks in half.marks:
            marks.record.pending_generation = generation
        link = half.link

        def persisted(now: float) -> None:
            if half.state is S.DRAINING and half.link == link:
                half.move(E.DRAINED)
                payload = generation.encode()
                half.ports.send(header(Kind.END, payload=len(payload)), payload)

        half.commit([marks.put() for marks in half.marks], persisted)

    def seal(self) -> None:
        """CLEARLAST: the secondary has ended; the generation is taken and all marks are cleared, in one commit."""
        half = self._half
        changes: list[Change] = []
        for marks in half.marks:
            record = marks.record
            record.generation, record.pending_generation = record.pending_generation, ""
            record.blank, record.consistent = False, True
            changes += [marks.put(), *marks.clear()]
        link = half.link

        def persisted(now: float) -> None:
            if half.state is S.SEALING and half.link == link:
                self.abandon(failed=False)
                half.move(E.SEALED)

        half.commit(changes, persisted)

    def pursue_report(self) -> None:
        """REPORTING: both sites are equal and say so durably; the row is told last."""
        row = self._half.view.row
        if row is None:
            self._half.view.ask(Call.ATTACH)
        elif row.state is RowState.IN_SYNC:  # an earlier report was carried out, its answer lost
            self.reported()
        else:
            self._half.view.ask(Call.REPORT_IN_SYNC)

    def reported(self) -> None:
        """In step."""
        half = self._half
        if half.state is S.REPORTING:
            assert half.welcome is not None
            half.move(E.REPORTED)
            self.backoff.succeeded()
            half.say_step(half.welcome)
            half.flushes.drop_idle()

    def abandon(self, failed: bool) -> None:
        """The resync has ended, well or badly. The locks are freed."""
        copier, self.copier = self.copier, None
        if copier is not None:
            copier.abandon()
        self._copied = False
        self._drain_seq = None
        if self.progress is not None:
            self.progress.ended = self._half.now
            if not failed:
                self.last_progress = self.progress
            self.progress = None
