"""One session at one site: which half it is, and how one half follows another (MEMBERS, EPOCH, DEMOTE, rule 22).

A half is never turned into another. The old one stops, the disks end what they have of it, its last commit is
durable; then the new epoch is persisted, and only then the new half begins.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from bilocate.domain.arbiter import Refusal, Row
from bilocate.domain.errors import BilocateError
from bilocate.domain.generations import of_one_moment
from bilocate.domain.geometry import EXTENT_BYTES
from bilocate.replication.commits import Commits
from bilocate.replication.frames import Arrival, Hello
from bilocate.replication.limits import Limits
from bilocate.replication.marks import Marks
from bilocate.replication.ports import ChunkContent, Ports
from bilocate.replication.primary import PrimaryHalf
from bilocate.replication.records import Change, DropSession, PutSession, Role, SessionRecord
from bilocate.replication.requests import Request
from bilocate.replication.secondary import SecondaryHalf
from bilocate.replication.told import told_of
from bilocate.replication.wanted import (
    CannotPromote,
    MalformedWanted,
    NotPossibleNow,
    OlderWanted,
    Wanted,
)

Done = Callable[[BilocateError | None], None]
Answer = Callable[[dict[str, Any] | NotPossibleNow], None]


class Session:
    """See the module. Single-threaded; it never calls back from inside a port call.

    `wanted` is None until the first `put` or `restore`. `marks` are the members' in the order of their numbers.
    """

    def __init__(
        self, session_id: str, site: str, instance: str, boot_id: str, ports: Ports, limits: Limits
    ) -> None:
        self.session_id = session_id
        self.site = site
        self.instance = instance
        self.boot_id = boot_id
        self.ports = ports
        self.limits = limits
        self.epoch = 0
        self.wanted: Wanted | None = None
        self.marks: Sequence[Marks] = ()
        self.half: PrimaryHalf | SecondaryHalf | None = None
        self.stopped = (
            False  # its volumes were taken by another session; it waits for its end, or a new epoch
        )
        self._tokens = count(1)
        self._call_ids = count(1)
        self._commit = Commits(ports, self._token)
        self._changing = False
        self._lent = False  # volumes of this session may be in another one
        self._when_idle: Callable[[], None] | None = None

    @property
    def role(self) -> Role:
        """Which half it is wanted to be."""
        assert self.wanted is not None
        return self.wanted.role

    # ------------------------------------------------------------------ lifecycle

    def restore(self, record: SessionRecord, marks: Sequence[Marks], now: float) -> None:
        """At the start of the process, from the ledger. Volumes that a later epoch has taken are not its own."""
        wanted = Wanted.from_text(record.wanted)
        self.epoch, self.wanted, self.marks = record.epoch, wanted, list(marks)
        self.ports.use_volumes([member.volume_id for member in wanted.members])
        taken = any(each.record.max_epoch > record.epoch for each in marks)
        if taken or len(marks) != len(wanted.members):
            self.stopped = self._lent = True
        else:
            self._begin(now, restored=True, holds_hello=record.holds_hello)

    def put(self, wanted: Wanted, marks: Sequence[Marks], now: float, done: Done) -> None:
        """What the controller wants. `done(None)` once it is persisted and the half has begun.

        :raises OlderWanted, CannotPromote, NotPossibleNow, MalformedWanted: nothing was changed.
        """
        self._require_unchanging()
        if wanted.epoch < self.epoch:
            raise OlderWanted(self.session_id, "epoch", wanted.epoch, self.epoch)
        if wanted.epoch == self.epoch:
            self._put_again(wanted, now, done)
            return
        self._require_volumes(wanted, marks)
        if isinstance(self.half, SecondaryHalf) and not self.half.settled:
            raise NotPossibleNow("busy", f"session {self.session_id} is {self.half.state.value}: try again")
        self._changing = True
        if isinstance(self.half, SecondaryHalf) and wanted.role is Role.PRIMARY:
            self.half.promote(lambda errno: self._flushed_for_promotion(errno, wanted, marks, done))
        else:
            self._stop_half("a new epoch begins", keep_hosts=wanted.role is Role.PRIMARY)
            self._after_idle(lambda: self._persist(wanted, marks, done))

    def _put_again(self, wanted: Wanted, now: float, done: Done) -> None:
        """REV: the same epoch, perhaps a new wish."""
        assert self.wanted is not None
        if wanted.revision < self.wanted.revision:
            raise OlderWanted(self.session_id, "revision", wanted.revision, self.wanted.revision)
        if self.stopped:
            raise NotPossibleNow(
                "superseded", f"the volumes of session {self.session_id} are in another session"
            )
        known = [(member.pair_id, member.volume_id) for member in self.wanted.members]
        if wanted.role is not self.wanted.role or known != [(m.pair_id, m.volume_id) for m in wanted.members]:
            raise MalformedWanted("role and members change with the epoch only")
        _require_sizes(wanted, self.marks)
        self.wanted = wanted
        holds = self.half.holds_hello if isinstance(self.half, SecondaryHalf) else 0
        self._commit([*self._grow(wanted), self._row(holds)], lambda now: done(None))
        if isinstance(self.half, PrimaryHalf):
            self.half.put_wanted(wanted, now)

    def _grow(self, wanted: Wanted) -> list[Change]:
        """GROWTH, within an epoch: what is new of a volume reads as zeros here, and is written by nobody before the
        secondary has it too. No write into it begins before this is durable: it needs an intent of its own, and
        commits become durable in order.
        """
        grown = [
            each
            for member, each in zip(wanted.members, self.marks, strict=True)
            if each.record.size_bytes < member.size_bytes
        ]
        for member, each in zip(wanted.members, self.marks, strict=True):
            each.record.size_bytes = member.size_bytes
        if grown and self.half is not None:
            sizes = tuple(member.size_bytes for member in wanted.members)
            self.half.hello = replace(self.half.hello, sizes=sizes)
        return [each.put() for each in grown]

    def _require_volumes(self, wanted: Wanted, marks: Sequence[Marks]) -> None:
        for each in marks:
            if each.record.max_epoch > wanted.epoch:
                raise OlderWanted(self.session_id, "epoch", wanted.epoch, each.record.max_epoch)
        _require_sizes(wanted, marks)
        if wanted.role is Role.PRIMARY and not isinstance(self.half, PrimaryHalf):
            for each in marks:
                # A secondary's copy is known by this: it has a past, and no primary has served it here.
                was_secondary = each.record.generation != "" and not each.record.served_boot_id
                promotion = was_secondary or isinstance(self.half, SecondaryHalf)
                self._require_promotable(each, promotion, wanted.allow_dirty)
        copies = [each.record.generation for each in marks if not each.record.blank]
        promoted = isinstance(self.half, SecondaryHalf) and wanted.role is Role.PRIMARY
        if promoted and copies and not wanted.allow_dirty and not of_one_moment(copies):
            raise CannotPromote(
                f"session {self.session_id} at {self.site} can't be served: its volumes are not known to be of one "
                "moment"
            )

    def _require_promotable(self, marks: Marks, promotion: bool, allow_dirty: bool) -> None:
        """Rule 22: an inconsistent copy is never promoted, a dirty one only where an operator has said so.

        BLANK: one without a past is no copy, whatever it was put as since its ledger was lost. As a primary it serves
        nobody before it has pulled everything or an operator has vouched for it.
        """
        record = marks.record
        if record.blank:
            return
        if not record.consistent:
            why = "a resync of it has not ended, so its content is of no one moment"
        elif promotion and not marks.clean and not allow_dirty:
            why = f"{marks.dirty_bytes + marks.failed_bytes} bytes of it may lack answered writes"
        else:
            return
        raise CannotPromote(f"volume {record.volume_id} at {self.site} can't be served: {why}")

    def _flushed_for_promotion(self, errno: int, wanted: Wanted, marks: Sequence[Marks], done: Done) -> None:
        half = self.half
        assert isinstance(half, SecondaryHalf)
        if errno:
            half.promotion_failed(wanted.epoch)
            self._changing = False
            done(NotPossibleNow("flush_failed", f"the disks of {self.site} can't flush: errno {errno}"))
            return
        half.stop("promoted")
        self._after_idle(lambda: self._persist(wanted, marks, done))

    def _persist(self, wanted: Wanted, marks: Sequence[Marks], done: Done) -> None:
        """EPOCH: the new epoch, and what it makes of the old half's marks, before anything else happens in it."""
        was = self.half
        changes: list[Change] = []
        for member, each in zip(wanted.members, marks, strict=True):
            each.record.max_epoch = wanted.epoch
            each.record.size_bytes = member.size_bytes  # GROWTH
            primary_before = each.record.served_boot_id != "" or isinstance(was, PrimaryHalf)
            if wanted.role is Role.SECONDARY and primary_before:
                each.record.served_boot_id = ""
                changes += each.demote()  # DEMOTE
            elif wanted.role is Role.PRIMARY and isinstance(was, SecondaryHalf):
                changes += each.demote()  # what it may lack itself is in no intent any more
            changes.append(each.put())
        row = PutSession(self.session_id, wanted.epoch, wanted.role, wanted.to_text(), 0)

        def persisted(now: float) -> None:
            self._hand_over(was)
            self.epoch, self.wanted, self.marks = wanted.epoch, wanted, list(marks)
            self.stopped = self._changing = self._lent = False
            self.ports.use_volumes([member.volume_id for member in wanted.members])
            self._begin(now, restored=False, holds_hello=0)
            done(None)

        self._commit([*changes, row], persisted)

    def _begin(self, now: float, restored: bool, holds_hello: int) -> None:
        assert self.wanted is not None
        members = self.wanted.members
        pairs, sizes = tuple(m.pair_id for m in members), tuple(m.size_bytes for m in members)
        primary = self.role is Role.PRIMARY
        site = self.site if primary else self.wanted.peer_site
        hello = Hello(self.session_id, self.epoch, site, self.instance if primary else "", pairs, sizes)
        if primary:
            half = self.half = PrimaryHalf(
                hello,
                self.wanted,
                self.ports,
                self.limits,
                self.marks,
                self._token,
                self._call_ids,
                self.boot_id,
                restored,
            )
            half.start(now)
        else:
            secondary = self.half = SecondaryHalf(
                hello, self.instance, self.ports, self.limits, self.marks, self._token, self._row
            )
            secondary.start(restored, holds_hello, now)

    def let_go(self, now: float, done: Callable[[], None]) -> None:
        """Another session takes some of its volumes: its epoch is dead, and so is this half (MEMBERS).

        :raises NotPossibleNow: it is changing already; whoever began that is told of its end.
        """
        self._require_unchanging()
        self.stopped = self._changing = True
        self._stop_half("its volumes go to another session", keep_hosts=True)

        def idle() -> None:
            self._hand_over(self.half)
            self.half, self._lent, self._changing = None, True, False
            done()

        self._after_idle(idle)

    def end(self, epoch: int, now: float, done: Done) -> None:
        """The session is no more. Volumes that are still its own become plain ones, equal to no other.

        :raises OlderWanted: the session was made anew meanwhile.
        :raises NotPossibleNow: it is changing already.
        """
        if epoch < self.epoch:
            raise OlderWanted(self.session_id, "epoch", epoch, self.epoch)
        self._require_unchanging()
        self._changing = True
        self._stop_half("the session ends", keep_hosts=True)

        def idle() -> None:
            own = [each for each in self.marks if each.record.max_epoch == self.epoch]
            changes = [change for each in own for change in each.forget_past()]
            self._commit([*changes, DropSession(self.session_id)], persisted)

        def persisted(now: float) -> None:
            self._hand_over(self.half)
            self.half, self.stopped, self._changing = None, True, False
            done(None)

        self._after_idle(idle)

    # --- from one half to the next ---

    def _require_unchanging(self) -> None:
        """One change at a time: each waits for the disks, and is answered."""
        if self._changing:
            raise self._busy()

    def _busy(self) -> NotPossibleNow:
        return NotPossibleNow("busy", f"session {self.session_id} is just taking on another state: try again")

    def _stop_half(self, reason: str, keep_hosts: bool) -> None:
        if isinstance(self.half, PrimaryHalf):
            self.half.retire(reason, keep_hosts)
        elif self.half is not None:
            self.half.stop(reason)

    def _after_idle(self, then: Callable[[], None]) -> None:
        """`then` once no disk has a request of the half any more, and its last commit is durable."""
        self._when_idle = lambda: self._commit([], lambda now: then())
        self._idle_perhaps()

    def _idle_perhaps(self) -> None:
        if self._when_idle is not None and (self.half is None or self.half.disks_idle):
            begin, self._when_idle = self._when_idle, None
            begin()

    def _hand_over(self, half: PrimaryHalf | SecondaryHalf | None) -> None:
        """What hosts asked of a primary that is no more, and are not answered, goes to what comes next."""
        if isinstance(half, PrimaryHalf):
            for request in half.give_up():
                request.renew()
                self.ports.give_back(request)

    def _row(self, holds_hello: int) -> PutSession:
        assert self.wanted is not None
        return PutSession(self.session_id, self.epoch, self.role, self.wanted.to_text(), holds_hello)

    def _token(self) -> int:
        return next(self._tokens)

    # ------------------------------------------------------------------ operations

    def precheck(self, epoch: int, attempt: int, now: float, done: Answer) -> None:
        """Rule 22 at the secondary; it takes no hello from then on. Answers what it has.

        `attempt`: the number that this and the next three carry (LATE).
        :raises OlderWanted: for a lower epoch.
        """
        half = self._half_of(SecondaryHalf, epoch, done)
        if half is not None:
            half.precheck(attempt, now, done)

    def release(self, epoch: int, attempt: int, now: float, done: Answer) -> None:
        """The failover was refused: hellos are taken again."""
        half = self._half_of(SecondaryHalf, epoch, done)
        if half is not None:
            half.release(attempt, now, done)

    def quiesce(self, epoch: int, attempt: int, now: float, done: Answer) -> None:
        """Rule 23 at the primary: hold hosts, make both sites equal and clean; answers the row's version (QVER)."""
        half = self._half_of(PrimaryHalf, epoch, done)
        if half is not None:
            half.quiesce(attempt, now, done)

    def resume(self, epoch: int, attempt: int, now: float, done: Answer) -> None:
        """UNDO of a quiesce."""
        half = self._half_of(PrimaryHalf, epoch, done)
        if half is not None:
            half.undo_quiesce(attempt, now, done)

    def _half_of(self, kind: type[Any], epoch: int, done: Answer) -> Any:
        if epoch < self.epoch:
            raise OlderWanted(self.session_id, "epoch", epoch, self.epoch)
        if epoch > self.epoch:
            done(NotPossibleNow("newer_epoch", f"epoch {epoch} has not been put here: put the session first"))
            return None
        if isinstance(self.half, kind) and not self._changing:
            return self.half
        if self._changing or self.half is None:
            done(self._busy())
        else:
            name = "primary" if kind is PrimaryHalf else "secondary"
            done(NotPossibleNow(f"not_{name}", f"{self.site} is not the {name} of session {self.session_id}"))
        return None

    # ------------------------------------------------------------------ hosts

    def submit(self, request: Request) -> None:
        """A host's request; `request.volume` is its volume's number."""
        if isinstance(self.half, PrimaryHalf):
            self.half.submit(request)

    def submit_all(self, requests: Sequence[Request]) -> None:
        """A batch of hosts' requests, in their order."""
        if isinstance(self.half, PrimaryHalf):
            self.half.submit_all(requests)

    def busy(self) -> bool:
        """A bound is reached: hosts are to be read no further (rule 27)."""
        return isinstance(self.half, PrimaryHalf) and self.half.busy

    def undisturbed(self, volume: int, offset: int, length: int) -> bool:
        """Whether hosts may be told now where holes are: that is a read, by rules 2 and READWAIT."""
        return isinstance(self.half, PrimaryHalf) and self.half.undisturbed(volume, offset, length)

    def end_of_batch(self, now: float) -> None:
        """After a batch of events or requests: what was put off goes out."""
        if self.half is not None:
            self.half.end_of_batch(now)

    # ------------------------------------------------------------------ events

    def on_local_done(self, request: Request, errno: int, now: float) -> None:
        """A disk has finished what it could not finish at once."""
        if self.half is not None:
            self.half.on_local_done(request, errno)
            self._idle_perhaps()

    def on_flushed(self, token: int, errno: int, now: float) -> None:
        """The disks have flushed."""
        if self.half is not None:
            self.half.on_flushed(token, errno)

    def on_chunks(self, token: int, errno: int, contents: Sequence[ChunkContent], now: float) -> None:
        """Chunks were read."""
        if self.half is not None:
            self.half.on_chunks(token, errno, contents)

    def on_committed(self, token: int, now: float) -> None:
        """A commit is durable, and all before it."""
        if not self._lent:  # else the numbers of these marks' commits are another session's
            for each in self.marks:
                if each.committing:
                    each.intents_committed(token)
        if not self._commit.done(token, now) and self.half is not None:
            self.half.on_committed(token, now)

    def on_answer(self, call_id: int, answer: Row | Refusal | None, now: float) -> None:
        """The arbiter's answer; None: the outcome is unknown."""
        if isinstance(self.half, PrimaryHalf):
            self.half.on_answer(call_id, answer, now)

    def on_link_up(self, link: int, now: float) -> None:
        """A link that was dialled is there."""
        if isinstance(self.half, PrimaryHalf):
            self.half.on_link_up(link, now)

    def accept_link(self, link: int, peer_site: str, now: float) -> str | None:
        """The other site has dialled: why it is refused, or None."""
        if not isinstance(self.half, SecondaryHalf):
            return f"{self.site} is not the secondary of session {self.session_id} now"
        return self.half.accept_link(link, peer_site, now)

    def on_link_lost(self, link: int, reason: str, now: float) -> None:
        """A link is gone."""
        if self.half is not None:
            self.half.on_link_lost(link, reason, now)

    def on_frames(self, link: int, frames: Sequence[Arrival], now: float) -> bool:
        """Frames of the other site, in their order. Whether `deadline` may be earlier now than before.

        :raises MalformedFrame: that link is to be closed, and told as lost.
        """
        return self.half is not None and self.half.on_frames(link, frames, now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self.half is not None:
            self.half.tick(now)

    def deadline(self) -> float | None:
        """When `tick` is to be called at the latest; None: no need."""
        return self.half.deadline() if self.half is not None else None

    def told(self, now: float) -> dict[str, Any]:
        """What the session is, as GET /v1/sessions tells it; the agent adds what it knows of link and hosts."""
        return told_of(self, now)


def _require_sizes(wanted: Wanted, marks: Sequence[Marks]) -> None:
    """GROWTH: volumes only grow, and by whole extents: else one that is new in part could have its intent already.

    A copy without a past has no intents, and its size is what its agent was told last: perhaps of an extension that
    came to nothing since.
    """
    for member, each in zip(wanted.members, marks, strict=True):
        if each.record.blank:
            continue
        size = each.record.size_bytes
        if member.size_bytes < size or (member.size_bytes > size and size % EXTENT_BYTES):
            raise MalformedWanted(
                f"volume {member.volume_id} has {size} bytes, not {member.size_bytes}: a volume only grows, and only "
                f"from a multiple of {EXTENT_BYTES} bytes"
            )
