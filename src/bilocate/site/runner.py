"""Drives one session: gives it its events, and carries out what it decided once each event is over.

Every event goes the same way: told to the session, `end_of_batch`, hosts and dialer as the session wants them
now, the timer set anew. A defect in the session stops it for good: nothing is served or confirmed any more.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog

from bilocate.domain.arbiter import Refusal, Row
from bilocate.domain.errors import BilocateError
from bilocate.replication.frames import Arrival, MalformedFrame
from bilocate.replication.marks import Marks
from bilocate.replication.ports import ChunkContent
from bilocate.replication.records import SessionRecord
from bilocate.replication.requests import Request
from bilocate.replication.session import Session
from bilocate.replication.wanted import (
    CannotPromote,
    MalformedWanted,
    NotPossibleNow,
    OlderWanted,
    Wanted,
)
from bilocate.site.busy_poll import BusyPoll
from bilocate.site.errors import Busy, SessionFailed
from bilocate.site.link import Link, LinkEvents
from bilocate.site.peer import MakeDialer, Peer
from bilocate.site.session_ports import SessionPorts
from bilocate.site.volume import SiteVolume

log = structlog.get_logger(__name__)

T = TypeVar("T")

# What a session says no with. Every other exception is a defect.
REFUSALS = (OlderWanted, CannotPromote, NotPossibleNow, MalformedWanted)

# A quiesce has a bound of its own; a check may wait for a disk that hangs.
_STEP_SECONDS_MAX = 60.0

# A deadline that is over already is looked at again after so long, not at once: a loop must not spin.
_TICK_SECONDS_MIN = 0.001


class SessionRunner:
    """One session of this site: `Answers` of its ports, owner of its links, carrier of its hosts' requests."""

    def __init__(
        self, session: Session, ports: SessionPorts, make_dialer: MakeDialer, busy_poll: BusyPoll
    ) -> None:
        self.session = session
        self.ports = ports
        ports.answers = self
        self.failed = False
        self.handing_over = False  # hosts' requests wait, whatever the session says
        self._busy_poll = busy_poll
        self._peer = Peer(session.session_id, make_dialer, self._connected)
        self._loop = asyncio.get_running_loop()
        self._inside = False  # in an event: what is decided meanwhile is carried out at its end
        self._stalled = False  # a host's connection was told to wait
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._waiting: set[asyncio.Future[Any]] = set()  # control calls; a defect answers them
        self._closed = False

    @property
    def session_id(self) -> str:
        return self.session.session_id

    @property
    def volumes(self) -> list[SiteVolume]:
        """Those that the session has: it may have lost some to a later one."""
        return [volume for volume in self.ports.volumes if volume.session_id == self.session_id]

    # --- the way of every event ---

    def _tell(self, event: Callable[..., T], *arguments: Any) -> T | None:
        """Give the session one event, and carry out what follows from it. Refusals pass through."""
        if self._closed or self.failed:
            return None
        self._inside = True
        try:
            return event(*arguments)
        except REFUSALS:
            raise
        except Exception as error:
            self._fail(error)
        finally:
            self._inside = False
            self._aftermath()
        return None

    def _aftermath(self, timed: bool = True) -> None:
        """What was put off goes out; hosts, dialer and timer become what the session wants."""
        if self._closed or self.failed:
            return
        session, ports, now = self.session, self.ports, self._loop.time()
        self._inside = True
        try:
            ports.push()  # before the own disk works: the other site does so at the same time
            session.end_of_batch(now)
            while ports.changed:
                ports.changed, timed = False, True
                self._settle()
                session.end_of_batch(now)
            ports.push()
            if self._stalled and not session.busy():
                self._stalled = False
                for volume in self.volumes:
                    volume.wake()
            deadline = session.deadline() if timed else None
        except Exception as error:
            self._fail(error)
            return
        finally:
            self._inside = False
        if deadline is not None and deadline < self._timer_at:
            self._set_timer(max(deadline, now + _TICK_SECONDS_MIN))

    def _settle(self) -> None:
        if self.ports.serving and not self.handing_over:
            for volume in self.volumes:
                volume.serve_by(self)
        elif not self.ports.serving:
            for volume in self.volumes:
                volume.hold()
        wanted = self.session.wanted
        if self.ports.link_wanted and wanted is not None:
            self._peer.dial(wanted.peer_address, wanted.peer_site)
        else:
            self._peer.stop()

    def _fail(self, error: Exception) -> None:
        """A defect: what the session would do next can't be trusted, so it does nothing more."""
        self.failed = True
        log.error("session_failed", session=self.session_id, exc_info=error)
        self._stop("internal error")
        for volume in self.volumes:
            volume.hold()
            volume.disconnect("internal error")
        for waiting in list(self._waiting):
            if not waiting.done():
                waiting.set_exception(SessionFailed(self.session.site, self.session_id))

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, math.inf
        self._tell(self.session.tick, self._loop.time())

    def _catch_up(self) -> bool:
        """What is due by time goes before what a host asks or the other site said. Returns whether the volumes may have
        another carrier now.

        A process that was stopped, or its machine, finds all of these when it goes on, and the loop turns to its
        sockets first. A primary that has not heard of its secondary for so long would answer reads as if it had
        (P4): also one that finds a frame of before in its socket, and takes it for a sign of life.
        """
        if self._loop.time() < self._timer_at or self._inside:
            return False
        self._tick()
        return True

    # --- events: disks, ledger, arbiter (Answers) ---

    def local_done(self, request: Request, errno: int) -> None:
        self._tell(self.session.on_local_done, request, errno, self._loop.time())

    def flushed(self, token: int, errno: int) -> None:
        self._tell(self.session.on_flushed, token, errno, self._loop.time())

    def chunks(self, token: int, errno: int, contents: Sequence[ChunkContent]) -> None:
        self._tell(self.session.on_chunks, token, errno, contents, self._loop.time())

    def committed(self, token: int) -> None:
        self._tell(self.session.on_committed, token, self._loop.time())

    def answered(self, call_id: int, answer: Row | Refusal | None) -> None:
        self._tell(self.session.on_answer, call_id, answer, self._loop.time())

    # --- hosts (Carrier) ---

    def submit_all(self, requests: Sequence[Request]) -> None:
        if self._catch_up() and requests:
            carrier = self.ports.volumes[requests[0].volume].carrier  # all are of one volume
            if carrier is not self:
                carrier.submit_all(requests)
                return
        try:
            self.session.submit_all(requests)
        except Exception as error:
            self._fail(error)

    def busy(self) -> bool:
        if not self.session.busy():
            return False
        self._stalled = True
        return True

    def undisturbed(self, number: int, offset: int, length: int) -> bool:
        self._catch_up()
        return not self.failed and self.session.undisturbed(number, offset, length)

    def end_of_batch(self) -> None:
        # A part of a long zeroing is submitted from inside an answer: then the event's own end will do.
        # What hosts ask sets no times: two microseconds less for each of their batches.
        if not self._inside:
            self._aftermath(timed=False)

    # --- links ---

    def accept(self, link: Link) -> LinkEvents | str:
        """The other site has dialled: the link's owner, or why it is refused."""
        if self.failed or self._closed:
            return f"session {self.session_id} does not run at this site now"
        refusal: str | None = None

        def accepted() -> None:
            nonlocal refusal
            refusal = self.session.accept_link(link.number, link.peer_site, self._loop.time())
            if refusal is None:
                self.ports.close_link("a newer connection took its place")
                self.ports.link = link
                link.owner_flushes = True

        self._tell(accepted)
        if self.failed:
            return "internal error"
        return self if refusal is None else refusal

    def _connected(self, link: Link) -> LinkEvents:
        """Our dialer has a link."""
        old = self.ports.link
        if old is not None:
            self.ports.close_link("a newer connection took its place")
            self._tell(self.session.on_link_lost, old.number, "replaced", self._loop.time())
        self.ports.link = link
        link.owner_flushes = True  # at the end of every event
        self._tell(self.session.on_link_up, link.number, self._loop.time())
        if self.failed or self._closed:
            link.close("the session does not run")
        return self

    def on_frames(self, link: Link, frames: Sequence[Arrival]) -> None:
        """LinkEvents: a batch."""
        self._busy_poll.came(len(frames), frames[0].length)
        self._catch_up()
        if link is not self.ports.link or self.failed or self._closed:
            return
        timed = True
        self._inside = True
        try:
            # What is most common sets no time earlier than it was, as in `end_of_batch`.
            timed = self.session.on_frames(link.number, frames, self._loop.time())
        except MalformedFrame:
            raise  # the link ends, and tells so
        except Exception as error:
            self._fail(error)
        finally:
            self._inside = False
            self._aftermath(timed)

    def on_lost(self, link: Link, reason: str) -> None:
        """LinkEvents: the link is gone."""
        if link is self.ports.link:
            self.ports.forget_link()
            self._peer.lost = reason
            self._tell(self.session.on_link_lost, link.number, reason, self._loop.time())

    # --- the agent's calls ---

    def restore(self, record: SessionRecord, marks: Sequence[Marks]) -> None:
        """As the ledger has it."""
        self._tell(self.session.restore, record, marks, self._loop.time())

    def begin_put(self, wanted: Wanted, marks: Sequence[Marks]) -> "asyncio.Future[None]":
        """Put what is wanted; the future ends when it is persisted.

        :raises OlderWanted, CannotPromote, NotPossibleNow, MalformedWanted: nothing changed.
        """
        return self._begin(lambda now, done: self.session.put(wanted, marks, now, done))

    def begin_let_go(self) -> "asyncio.Future[None]":
        """Let the volumes go; the future ends when no disk has a request of the session any more.

        :raises NotPossibleNow: it is changing already.
        """
        return self._begin(lambda now, done: self.session.let_go(now, lambda: done(None)))

    def begin_end(self, epoch: int) -> "asyncio.Future[None]":
        """End the session; the future ends when the ledger has forgotten it.

        :raises OlderWanted, NotPossibleNow: nothing changed.
        """
        return self._begin(lambda now, done: self.session.end(epoch, now, done))

    async def step(self, name: str, epoch: int, attempt: int) -> dict[str, Any]:
        """One of precheck, release, quiesce and resume.

        :raises OlderWanted, NotPossibleNow: as the session says.
        :raises Busy: it takes too long; it goes on, and may be asked again.
        """
        self._require_running()
        answer: asyncio.Future[dict[str, Any]] = self._promise()

        def done(found: dict[str, Any] | NotPossibleNow) -> None:
            if answer.done():
                return
            if isinstance(found, NotPossibleNow):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        try:
            self._tell(getattr(self.session, name), epoch, attempt, self._loop.time(), done)
        except REFUSALS:
            answer.cancel()
            raise
        try:
            async with asyncio.timeout(_STEP_SECONDS_MAX):
                return await answer
        except TimeoutError:
            raise Busy from None

    def _begin(
        self, call: Callable[[float, Callable[[BilocateError | None], None]], None]
    ) -> "asyncio.Future[None]":
        self._require_running()
        ended: asyncio.Future[None] = self._promise()

        def done(error: BilocateError | None) -> None:
            if ended.done():
                return
            if error is None:
                ended.set_result(None)
            else:
                ended.set_exception(error)

        self.ports.changed = True  # the peer's address may be another
        try:
            self._tell(call, self._loop.time(), done)
        except REFUSALS:
            ended.cancel()
            raise
        return ended

    def _promise(self) -> "asyncio.Future[Any]":
        promise: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.add(promise)
        promise.add_done_callback(self._waiting.discard)
        return promise

    def _require_running(self) -> None:
        if self.failed or self._closed:
            raise SessionFailed(self.session.site, self.session_id)

    def set_handing_over(self, handing_over: bool) -> None:
        """While its volumes change hands, hosts' requests wait."""
        self.handing_over = handing_over
        if handing_over:
            for volume in self.volumes:
                volume.hold()
        else:
            self.ports.changed = True
            self._aftermath()

    def close(self, reason: str) -> None:
        """No event reaches the session any more, and no call of it the world."""
        if not self._closed:
            self._closed = True
            self._stop(reason)

    def _stop(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, math.inf
        self._peer.stop()
        self.ports.give_up_calls()
        self.ports.close_link(reason)

    # --- telling ---

    def told(self) -> dict[str, Any]:
        """The session's JSON of the control endpoint."""
        found = self.session.told(self._loop.time())
        volumes = {volume.volume_id: volume for volume in self.volumes}
        found["connections"] = sum(len(volume.connections) for volume in volumes.values())
        wanted = self.session.wanted
        found["link"] = {
            **found.get("link", {}),
            **self._peer.told(self.ports.link, self._loop.time()),
            "peer": None if wanted is None else wanted.peer_site,
        }
        if self.failed:
            found["refusal"] = str(SessionFailed(self.session.site, self.session_id))
            found["serving"] = found["in_step"] = False
        return found
