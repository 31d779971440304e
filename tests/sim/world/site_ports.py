"""The effects of one session at one site: the core's `Ports` over the world's disks, ledger, wire and arbiter."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tests.sim.world.disk import Disk
from tests.sim.world.link import End
from tests.sim.world.scheduler import Event, Kind
from tests.sim.world.volume import SiteVolume

from bilocate.domain.arbiter import Ask, Call, Refusal, Row
from bilocate.replication.frames import Arrival, Buffer, MalformedFrame
from bilocate.replication.frames import Kind as FrameKind
from bilocate.replication.ports import ChunkContent
from bilocate.replication.records import Change
from bilocate.replication.requests import Op, Request
from bilocate.replication.session import Session

if TYPE_CHECKING:
    from tests.sim.world.agent import Agent


class SitePorts:
    """One session's world at one site, as long as the agent's process lives."""

    def __init__(self, agent: "Agent", session_id: str) -> None:
        self.agent = agent
        self.session_id = session_id
        self.session: Session  # set right after it is made
        self.volumes: list[SiteVolume] = []
        self.serving = False
        self._served: list[int] = []  # the volumes, by their numbers, when it last began
        self.dead = False  # the process ended, or the session is gone
        self.link: End | None = None
        self.dialing = False
        self.at_disk: dict[int, tuple[Disk, Request]] = {}  # what the disks have and did not answer
        self._dial: Event | None = None
        self._timer: Event | None = None
        self._left_over = False  # the timer is of a deadline that is there no more
        self._batch: Event | None = None
        self._scheduler = agent.world.scheduler
        self._delays = agent.world.delays
        self._site = agent.site
        self._timed = False  # times may have changed since the timer was set

    # --- the core's port calls ---

    def use_volumes(self, volume_ids: Sequence[str]) -> None:
        self._effect("use_volumes", volume_ids)
        self._timed = True
        for volume in self.volumes:
            if volume.carrier is self and volume.volume_id not in volume_ids:
                volume.carrier = None
        self.volumes = [self.agent.volumes[volume_id] for volume_id in volume_ids]

    def give_back(self, request: Request) -> None:
        self._effect("give_back", request)
        self.volumes[request.volume].queue.append(request)

    def write(self, request: Request) -> int | None:
        disk = self.volumes[request.volume].disk
        delay = self._delays.disk()
        held = self.agent.world.scheduler.holds(Kind.DISK, self._site, request.op.name)
        if not delay and not held:
            errno = disk.write(request.offset, request.length, request.payload, self.agent.world.rng)
            self._effect("written", request, errno)
            return errno
        self._effect("write", request)
        self.at_disk[id(request)] = (disk, request)

        def done() -> None:
            del self.at_disk[id(request)]
            errno = disk.write(request.offset, request.length, request.payload, self.agent.world.rng)
            self.session.on_local_done(request, errno, self.agent.now)

        self._later(delay, Kind.DISK, request.op.name, done, request)
        return None

    def read(self, request: Request) -> int | None:
        disk = self.volumes[request.volume].disk
        delay = self._delays.disk()
        if not delay and not self.agent.world.scheduler.holds(Kind.DISK, self._site, "READ"):
            return _fill(request, disk)

        def done() -> None:
            self.session.on_local_done(request, _fill(request, disk), self.agent.now)

        self._later(delay, Kind.DISK, "READ", done, request)
        return None

    def flush(self, token: int) -> None:
        self._effect("flush", token)
        ends = [volume.disk.begin_flush() for volume in self.volumes]

        def done() -> None:
            errno = next((errno for errno in [end() for end in ends] if errno), 0)
            self.session.on_flushed(token, errno, self.agent.now)

        self._later(self._delays.flush(), Kind.FLUSH, "FLUSH", done, token)

    def read_chunks(self, volume: int, chunks: Sequence[int], token: int) -> None:
        disk = self.volumes[volume].disk
        wanted = list(chunks)
        early = [disk.chunk(chunk) for chunk in wanted] if self._delays.chunks_are_early() else None

        def done() -> None:
            found = early if early is not None else [disk.chunk(chunk) for chunk in wanted]
            contents = [content for content in found if isinstance(content, ChunkContent)]
            errno = next((errno for errno in found if isinstance(errno, int)), 0)
            self.session.on_chunks(token, errno, [] if errno else contents, self.agent.now)

        self._later(self._delays.chunks(), Kind.CHUNKS, "CHUNKS", done, (volume, wanted[0], len(wanted)))

    def commit(self, changes: Sequence[Change], token: int, patient: bool = False) -> None:
        self._effect("commit", token)

        def committed() -> None:
            self._event(lambda: self.session.on_committed(token, self.agent.now))

        self.agent.ledger.commit(self._delays.ledger(), changes, committed)

    def ask_arbiter(self, call_id: int, call: Call, epoch: int, version: int) -> None:
        self._effect("ask_arbiter", call.name, epoch, version)

        def answered(answer: Row | Refusal | None) -> None:
            self._event(lambda: self.session.on_answer(call_id, answer, self.agent.now))

        self.agent.ask_arbiter(self.session_id, Ask(call, epoch, self._site, version), answered)

    def send(self, header: bytes, payload: Buffer = b"") -> None:
        if self.link is not None:
            if self._scheduler.trace.on:
                self._effect("send", FrameKind(header[0]).name)
            self.link.send(header, payload)

    def send_all(self, frames: Sequence[Buffer]) -> None:
        for header, payload in zip(frames[::2], frames[1::2], strict=True):
            self.send(bytes(header), payload)

    def want_link(self, wanted: bool) -> None:
        self._effect("want_link", wanted)
        self._timed = True
        self.dialing = wanted
        if wanted:
            self._dial_later()
        elif self._dial is not None:
            self._dial.cancelled = True
            self._dial = None

    def close_link(self, reason: str) -> None:
        self._effect("close_link", reason)
        end, self.link = self.link, None
        if end is not None:
            end.close()
        self._dial_later()

    def disconnect_hosts(self, reason: str) -> None:
        self._effect("disconnect_hosts", reason)
        for volume in self.volumes:
            volume.disconnect(reason)

    def serve_hosts(self, serving: bool) -> None:
        self._effect("serve_hosts", serving)
        self._timed = True
        before, self.serving = self.serving, serving
        world = self.agent.world
        numbers = [world.number_of(volume.volume_id) for volume in self.volumes]
        if serving and not (before and numbers == self._served):
            self._served = numbers
            world.observers.served(self._site, numbers)

    def refuse_old_attachments(self) -> None:
        self._effect("refuse_old_attachments")
        self.agent.refuse_attachments(self.volumes)

    def new_generation(self) -> str:
        return self.agent.world.new_name("generation")

    def log(self, event: str, **fields: object) -> None:
        if self._scheduler.trace.on:
            self._effect(event, *(f"{name}={value}" for name, value in fields.items()))

    # --- events for the core ---

    def submit(self, request: Request) -> None:
        """A host's request."""
        if self._caught_up([request]):
            self.session.submit(request)
            self.after(timed=False)

    def submit_all(self, requests: Sequence[Request]) -> None:
        """Several of them, as of one read."""
        if self._caught_up(requests):
            self.session.submit_all(requests)
            self.after(timed=False)

    def _catch_up(self) -> bool:
        """As the real agent: what is due by time goes before what hosts or the other site say."""
        if self._timer is None or self._timer.time > self._scheduler.now:
            return False
        self._timer.cancelled = True
        self._tick()
        return True

    def _caught_up(self, requests: Sequence[Request]) -> bool:
        """Whether the requests are still this session's to carry; if not, they are given to whose they are."""
        if not self._catch_up():
            return True
        volume = self.volumes[requests[0].volume]
        if volume.carrier is self:
            return True
        volume.submit_all(requests)
        return False

    def _event(self, run: Callable[[], None]) -> None:
        if not self.dead:
            run()
            self.after()

    def _later(self, delay: float, kind: Kind, name: str, run: Callable[[], None], detail: object) -> None:
        self._scheduler.after(delay, kind, self._site, name, lambda: self._event(run), None, detail)

    def after(self, timed: bool = True) -> None:
        """After every event: what was put off goes out, perhaps later for many; then the timer is set.

        Not after what sets no time earlier than it was (`timed`), as the real agent has it: a session that counts on
        more than that sleeps too long.
        """
        self._timed = self._timed or timed
        if self._batch is None:
            delay = self._delays.batch()
            if not delay:
                self._end_batch()
            else:
                self._batch = self._scheduler.after(delay, Kind.TIMER, self._site, "batch", self._end_batch)
        if self._batch is not None and timed and not self.dead:
            self._arm()

    def _end_batch(self) -> None:
        self._batch = None
        if not self.dead:
            self.session.end_of_batch(self.agent.now)
            timed, self._timed = self._timed, False
            if timed:
                self._arm()

    def clock_jumped(self) -> None:
        """Its timer is due at another moment of the world's time."""
        if not self.dead:
            self._arm()

    def _arm(self) -> None:
        deadline, timer = self.session.deadline(), self._timer
        if deadline is None:
            self._left_over = timer is not None  # it rings all the same, as the real agent's does
            return
        if timer is not None:
            # One that is late, since the process hung, rings now: it must not become later than what came with it.
            if timer.time <= max(deadline - self.agent.ahead_seconds, self._scheduler.now) + 1e-6:
                return  # it looks again when it rings
            timer.cancelled = True
        self._left_over = False
        # A little behind it, so that rounding can't make the core's comparison fail for ever.
        delay = max(0.0, deadline - self.agent.now) + 1e-7
        self._timer = self._scheduler.after(delay, Kind.TIMER, self._site, "tick", self._tick)

    def _tick(self) -> None:
        left_over, self._left_over = self._left_over, False
        self._timer = None
        if self.dead:
            return
        self.session.tick(self.agent.now)
        if not left_over:
            self.after()
            return
        # Nothing is due. Its batch ends at once, and no delay is drawn: the others stay what the seed says.
        self._timed = True
        if self._batch is None:
            self._end_batch()
        else:
            self._arm()

    # --- the link ---

    def _dial_later(self) -> None:
        if self.dialing and not self.dead and self.link is None and self._dial is None:
            self._dial = self._scheduler.after(self._delays.dial(), Kind.LINK, self._site, "DIAL", self._try)

    def _try(self) -> None:
        self._dial = None
        if self.dead or not self.dialing or self.link is not None:
            return
        wanted = self.session.wanted
        assert wanted is not None
        end = self.agent.world.connect(self, wanted.peer_site)
        if end is None:
            self._dial_later()
            return
        self.link = end
        number = end.number
        self._event(lambda: self.session.on_link_up(number, self.agent.now))

    def take_link(self, end: End, peer_site: str) -> str | None:
        """The other site dials in: a reason to refuse, or None."""
        if self.agent.stopped:
            return "nobody answers there"
        reason = self.session.accept_link(end.number, peer_site, self.agent.now)
        if reason is None:
            self.link = end
        self.after()
        return reason

    def on_frames(self, end: End, frames: list[Arrival]) -> None:
        """Frames arrived, in one read."""
        self._catch_up()
        if self.dead or end is not self.link:
            return
        timed = True
        try:
            timed = self.session.on_frames(end.number, frames, self.agent.now)
        except MalformedFrame as error:
            self._effect("malformed_frame", error)
            self.agent.world.malformed += 1
            self.close_link("malformed frame")
            self.session.on_link_lost(end.number, f"malformed frame: {error}", self.agent.now)
        self.after(timed)

    def on_lost(self, end: End, reason: str) -> None:
        """The connection is gone."""
        if self.dead or end is not self.link:
            return
        self.link = None
        self._effect("link_lost", reason)
        self.session.on_link_lost(end.number, reason, self.agent.now)
        self._dial_later()
        self.after()

    # --- the end ---

    def die(self) -> None:
        """The process ended, or the session did: nothing reaches the core any more."""
        self.dead = True
        self.dialing = False
        for event in (self._dial, self._timer, self._batch):
            if event is not None:
                event.cancelled = True

    def _effect(self, name: str, *details: object) -> None:
        trace = self._scheduler.trace
        if trace.on:
            trace.add(self._scheduler.now, self._site, f"  -> {name} {' '.join(map(str, details))}".rstrip())


def _fill(request: Request, disk: Disk) -> int:
    found = disk.read(request.offset, request.length)
    if isinstance(found, int):
        return found
    assert request.op is Op.READ
    request.data = found
    return 0
