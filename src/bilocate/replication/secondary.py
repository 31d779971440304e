"""The secondary half of a session: applies, confirms, never serves (rules 3, 6, 12, 14, 16, 20, 22)."""

from collections.abc import Callable, Sequence

from bilocate.domain.geometry import extents_of
from bilocate.domain.secondary_states import SECONDARY, SecondaryEvent, SecondaryState
from bilocate.replication.applier import Applier
from bilocate.replication.barriers import Barriers
from bilocate.replication.commits import Commits
from bilocate.replication.frames import (
    DROP_INTENTS,
    Arrival,
    Frame,
    Hello,
    Kind,
    MalformedFrame,
    PeerVolume,
    Welcome,
    decode_json,
    encode_json,
    encode_suspects,
    header,
)
from bilocate.replication.heartbeat import Heartbeat
from bilocate.replication.limits import Limits
from bilocate.replication.marks import Marks, runs
from bilocate.replication.ports import ChunkContent, Ports
from bilocate.replication.records import Change, PutSession
from bilocate.replication.requests import Request
from bilocate.replication.secondary_check import Answer, Check
from bilocate.replication.secondary_reads import Reads
from bilocate.replication.wanted import NotPossibleNow

S, E = SecondaryState, SecondaryEvent


class SecondaryHalf:
    """One session's secondary. Made anew at every start, demotion and change of members; ends in `stop`.

    `hello` is what a primary has to say, but for its instance. `session_row(attempt)` is the session's row as it is
    to be persisted, with the attempt for which it takes no hello (0: none).
    """

    def __init__(
        self,
        hello: Hello,
        instance: str,
        ports: Ports,
        limits: Limits,
        marks: Sequence[Marks],
        next_token: Callable[[], int],
        session_row: Callable[[int], PutSession],
    ) -> None:
        self.hello = hello
        self.instance = instance
        self.ports = ports
        self.marks = marks
        self.next_token = next_token
        self.state = S.SETTLING
        # The attempt for which it takes no hello, 0 for none: as the ledger has it, or will have it by the last
        # commit that is under way (HOLDHELLO).
        self.holds_hello = 0
        self.refusal: str | None = None
        self.link: int | None = None
        self._greeted = False  # this link's hello was taken
        self._takes_writes = False  # the primary said STEP or RESYNC on this link
        self._appliers: dict[
            int, Applier
        ] = {}  # by link; older ones while the disks have something of theirs
        self.commit = Commits(ports, next_token)
        self._barriers = Barriers(
            ports, marks, next_token, self.commit, self._under_write, limits.intents_max
        )
        self._reads = Reads(ports, marks, next_token, self._fail)
        self._check = Check(self, session_row)
        self._when_idle: list[Callable[[], None]] = []
        self.followed_at: float | None = None  # when the session was last known to be in step
        self.now = 0.0  # of the last event
        self._heartbeat = Heartbeat(limits)
        self._intents_ahead = limits.intents_ahead

    def start(self, restored: bool, holds_hello: int, now: float) -> None:
        """UNSURE: after a restart intents become dirty bits, for confirmed writes may have been lost."""
        self.now = now
        self.holds_hello = holds_hello
        self._check.restore(holds_hello)
        event = E.HELD if holds_hello else E.SETTLED
        changes = [change for each in self.marks for change in each.demote()] if restored else []
        if changes:
            self.commit(changes, lambda now: self._settled(event))
        else:
            self.move(event)

    def _settled(self, event: SecondaryEvent) -> None:
        if self.state is S.SETTLING:
            self.move(event)

    def move(self, event: SecondaryEvent) -> None:
        """The only way to another state."""
        before = self.state
        self.state = SECONDARY.step(before, event, self.hello.session_id)
        if self.state is not before:
            self.ports.log(
                "secondary_moved", before=before.value, event_name=event.value, after=self.state.value
            )

    # ------------------------------------------------------------------ the link

    def accept_link(self, link: int, peer_site: str, now: float) -> str | None:
        """A primary has connected: why it is refused, or None. The newest connection is the one that counts."""
        if peer_site != self.hello.site:
            return f"the primary of this session is {self.hello.site}, not {peer_site}"
        if self.state in (S.SETTLING, S.CHECKING, S.HOLDING, S.PROMOTING, S.ENDED):
            return f"this secondary takes no hello now: it is {self.state.value}"
        if self.link is not None:
            self.let_link_go("a newer connection took its place")
        self.link = link
        self._heartbeat.begin(now)
        return None

    def on_link_lost(self, link: int, reason: str, now: float) -> None:
        """The connection is gone."""
        if link == self.link:
            self.now = now
            self.ports.log("link_lost_at_secondary", reason=reason, state=self.state.value)
            self._drop_link()

    def let_link_go(self, reason: str, **more: object) -> None:
        """End the link on purpose, and say why."""
        if self.link is not None:
            self.ports.send(*encode_json(Kind.BYE, {"reason": reason, **more}))
            self._close_link(reason)

    def _close_link(self, reason: str) -> None:
        self.ports.close_link(reason)
        self._drop_link()

    def _drop_link(self) -> None:
        """DISCARD: every frame of this connection that is not at the disk yet is forgotten."""
        assert self.link is not None
        applier = self._appliers.get(self.link)
        if applier is not None:
            applier.discard()
            if not applier.local_pending:
                del self._appliers[self.link]
        self.link = None
        self.note_followed()
        self._greeted = self._takes_writes = False
        self._barriers.clear()
        self._reads.clear()
        self._when_idle.clear()
        self.move(E.LINK_LOST)
        if self.state is S.CHECKING:
            self._check.link_gone()
        elif self.state is S.ALONE and any(each.record.intents or each.committing for each in self.marks):
            # What was confirmed is made durable, so that a restart from here on leaves a copy that can be promoted.
            self.flush_idle(_nothing, drop_all=True)

    def _refuse(self, code: str, reason: str) -> None:
        self.ports.log("hello_refused_here", code=code, reason=reason)
        self.ports.send(*encode_json(Kind.REFUSE, {"code": code, "reason": reason}))
        self._close_link(reason)

    # ------------------------------------------------------------------ frames

    def on_frames(self, link: int, frames: Sequence[Arrival], now: float) -> bool:
        """Frames of the primary; a WRITE is the request that it asks for. Frames of an older connection never count.

        Whether more came than writes, so that times may have changed.

        :raises MalformedFrame: the connection is to be closed.
        """
        rare = False
        for frame in frames:
            if link != self.link:  # it may have been let go for an earlier one of them
                break
            if isinstance(frame, Request):
                if not self._takes_writes:
                    raise MalformedFrame("WRITE before STEP or RESYNC")
                self.now = self._heartbeat.heard_at = now
                self._appliers[link].take(frame)
            else:
                rare = True
                self._on_frame(frame, link, now)
        return rare

    def _on_frame(self, frame: Frame, link: int, now: float) -> None:
        self.now = self._heartbeat.heard_at = now
        kind = frame.kind
        if kind is Kind.WRITE or kind is Kind.ZERO or (kind is Kind.COPY and self.state is S.RECEIVING):
            if not self._takes_writes:
                raise MalformedFrame(f"{kind.name} before STEP or RESYNC")
            applier = self._appliers[link]
            applier.take(applier.request_of(frame))
        elif kind is not Kind.PING:
            self._on_rare_frame(frame, link)

    def _on_rare_frame(self, frame: Frame, link: int) -> None:
        match frame.kind:
            case Kind.HELLO if not self._greeted:
                self._on_hello(Hello.from_frame(frame), link)
            case Kind.FLUSH if link in self._appliers:
                self._on_flush(frame, link)
            case Kind.STEP if self.state in (S.WELCOMED, S.FOLLOWING):
                self._takes_writes = True
                self.move(E.STEP)
            case Kind.RESYNC if self.state is S.WELCOMED:
                self._on_resync(link)
            case Kind.ASK if self.state is S.RECEIVING:
                self._reads.take(frame)
            case Kind.END if self.state is S.RECEIVING:
                self._on_end(frame, link)
            case Kind.PULL if self.state is S.WELCOMED:
                self._reads.take(frame)
            case Kind.BYE:
                self._close_link(f"the primary let go: {decode_json(frame).get('reason')}")
            case _ if self.state is not S.CHECKING:  # then the link is being let go, whatever comes
                raise MalformedFrame(f"{frame.kind.name} while the secondary is {self.state.value}")

    def _on_hello(self, hello: Hello, link: int) -> None:
        """EPOCH: only of this epoch and these pairs."""
        self._greeted = True
        own = self.hello
        if hello.epoch != own.epoch:
            self._refuse("epoch", f"epoch {hello.epoch} was told, this secondary is of epoch {own.epoch}")
        elif (hello.session_id, hello.pairs) != (own.session_id, own.pairs):
            self._refuse("members", "the two sites have different pairs in this session")
        elif not self._fits(hello):
            self._refuse("sizes", "the two sites have different sizes of a volume in this session")
        elif self.disks_idle:
            self._welcome(link)
        else:  # DISCARD: what the disks still have of an older connection ends first
            self._when_idle.append(lambda: self._welcome(link))

    def _fits(self, hello: Hello) -> bool:
        """GROWTH: the secondary grows first, and what it has beyond the primary's end is zeros. Not so under a new
        ledger, which does not know how its disk came to its size: there all must be compared."""
        return len(hello.sizes) == len(self.marks) and all(
            theirs == each.record.size_bytes or (theirs < each.record.size_bytes and not each.record.blank)
            for theirs, each in zip(hello.sizes, self.marks, strict=True)
        )

    def _welcome(self, link: int) -> None:
        self._appliers[link] = Applier(
            link,
            self.ports,
            self.marks,
            self.next_token,
            lambda: self._barriers.flush_number,
            self._write_failed,
            self._barriers.pursue,
            self._intents_ahead,
        )
        for volume, each in enumerate(self.marks):
            if not each.record.blank:
                for head, payload in encode_suspects(volume, runs(each.suspects())):
                    self.ports.send(head, payload)
        volumes = tuple(
            PeerVolume(r.generation, r.consistent, r.blank, not each.clean)
            for each in self.marks
            for r in (each.record,)
        )
        self.ports.send(
            *encode_json(Kind.WELCOME, Welcome(self.instance, self.hello.epoch, volumes).to_json())
        )
        self.move(E.WELCOME)

    def _on_flush(self, frame: Frame, link: int) -> None:
        """FLUSH: all up to its number is applied, then durable; on DROP_INTENTS no intent is left either."""
        seq, applier = frame.seq, self._appliers[link]

        def done(errno: int) -> None:
            if self.link == link:
                if errno:
                    self._fail(f"the disks can't flush: errno {errno}", errno)
                else:
                    self.ports.send(header(Kind.FLUSHED, seq=seq))

        drop_all = bool(frame.flags & DROP_INTENTS)
        self._barriers.add(lambda: applier.all_applied(seq), done, drop_all)

    # ------------------------------------------------------------------ resync and pull

    def _on_resync(self, link: int) -> None:
        """ORDER: "inconsistent" is persisted before the first chunk can come."""
        self.move(E.RESYNC)
        for each in self.marks:
            each.record.consistent = False

        def persisted(now: float) -> None:
            if self.link == link and self.state is S.MARKING:
                self._takes_writes = True
                self.move(E.MARKED)
                self.ports.send(header(Kind.READY))

        self.commit([each.put() for each in self.marks], persisted)

    def _on_end(self, frame: Frame, link: int) -> None:
        """END: flush; then marks, generation and *consistent* in one commit; then the answer."""
        generation = bytes(frame.payload).decode("ascii", "replace")
        if not generation:
            raise MalformedFrame("END without a generation")
        self.move(E.END)

        def flushed(errno: int) -> None:
            if self.link != link or self.state is not S.SEALING:
                return
            if errno:
                self._fail(f"the disks can't flush: errno {errno}", errno)
                return
            changes: list[Change] = []
            for each in self.marks:
                record = each.record
                record.generation, record.pending_generation = generation, ""
                record.consistent, record.blank = True, False
                changes += [each.put(), *each.clear()]
            self.commit(changes, persisted)

        def persisted(now: float) -> None:
            if self.link == link and self.state is S.SEALING:
                self.move(E.SEALED)
                self.ports.send(header(Kind.ENDED))

        self.flush_applied(flushed)

    # ------------------------------------------------------------------ failures

    def _write_failed(self, request: Request, errno: int) -> None:
        """STICKY: not confirmed; what the disk made of the extent is unknown until a resync has been there."""
        each = self.marks[request.volume]
        self.commit(each.fail(extents_of(request.offset, request.length)), lambda now: None)
        self._fail(f"a write at {request.offset} of volume {each.record.volume_id} failed", errno)

    def _flush_failed(self, errno: int) -> None:
        """STICKY, of a flush that nobody asked for: the row must not go on saying that this copy has everything."""
        self._fail(f"the disks can't flush: errno {errno}", errno)

    def _fail(self, reason: str, errno: int) -> None:
        self.ports.log("secondary_failed", reason=reason, errno=errno)
        if self.link is not None:
            self.ports.send(*encode_json(Kind.FAILED, {"reason": reason, "errno": errno}))
            self._close_link(reason)

    # ------------------------------------------------------------------ disks, ledger, time

    def on_committed(self, token: int, now: float) -> None:
        """A commit is durable."""
        self.now = now
        if not self.commit.done(token, now) and self.link in self._appliers:
            self._appliers[self.link].committed(token)

    def on_local_done(self, request: Request, errno: int) -> None:
        """The disk finished what it could not finish at once."""
        applier = self._appliers[request.cookie]
        applier.local_done(request, errno)
        if not applier.local_pending and request.cookie != self.link:
            self._appliers.pop(request.cookie, None)
        if self.disks_idle:
            waiting, self._when_idle = self._when_idle, []
            for begin in waiting:
                begin()
            self._barriers.pursue()

    def on_chunks(self, token: int, errno: int, contents: Sequence[ChunkContent]) -> None:
        """Chunks were read."""
        self._reads.done(token, errno, contents)

    def on_flushed(self, token: int, errno: int) -> None:
        """The disks have flushed."""
        self._barriers.flushed(token, errno)

    def flush_applied(self, then: Callable[[int], None]) -> None:
        """Flush behind all that was taken on this link; then `then(errno)`."""
        applier = self._appliers[self.link or 0]
        last = applier.last_seq
        self._barriers.add(lambda: applier.all_applied(last), then)

    def flush_idle(self, then: Callable[[int], None], drop_all: bool = False) -> None:
        """Flush once no disk has a request; `drop_all`: then no intent is left either. Then `then(errno)`."""
        self._barriers.add(lambda: self.disks_idle, then, drop_all)

    def give_up_flushes(self) -> None:
        """Nobody waits for a flush any more."""
        self._barriers.clear()

    def note_followed(self) -> None:
        """Keep when the session was last in step."""
        if self.state is S.FOLLOWING:
            self.followed_at = self.now

    def _under_write(self, volume: int) -> set[int]:
        return {
            extent for applier in self._appliers.values() for extent in applier.extents_under_write(volume)
        }

    @property
    def disks_idle(self) -> bool:
        """No disk has a request of this half any more."""
        return not any(applier.local_pending for applier in self._appliers.values())

    def end_of_batch(self, now: float) -> None:
        """After a batch of events: one confirmation for all that was applied meanwhile."""
        applier = self._appliers.get(self.link) if self.link is not None else None
        if applier is not None:
            applier.confirm()
            self._barriers.trim(self._flush_failed)

    def tick(self, now: float) -> None:
        """Heartbeat."""
        self.now = now
        if self.link is None:
            return
        if self._heartbeat.silent(now):
            self._close_link("silence")
        elif self._heartbeat.due(now):
            self.ports.send(header(Kind.PING))

    def deadline(self) -> float | None:
        """When `tick` is to be called at the latest."""
        return None if self.link is None else self._heartbeat.deadline

    # ------------------------------------------------------------------ changing roles (rules 22, 23)

    @property
    def in_step(self) -> bool:
        """Whether the primary has said so on the present connection."""
        return self.state is S.FOLLOWING

    @property
    def linked(self) -> bool:
        """Whether a primary's hello was taken on the present connection."""
        return self.link in self._appliers

    @property
    def settled(self) -> bool:
        """Whether it may be promoted or replaced now: it neither starts nor answers a check."""
        return self.state not in (S.SETTLING, S.CHECKING, S.PROMOTING)

    def precheck(self, attempt: int, now: float, done: Answer) -> None:
        """PRECHECK and HOLDHELLO; see `secondary_check`."""
        self.now = now
        self._check.begin(attempt, done)

    def release(self, attempt: int, now: float, done: Answer) -> None:
        """The failover was refused: hellos are taken again, once that is durable."""
        self.now = now
        self._check.release(attempt, done)

    def promote(self, done: Callable[[int], None]) -> None:
        """Let the link go and flush; then `done(errno)`. The new epoch comes after that flush (rule 22, race 10)."""
        self.move(E.PROMOTE)
        self.let_link_go("this site is being promoted", failover=True)
        self.flush_idle(done)

    def promotion_failed(self, epoch: int) -> None:
        """It stays secondary, of an epoch that is over: it takes no hello, nor after a restart (HOLDHELLO).

        `epoch`, the new one, is higher than any attempt that came before it: what is late does not lift this.
        """
        self._check.hold(epoch, lambda now: None)
        self.move(E.RELEASE)

    def stop(self, reason: str) -> None:
        """The session ends here, or another half takes its place."""
        self.let_link_go(reason)
        self._barriers.clear()
        self._when_idle.clear()
        self._check.answer(NotPossibleNow("superseded", reason))
        self.move(E.FINISH)


def _nothing(errno: int) -> None:
    """A failed flush has left its marks; nobody waits for this one."""
