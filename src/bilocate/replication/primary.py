"""The primary half of a session: who may answer, and what to do next (rules 1, 2, 9 to 12, 26; P2).

Every event ends in `_pursue`, the one place that decides the next step from the state, the row and the link.
How it starts, resyncs and quiesces is told in primary_start, primary_resync and primary_quiesce.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyroaring import BitMap

from bilocate.domain.arbiter import Call, Refusal, Row, RowState
from bilocate.domain.geometry import chunk_count, extents_of
from bilocate.domain.primary_states import PRIMARY, PrimaryEvent, PrimaryState
from bilocate.replication.commits import Commits
from bilocate.replication.flushes import Flushes
from bilocate.replication.frames import (
    Arrival,
    Frame,
    Hello,
    Kind,
    MalformedFrame,
    Welcome,
    decode_json,
    decode_suspects,
    encode_json,
    header,
)
from bilocate.replication.heartbeat import Heartbeat
from bilocate.replication.limits import Limits
from bilocate.replication.marks import Marks
from bilocate.replication.ports import ChunkContent, Ports
from bilocate.replication.primary_quiesce import Answer, Quiesce
from bilocate.replication.primary_resync import Resync
from bilocate.replication.primary_start import Start
from bilocate.replication.requests import Op, Request
from bilocate.replication.row_view import RowView
from bilocate.replication.wanted import Wanted
from bilocate.replication.write_path import WritePath

S, E = PrimaryState, PrimaryEvent


class PrimaryHalf:
    """One session's primary. Made anew at every start and promotion; ends in `retire`."""

    def __init__(
        self,
        hello: Hello,
        wanted: Wanted,
        ports: Ports,
        limits: Limits,
        marks: Sequence[Marks],
        next_token: Callable[[], int],
        call_ids: Iterator[int],
        boot_id: str,
        restored: bool,
    ) -> None:
        self.hello = hello
        self.wanted = wanted
        self.ports = ports
        self.limits = limits
        self.marks = marks
        self.next_token = next_token
        self.state = S.DETACHED
        self.refusal: str | None = None  # why it does not serve, or has no secondary, for people
        self.now = 0.0  # of the last event
        self.commit = Commits(ports, next_token)
        self.view = RowView(ports, hello.epoch, call_ids)
        self.path = WritePath(
            ports, marks, next_token, self._flush_for_host, self._local_failure, limits.intents_ahead
        )
        self.flushes = Flushes(ports, self.path, marks, next_token, limits.intents_max)
        self.link: int | None = None
        self.welcome: Welcome | None = None  # of the secondary, on the present link
        self.peer_suspects: list[BitMap] = [BitMap() for _ in marks]  # as it said before its welcome (SET)
        self._start = Start(self, boot_id, restored)
        self.resync = Resync(self)
        self._quiesce = Quiesce(self)
        self._stepped = ""  # the secondary's instance when the session was last in step (RESUME)
        self._asked_permit = False  # since the trip (RESUME)
        self._flushing: dict[int, Request] = {}  # hosts' flushes, and writes that are done but for their FUA
        self._failed: list[Request] = []  # errors to answer when the gate opens
        self._link_wanted = False
        self._heartbeat = Heartbeat(limits)
        # Times, in seconds of the caller's clock.
        self._pursued_at = 0.0
        self._wait_until = 0.0
        self._ask_at = 0.0

    # ------------------------------------------------------------------ what next

    def start(self, now: float) -> None:
        """Nothing is known and nothing served: attach (ATTACH)."""
        self._pursue(now)

    def _pursue(self, now: float) -> None:
        """The next step, if there is one. One call to the arbiter at a time (REPLY)."""
        self.now = self._pursued_at = now
        self._wish_link()
        if self.view.pending is not None or now < self._ask_at:
            return
        match self.state:
            case S.DETACHED:
                self.view.ask(Call.ATTACH)
            case S.WAITING:
                self._start.pursue(now, self._wait_until)
            case S.TRIPPED:
                self._pursue_permit(now)
            case S.IN_STEP:
                self._pursue_stop()
            case S.SOLO:
                self.resync.pursue(now)
            case S.MARKING:
                self.resync.pursue_mark()
            case S.COPYING:
                self.resync.pursue_copying(now)
            case S.REPORTING:
                self.resync.pursue_report()
            case S.QUIESCING | S.QUIESCED:
                self._quiesce.pursue(now)

    def _wish_link(self) -> None:
        """A link is wanted unless an operator stopped it; without a permit it is wanted all the same."""
        wanted = self.state is not S.RETIRED and (not self.wanted.paused or not self.path.permit)
        if wanted != self._link_wanted:
            self._link_wanted = wanted
            self.ports.want_link(wanted)

    def move(self, event: PrimaryEvent) -> None:
        """The only way to another state."""
        before = self.state
        self.state = PRIMARY.step(before, event, self.hello.session_id)
        if self.state is not before:
            self.ports.log(
                "primary_moved", before=before.value, event_name=event.value, after=self.state.value
            )

    def row_in_sync(self) -> bool:
        """Whether the row is known, and says that the secondary has every answered write."""
        row = self.view.row
        return row is not None and row.state is RowState.IN_SYNC

    # ------------------------------------------------------------------ the arbiter

    def on_answer(self, call_id: int, answer: Row | Refusal | None, now: float) -> None:
        """An answer of the arbiter; None when the outcome is unknown."""
        taken = self.view.answered(call_id, answer)
        if taken is None or self.state is S.RETIRED:
            return
        call, said = taken
        self.now = now
        if said is Refusal.SUPERSEDED:
            self.retire("superseded: another site or epoch is primary")
            return
        if isinstance(said, Row):
            self._answered(call, now)
        elif said is None or said is Refusal.STATE:
            self._ask_at = now + self.limits.arbiter_retry_seconds
        self._pursue(now)

    def _answered(self, call: Call, now: float) -> None:
        match call:
            case Call.ATTACH if self.state is S.DETACHED:
                self.move(E.ATTACHED)
                self._wait_until = now + self.limits.restart_wait_seconds
            case Call.ATTACH:
                self._quiesce.attached()
            case Call.REQUEST_SOLO | Call.REQUEST_VOUCHED_SOLO:
                self._permit_given()
            case Call.REQUEST_RESYNC:
                self.resync.row_marked()
            case Call.REPORT_IN_SYNC:
                self.resync.reported()

    def _pursue_permit(self, now: float) -> None:
        """SOLO, after a short wait for the link."""
        if now < self._wait_until:
            return
        if self.view.row is None:
            self.view.ask(Call.ATTACH)
        else:
            self._asked_permit = True
            self.view.ask(Call.REQUEST_SOLO)

    def _pursue_stop(self) -> None:
        """STOP: first the permit. Also when the row has lost its "in sync": only a resync mends that."""
        row = self.view.row
        if row is None:
            self.view.ask(Call.ATTACH)
        elif self.wanted.paused or row.state is not RowState.IN_SYNC:
            self.view.ask(Call.REQUEST_SOLO)

    def _permit_given(self) -> None:
        if self.state is S.WAITING:
            self._start.solo()
        elif self.state is S.TRIPPED:
            self.move(E.PERMIT)
            self.path.permit_given()
            self.flushes.link_given_up()
            self.open()
        elif self.state is S.IN_STEP:  # STOP: then the link
            self.move(E.PERMIT)
            self.path.unlink()
            self.path.permit_given()
            self.flushes.link_given_up()
            self._say_bye("stopped by an operator")

    # ------------------------------------------------------------------ the gate

    def serve(self) -> None:
        """Hosts may come, and are answered."""
        self.ports.serve_hosts(True)
        self.open()

    def open(self) -> None:
        """The gate of all volumes: what was held goes on."""
        self.path.open = True
        failed, self._failed = self._failed, []
        for request in failed:
            self.path.answer_failed(request)
        self.path.admit_held()

    # ------------------------------------------------------------------ the link

    def on_link_up(self, link: int, now: float) -> None:
        """A dialled connection is there: say who we are."""
        self.link = link
        self.welcome = None
        self.peer_suspects = [BitMap() for _ in self.marks]
        self._heartbeat.begin(now)
        self.ports.send(*encode_json(Kind.HELLO, self.hello.to_json()))

    def on_link_lost(self, link: int, reason: str, now: float) -> None:
        """The connection is gone."""
        if link == self.link:
            self._trip(reason, now, self.limits.resume_wait_seconds)
            self._pursue(now)

    def give_link_up(self, reason: str) -> None:
        """Something on this side makes the link useless: start over with a new one."""
        if self.link is not None:
            self._say_bye(reason)
            self._trip(reason, self.now, 0.0)

    def _say_bye(self, reason: str) -> None:
        if self.link is not None:
            self.ports.send(*encode_json(Kind.BYE, {"reason": reason}))
            self.ports.close_link(reason)
            self.link = None
            self.welcome = None

    def _let_go(self, reason: str, now: float, wait: float) -> None:
        """The other side ends it."""
        self.ports.close_link(reason)
        self._trip(reason, now, wait)

    def _trip(self, reason: str, now: float, wait: float) -> None:
        """TRIP: all volumes at once. What was not answered counts as unconfirmed."""
        self.link = None
        self.welcome = None
        self.resync.abandon(failed=True)
        self._start.abandon()
        self.flushes.tripped()
        if self.path.permit:
            self.path.unlink()
            if self.state in (S.MARKING, S.COPYING):
                self.move(E.LINK_LOST)
                self.resync.backoff.failed(now)
            return
        self.path.shut()
        if self.state in (S.DETACHED, S.WAITING):
            return
        starting = self.state in (S.PULLING, S.STARTING)
        if self.state is not S.TRIPPED:
            self.ports.log(
                "tripped", reason=reason, state=self.state.value, unanswered=len(self.path.unanswered)
            )
            self._wait_until = now + (self.limits.restart_wait_seconds if starting else wait)
            self._asked_permit = False
        if starting:
            self.flushes.abandon()
        if self.quiesced:
            self.view.forget()  # UNDO: a switchover may be committed with the version that was told: raise it first
        self.move(E.LINK_LOST)
        self._quiesce.fail("lost_link", f"the link was lost: {reason}")

    # ------------------------------------------------------------------ frames

    def on_frames(self, link: int, frames: Sequence[Arrival], now: float) -> bool:
        """Frames of the secondary. Frames of an older connection never count (CONFLINK).

        Whether more came than confirmations, so that times may have changed.

        :raises MalformedFrame: the connection is to be closed.
        """
        rare = False
        for frame in frames:
            if link != self.link:  # it may have been let go for an earlier one of them
                break
            if isinstance(frame, Request):
                raise MalformedFrame("WRITE from the secondary")
            rare = rare or frame.kind is not Kind.CONFIRM
            self._on_frame(frame, now)
        return rare

    def _on_frame(self, frame: Frame, now: float) -> None:
        self.now = self._heartbeat.heard_at = now
        kind = frame.kind
        if kind is Kind.CONFIRM:
            self._on_confirm(frame.seq)
        elif kind is Kind.FLUSHED:
            self.flushes.remote_done(frame.seq)
        elif kind is not Kind.PING:
            if not self._on_resync_frame(frame, now):
                self._on_link_frame(frame, now)
            self._pursue(now)

    def _on_confirm(self, seq: int) -> None:
        if seq > self.path.seq:
            raise MalformedFrame(f"CONFIRM of {seq}, {self.path.seq} is the last that was sent")
        self.path.confirmed(seq)
        if self.resync.copier is not None:
            self.resync.copier.confirmed(seq, self.now)
        if self.state is S.DRAINING:
            self.resync.drained_perhaps()

    def _on_resync_frame(self, frame: Frame, now: float) -> bool:
        """Answers of a resync or a pull; to what was given up meanwhile they are nothing."""
        match frame.kind:
            case Kind.READY:
                if self.state is S.MARKING:
                    self.resync.begin_copying(now)
            case Kind.HASHES:
                if self.resync.copier is not None:
                    self.resync.copier.on_hashes(frame)
            case Kind.ENDED:
                if self.state is S.SEALING:
                    self.resync.seal()
            case Kind.PULLED | Kind.PULL_DONE:
                self._start.take(frame)
            case _:
                return False
        return True

    def _on_link_frame(self, frame: Frame, now: float) -> None:
        match frame.kind:
            case Kind.SUSPECTS if self.welcome is None and frame.volume < len(self.marks):
                chunks = chunk_count(self.marks[frame.volume].record.size_bytes)
                for first, count in decode_suspects(frame, chunks):
                    self.peer_suspects[frame.volume].add_range(first, first + count)
            case Kind.WELCOME if self.welcome is None:
                self._on_welcome(Welcome.from_frame(frame), now)
            case Kind.REFUSE:
                self._on_refuse(decode_json(frame), now)
            case Kind.BYE:
                content = decode_json(frame)
                held = bool(content.get("failover"))
                wait = self.limits.failover_hold_seconds if held else self.limits.resume_wait_seconds
                self._let_go(f"the secondary let go: {content.get('reason')}", now, wait)
            case Kind.FAILED:
                reason = f"the secondary failed: {decode_json(frame).get('reason')}"
                self._start.pull_failed(reason)
                self._let_go(reason, now, 0.0)
                self.resync.backoff.failed(now)
            case _:
                raise MalformedFrame(f"{frame.kind.name} while the primary is {self.state.value}")

    def _on_welcome(self, welcome: Welcome, now: float) -> None:
        if welcome.epoch != self.hello.epoch or len(welcome.volumes) != len(self.marks):
            raise MalformedFrame("a WELCOME of another epoch, or of other volumes")
        self.welcome = welcome
        if self.state is not S.TRIPPED:
            return
        if (
            not self._asked_permit
            and self.view.pending is None
            and self.row_in_sync()
            and welcome.instance == self._stepped
            and self._start.peer_has_all(welcome)
        ):
            self._resume(welcome)
        else:
            self._wait_until = now  # it is back, but not as it was: there is nothing to wait for

    def _resume(self, welcome: Welcome) -> None:
        """RESUME: all that was not answered is sent again, and the session goes on."""
        self.move(E.RESUME)
        self.say_step(welcome)
        self.path.send_again()
        self.flushes.resumed()
        self.open()

    def say_step(self, welcome: Welcome) -> None:
        """In step: the secondary is told, and its process remembered."""
        self._stepped = welcome.instance
        self.ports.send(header(Kind.STEP))

    def _on_refuse(self, content: dict[str, Any], now: float) -> None:
        self.ports.log("hello_refused", reason=content.get("reason"), code=content.get("code"))
        self.refusal = f"the secondary refuses: {content.get('reason')}"
        if content.get("code") == "epoch":
            self.view.forget()  # somebody knows of a newer epoch: the row will tell
        self._let_go("refused", now, self.limits.resume_wait_seconds)

    # ------------------------------------------------------------------ hosts, disks, ledger

    def submit(self, request: Request) -> None:
        """A host's request."""
        if self.state is not S.RETIRED:
            self.path.submit(request)

    def submit_all(self, requests: Sequence[Request]) -> None:
        """A batch of hosts' requests, in their order."""
        if self.state is not S.RETIRED:
            self.path.submit_all(requests)

    def _flush_for_host(self, request: Request) -> None:
        self._flushing[id(request)] = request

        def flushed(errno: int) -> None:
            self._flushing.pop(id(request), None)
            request.done(request, errno)

        self.flushes.ask(flushed)

    def _local_failure(self, request: Request) -> None:
        """STICKY: the mark is durable before the host hears of it. FAILEND: a resync under way ends."""
        marks = self.marks[request.volume]
        self.ports.log(
            "local_write_failed", volume=marks.record.volume_id, offset=request.offset, errno=request.errno
        )

        def persisted(now: float) -> None:
            if self.path.open:
                self.path.answer_failed(request)
            else:
                self._failed.append(request)

        self.commit(marks.fail(extents_of(request.offset, request.length)), persisted)
        if self.state in (S.MARKING, S.COPYING, S.DRAINING, S.SEALING):
            self.resync.backoff.failed(self.now)
            self.give_link_up("a local write failed during the resync")

    def on_committed(self, token: int, now: float) -> None:
        """A commit is durable."""
        self.now = now
        if not self.commit.done(token, now):
            self.path.committed(token)
        self._pursue(now)

    def on_local_done(self, request: Request, errno: int) -> None:
        """The disk finished what it could not finish at once."""
        if self._start.local_done(request, errno):
            self._pursue(self.now)  # a start may have waited for it
        else:
            self.path.local_done(request, errno)

    def on_flushed(self, token: int, errno: int) -> None:
        """The disks have flushed."""
        self.flushes.local_done(token, errno)

    def on_chunks(self, token: int, errno: int, contents: Sequence[ChunkContent]) -> None:
        """Chunks were read, for the resync or the pull; for neither when the link is gone meanwhile."""
        copier, puller = self.resync.copier, self._start.puller
        if copier is not None:
            copier.on_chunks(token, errno, contents, self.now)
        elif puller is not None:
            puller.on_chunks(token, errno, contents)

    def end_of_batch(self, now: float) -> None:
        """After a batch of events: the disk gets the writes whose frames are on the link."""
        self.path.write_begun()
        self.flushes.trim()
        if self.state in (S.COPYING, S.QUIESCING):
            self._pursue(now)

    @property
    def disks_idle(self) -> bool:
        """No disk has a request of this half any more."""
        return not self.path.local_pending and self._start.disks_idle

    # ------------------------------------------------------------------ time

    def tick(self, now: float) -> None:
        """Heartbeat, waits and retries."""
        if self.link is not None:
            if self._heartbeat.silent(now):
                self._let_go("silence", now, self.limits.resume_wait_seconds)
            elif self._heartbeat.due(now):
                self.ports.send(header(Kind.PING))
        self._pursue(now)

    def deadline(self) -> float | None:
        """When `tick` is to be called at the latest."""
        if self.state is S.RETIRED:
            return None
        # What was due at the last look has been looked at; what became due since is still to be.
        times = [self._ask_at, self.resync.backoff.until, self._start.backoff.until, self.resync.due]
        if self.state in (S.WAITING, S.TRIPPED):
            times.append(self._wait_until)
        if self.quiesced:
            times.append(self._quiesce.until)
        times = [time for time in times if time > self._pursued_at]
        if self.link is not None:
            times.append(self._heartbeat.deadline)
        return min(times, default=None)

    # ------------------------------------------------------------------ operations

    def put_wanted(self, wanted: Wanted, now: float) -> None:
        """The same epoch, perhaps a new wish to stop or to go on."""
        self.wanted = wanted
        if wanted.paused and self.path.permit:
            if self.link is not None:
                self._say_bye("stopped by an operator")
                self._trip("stopped by an operator", now, 0.0)
        elif not wanted.paused:
            self.resync.backoff.over(now)
        self._pursue(now)

    def quiesce(self, attempt: int, now: float, done: Answer) -> None:
        """Switchover: hosts are held, both sites made equal and clean."""
        self.now = now
        self._quiesce.begin(attempt, now, done)

    def undo_quiesce(self, attempt: int, now: float, done: Answer) -> None:
        """Hosts go on."""
        self._quiesce.undo(attempt, done)
        self._pursue(now)

    def retire(self, reason: str, keep_hosts: bool = False) -> None:
        """Superseded or demoted: hosts are disconnected, nothing is answered any more (P2).

        `keep_hosts`: the next half is a primary too, and what is not answered goes to it (`give_up`).
        """
        if self.state is S.RETIRED:
            return
        self.move(E.RETIRE)
        self.refusal = reason
        self._quiesce.fail("superseded", reason)
        self.resync.abandon(failed=True)
        self._start.abandon()
        self.flushes.abandon()
        self.path.shut()
        self.path.forget_begun()
        self.path.permit = False
        self._failed.clear()
        if not keep_hosts:
            self.give_up()
            self.ports.serve_hosts(False)
            self.ports.disconnect_hosts(reason)
        self._say_bye(reason)
        self._wish_link()

    def give_up(self) -> list[Request]:
        """All that hosts asked for and that was not answered, in the order in which it came, to be done anew."""
        found = self.path.abandon()
        flushing, self._flushing = list(self._flushing.values()), {}
        for request in flushing:
            # A write that waited for its FUA alone is done: doing it again could undo a later one.
            request.op = Op.FLUSH
        return found + flushing

    # ------------------------------------------------------------------ telling

    @property
    def linked(self) -> bool:
        """Whether the secondary has welcomed it on the present connection."""
        return self.welcome is not None

    @property
    def quiesced(self) -> bool:
        """Whether hosts are held for a switchover."""
        return self.state in (S.QUIESCING, S.QUIESCED)

    @property
    def busy(self) -> bool:
        """A bound is reached: hosts are to be read no further (rule 27)."""
        most = self.limits.unanswered_bytes_max
        return self.path.bytes >= most or self.path.link_bytes >= most

    def undisturbed(self, volume: int, offset: int, length: int) -> bool:
        """Whether the gate is open, and no write is under way there."""
        return self.path.open and not self.path.ranges[volume].touched(offset, length)

    @property
    def in_step(self) -> bool:
        """Whether every answered write is at both sites."""
        return self.state in (S.IN_STEP, S.QUIESCING, S.QUIESCED)

    @property
    def serving(self) -> bool:
        """Whether hosts are answered, or held for the moment of a switchover."""
        return self.path.open or self.quiesced
