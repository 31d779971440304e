"""How a primary comes to serve: pull, or permit; flush; note the boot; open (rules 17, 18, 19, 21)."""

from typing import TYPE_CHECKING

from bilocate.domain.arbiter import Call
from bilocate.domain.primary_states import PrimaryEvent, PrimaryState
from bilocate.replication.backoff import Backoff
from bilocate.replication.frames import Frame, Kind, MalformedFrame, Welcome
from bilocate.replication.pull import Puller
from bilocate.replication.records import Change
from bilocate.replication.requests import Request

if TYPE_CHECKING:
    from bilocate.replication.primary import PrimaryHalf

S, E = PrimaryState, PrimaryEvent


class Start:
    """The start of one primary half."""

    def __init__(self, half: "PrimaryHalf", boot_id: str, restored: bool) -> None:
        self._half = half
        self._boot_id = boot_id
        self._restored = restored  # by a new process: what was dirty may be known by its intent only
        # OLD MEMORY: the machine crashed since it was last served, and answered writes may have been lost with it.
        self._old_memory = any(m.record.served_boot_id not in ("", boot_id) for m in half.marks)
        self._puller: Puller | None = None
        self._why: str | None = None  # the last pull failed
        self.backoff = Backoff(half.limits)
        self._late: set[int] = set()  # pulled chunks that the disk still has from a link that is gone

    def pursue(self, now: float, wait_until: float) -> None:
        """WAITING: the row is known, or not; the secondary is there, or not."""
        half = self._half
        if self._late:
            # PULL: it could land on what a host is answered for later, or on what a newer pull brings.
            half.refusal = (
                half.refusal or "this site's disks still write what a pull brought whose link is gone"
            )
            return
        if half.view.row is None:
            half.view.ask(Call.ATTACH)
            return
        in_sync = half.row_in_sync()
        own = not any(marks.record.dirty or marks.record.failed for marks in half.marks)  # PULLOWN
        if in_sync and own and half.welcome is not None and self.peer_has_all(half.welcome):
            if now >= self.backoff.until:
                self._begin_pull()
            return
        blank = any(marks.record.blank for marks in half.marks)  # BLANK
        if blank:
            half.refusal = (
                "the ledger knows nothing of this volume's past, so its data may be old: it is served once it has "
                "been pulled from a secondary in step, or an operator says that this copy is the truth"
            )
            if not half.wanted.trust_blank:
                return
        if in_sync and own and half.welcome is None and now < wait_until:
            return
        # The word may have come late, and be over: whoever keeps it says whether it stands.
        half.view.ask(Call.REQUEST_VOUCHED_SOLO if blank else Call.REQUEST_SOLO)

    def peer_has_all(self, welcome: Welcome) -> bool:
        """Whether the secondary has every answered write: consistent, the same past, nothing dirty."""
        return all(
            peer.consistent
            and not peer.dirty
            and not peer.everything
            and peer.generation != ""
            and (own.record.blank or peer.generation == own.record.generation)
            for own, peer in zip(self._half.marks, welcome.volumes, strict=True)
        )

    # --- in step, behind a pull ---

    def _begin_pull(self) -> None:
        half = self._half
        half.move(E.PULL)
        half.refusal = self._why
        half.path.link()
        self._puller = Puller(
            half.ports,
            half.marks,
            half.next_token,
            [marks.suspects() for marks in half.marks],
            self._pulled,
            self._failed_here,
        )
        self._puller.go_on()

    def pull_failed(self, reason: str) -> None:
        """A pull, if one is under way, comes to nothing: the next one waits a while, and people are told why."""
        half = self._half
        if half.state is S.PULLING:
            self._why = half.refusal = reason
            self.backoff.failed(half.now)

    def _failed_here(self, reason: str) -> None:
        self.pull_failed(reason)
        self._half.give_link_up(reason)

    def _pulled(self) -> None:
        """PULLKEEP, FLUSHSERVE: both sites flush, then the intents may go, then hosts are served."""
        self._puller = None
        half = self._half
        welcome = half.welcome
        assert welcome is not None

        def flushed(errno: int) -> None:
            if half.state is not S.PULLING or half.welcome is not welcome:
                return
            if errno:
                self._failed_here(f"this site's disks can't flush: errno {errno}")
                return
            half.refusal = None
            changes = self._boot_noted()
            for marks, peer in zip(half.marks, welcome.volumes, strict=True):
                record = marks.record
                if record.blank:
                    record.blank, record.consistent, record.generation = False, True, peer.generation
                    changes.append(marks.put())
                changes += marks.drop_intents(set(record.intents))
            half.move(E.PULLED)
            half.commit(changes, lambda now: self._serve_in_step(welcome))

        half.flushes.ask(flushed)

    def _serve_in_step(self, welcome: Welcome) -> None:
        half = self._half
        if half.state is S.STARTING and not half.path.permit and half.welcome is welcome:
            half.move(E.SERVE)
            half.say_step(welcome)
            half.serve()

    # --- solo ---

    def solo(self) -> None:
        """The permit is here before the first answer; what this machine may have forgotten is told (OLD MEMORY)."""
        half = self._half
        half.move(E.PERMIT)
        half.refusal = None
        half.path.take_permit()
        if self._restored:
            for marks in half.marks:
                # In memory: nobody is to be told that less may differ than does. The intents stay the evidence.
                marks.make_dirty_extents(set(marks.record.intents))

        def flushed(errno: int) -> None:
            if half.state is not S.STARTING:
                return
            if errno:
                half.refusal = f"this site's disks can't flush: errno {errno}"
                return
            if self._old_memory:
                half.ports.refuse_old_attachments()
            half.commit(self._boot_noted(), lambda now: self._serve_solo())

        half.flushes.ask(flushed)  # FLUSHSERVE

    def _serve_solo(self) -> None:
        if self._half.state is S.STARTING:
            self._half.move(E.PERMIT)
            self._half.serve()

    def _boot_noted(self) -> list[Change]:
        """BOOTID: the new boot id is persisted only now that it serves."""
        for marks in self._half.marks:
            marks.record.served_boot_id = self._boot_id
        return [marks.put() for marks in self._half.marks]

    # --- the pull's events ---

    def take(self, frame: Frame) -> None:
        """PULLED and PULL_DONE; those of a pull that was given up are nobody's.

        :raises MalformedFrame: when they are not within their volume.
        """
        if self._puller is None:
            return
        if frame.volume >= len(self._half.marks):
            raise MalformedFrame(f"{frame.kind.name} of volume {frame.volume}")
        if frame.kind is Kind.PULLED:
            self._puller.on_pulled(frame)
        else:
            self._puller.on_pull_done(frame)

    def local_done(self, request: Request, errno: int) -> bool:
        """A disk finished a request: whether it was a pulled chunk."""
        if id(request) in self._late:
            self._late.discard(id(request))
        elif self._puller is not None and id(request) in self._puller.writing:
            self._puller.on_local_done(request, errno)
        else:
            return False
        return True

    @property
    def puller(self) -> Puller | None:
        """The pull under way."""
        return self._puller

    def abandon(self) -> None:
        """The link is lost, or the half retires."""
        if self._puller is not None:
            self._late |= self._puller.writing
            self._puller = None

    @property
    def disks_idle(self) -> bool:
        """No disk has a pulled chunk."""
        return not (self._late or (self._puller is not None and self._puller.writing))
