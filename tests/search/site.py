"""One site: the real session over a ledger, disks and a link that do nothing by themselves.

Whatever the core begins lies in a queue until the search takes its end for the next event.
"""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.search.disk import Disk, content
from tests.search.link import End, arrival
from tests.search.tickets import CALLS, TOKENS, Counter, Seq
from tests.sim.world.stored import Stored

from bilocate.domain.arbiter import Ask, Call
from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.frames import Buffer
from bilocate.replication.limits import Limits
from bilocate.replication.marks import Marks
from bilocate.replication.ports import ChunkContent
from bilocate.replication.primary import PrimaryHalf
from bilocate.replication.records import Change, PutSiteItem, VolumeRecord
from bilocate.replication.requests import Op, Request
from bilocate.replication.secondary import SecondaryHalf
from bilocate.replication.session import Session

if TYPE_CHECKING:
    from tests.search.world import World

SESSION = "s"
NEVER = 1e9
REFUSED = "refused"

# Silence is not waited for: a search lets a link be lost instead. Pauses do not grow.
LIMITS = Limits(
    heartbeat_seconds=NEVER, heartbeat_timeout_seconds=NEVER, retry_seconds=1.0, retry_seconds_max=1.0
)


class Ports:
    """The core's effects, as far as they have not ended. It lives as long as the process."""

    def __init__(self, world: "World", site: "Site") -> None:
        self._world = world
        self._site = site
        self.dialing = False
        self.serving = False
        self.flushes: deque[tuple[int, list[tuple[int, ...]]]] = deque()
        self.reads: list[tuple[int, tuple[int, ...], int]] = []  # volume, chunks, token
        self.at_disk: list[Request] = []
        self.given_back: deque[Request] = deque()

    @property
    def link(self) -> End | None:
        """This site's end of the present link."""
        return self._world.ends[self._site.name]

    @link.setter
    def link(self, end: End | None) -> None:
        self._world.ends[self._site.name] = end

    def use_volumes(self, volume_ids: Sequence[str]) -> None:
        """There is one session, of all volumes."""

    def give_back(self, request: Request) -> None:
        self.given_back.append(request)

    def write(self, request: Request) -> int | None:
        if self._world.bounds.slow_disks:
            self.at_disk.append(request)
            return None
        self._site.disks[request.volume].write(request)
        return 0

    def read(self, request: Request) -> int | None:
        if self._world.bounds.slow_disks:
            self.at_disk.append(request)
            return None
        self._site.disks[request.volume].read(request)
        return 0

    def flush(self, token: int) -> None:
        self.flushes.append((token, [disk.begin_flush() for disk in self._site.disks]))

    def read_chunks(self, volume: int, chunks: Sequence[int], token: int) -> None:
        self.reads.append((volume, tuple(chunks), token))

    def commit(self, changes: Sequence[Change], token: int, patient: bool = False) -> None:
        self._site.commits.append((tuple(changes), token))

    def ask_arbiter(self, call_id: int, call: Call, epoch: int, version: int) -> None:
        self._world.ask(self._site, call_id, Ask(call, epoch, self._site.name, version))

    def send(self, header: bytes, payload: Buffer = b"") -> None:
        if self.link is not None:
            self.link.send(header, payload)

    def send_all(self, frames: Sequence[Buffer]) -> None:
        for header, payload in zip(frames[::2], frames[1::2], strict=True):
            self.send(bytes(header), payload)

    def want_link(self, wanted: bool) -> None:
        self.dialing = wanted

    def close_link(self, reason: str) -> None:
        end, self.link = self.link, None
        if end is not None:
            end.close()

    def disconnect_hosts(self, reason: str) -> None:
        self._world.promises.disconnected(self._site.name)

    def serve_hosts(self, serving: bool) -> None:
        before, self.serving = self.serving, serving
        if serving and not before:
            self._site.begins_to_serve()

    def refuse_old_attachments(self) -> None:
        attachment = self._world.promises.attachment
        self._site.refused = attachment
        # Its token is 0: nobody waits for it.
        self._site.commits.append(((PutSiteItem(REFUSED, str(attachment)),), 0))

    def new_generation(self) -> str:
        return self._world.new_name()

    def log(self, event: str, **fields: object) -> None:
        """Nobody reads it."""


class Site:
    """A machine with its disks and its ledger, and the process on it."""

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self.name = name
        bounds = world.bounds
        self.disks = [Disk(bounds.chunks, bounds.power_cuts > 0) for _ in range(bounds.volumes)]
        self.stored = Stored()
        self.commits: deque[tuple[tuple[Change, ...], int]] = deque()
        self.boot = world.new_name()
        self.clock = 0.0
        self.ledger_lost = False  # until it starts
        self.refused = -1  # hosts that came with this attachment know of a crash
        self.up = False
        self.instance = ""
        self.ports: Ports
        self.session: Session
        self.marks: list[Marks] = []
        for volume in range(bounds.volumes):
            record = VolumeRecord(f"v{volume}{name}", bounds.chunks * CHUNK_BYTES)
            self.stored.apply([Marks(record).put()])

    # --- life and death ---

    def start(self) -> None:
        """A process starts: all that it knows comes from the ledger."""
        self.up = True
        self.instance = self._world.new_name()
        self.ports = Ports(self._world, self)
        limits = LIMITS if self._world.limits is None else self._world.limits
        self.session = Session(SESSION, self.name, self.instance, self.boot, self.ports, limits)
        self.session._tokens = Counter(TOKENS[self.name])  # type: ignore[assignment]
        self.session._call_ids = Counter(CALLS[self.name])  # type: ignore[assignment]
        if self.ledger_lost:
            self._begin_ledger_anew()
        records, sessions = self.stored.load()
        self.marks = [Marks(record) for record in records.values()]
        self.refused = int(self.stored.items.get(REFUSED, "-1"))
        for record in sessions.values():
            self.session.restore(record, self.marks, self.clock)
        self.after()

    def kill(self, commits: int, written: Sequence[Request]) -> None:
        """The process ends. So many commits under way were durable all the same, and these writes were made."""
        self.up = False
        for changes, _ in list(self.commits)[:commits]:
            self.stored.apply(changes)
        self.commits.clear()
        for request in written:
            self.disks[request.volume].write(request)
        if self.ports.link is not None:
            self.ports.link.lose()
            self.ports.link = None
        self._world.touched.add(self.name)
        self._world.promises.disconnected(self.name)
        del self.ports, self.session
        self.marks = []

    def lose_ledger(self) -> None:
        """Behind `kill`: its files are gone. The disks have what they had."""
        self._world.touched.add(self.name)
        self.stored = Stored()
        self.ledger_lost = True

    def _begin_ledger_anew(self) -> None:
        self.ledger_lost = False
        for volume in range(len(self.disks)):
            size_bytes = self._world.bounds.chunks * CHUNK_BYTES
            record = VolumeRecord(f"v{volume}{self.name}", size_bytes, consistent=False, blank=True)
            self.stored.apply([Marks(record).put()])

    def cut_power(self, kept: Sequence[tuple[int, ...]]) -> None:
        """Behind `kill`: the machine has lost its memory."""
        self._world.touched.add(self.name)
        for disk, counts in zip(self.disks, kept, strict=True):
            disk.cut_power(counts)
        self.boot = self._world.new_name()
        self._world.promises.power_cut(self.name)

    def begins_to_serve(self) -> None:
        """Hosts may come."""
        promises = self._world.promises
        promises.served(self.name, [disk.cache for disk in self.disks], self.refused == promises.attachment)

    def requests_moved(self, ids: dict[int, int]) -> None:
        """Behind a copy: what the core keeps by the ids of requests."""
        half = self.session.half if self.up else None
        if isinstance(half, PrimaryHalf):
            path, start = half.path, half._start
            path._locks = {ids[key]: value for key, value in path._locks.items()}
            path._given_up = {ids[key] for key in path._given_up}
            half._flushing = {ids[key]: value for key, value in half._flushing.items()}
            start._late = {ids[key] for key in start._late}
            if start._puller is not None:
                start._puller.writing = {ids[key] for key in start._puller.writing}

    # --- events ---

    def commit_ends(self) -> None:
        """The oldest commit under way is durable."""
        changes, token = self.commits.popleft()
        self.stored.apply(changes)
        if token:
            self.session.on_committed(token, self.clock)
        self.after()

    def flush_ends(self) -> None:
        """The oldest flush under way."""
        token, moments = self.ports.flushes.popleft()
        for disk, moment in zip(self.disks, moments, strict=True):
            disk.end_flush(moment)
        self.session.on_flushed(token, 0, self.clock)
        self.after()

    def read_ends(self, index: int) -> None:
        """Chunks were read."""
        volume, chunks, token = self.ports.reads.pop(index)
        cache = self.disks[volume].cache
        contents: list[ChunkContent] = [content(chunk, cache[chunk]) for chunk in chunks]
        self.session.on_chunks(token, 0, contents, self.clock)
        self.after()

    def disk_ends(self, index: int) -> None:
        """A slow disk has done one of its requests."""
        request = self.ports.at_disk.pop(index)
        disk = self.disks[request.volume]
        if request.op is Op.READ:
            disk.read(request)
        else:
            disk.write(request)
        self.session.on_local_done(request, 0, self.clock)
        self.after()

    def frame_arrives(self) -> None:
        """The next frame of the present link; or its end."""
        end = self.ports.link
        assert end is not None
        frame = end.inbox.popleft()
        if frame is None:
            self.link_lost()
            return
        self.session.on_frames(end.number, [arrival(frame)], self.clock)
        self.after()

    def link_lost(self) -> None:
        """It is noticed here."""
        end, self.ports.link = self.ports.link, None
        assert end is not None
        end.lose()
        self.session.on_link_lost(end.number, "cut", self.clock)
        self.after()

    def time_passes(self) -> None:
        """Until the next moment that the session waits for."""
        deadline = self.session.deadline()
        assert deadline is not None
        self.clock = max(self.clock, deadline)
        self.session.tick(self.clock)
        self.after()

    def waits(self) -> bool:
        """Whether it waits for a time that may come."""
        deadline = self.session.deadline()
        return deadline is not None and deadline - self.clock < NEVER / 2

    def submit(self, request: Request) -> None:
        """A host asks."""
        self.session.submit(request)
        self.after()

    def after(self) -> None:
        """After every event: what was put off; and the count of the link stays one of tickets."""
        self._world.touched.add(self.name)
        self.session.end_of_batch(self.clock)
        half = self.session.half
        while self.ports.given_back and isinstance(half, PrimaryHalf):
            self.session.submit(self.ports.given_back.popleft())
        if isinstance(half, PrimaryHalf) and type(half.path.seq) is int:
            half.path.seq = Seq(half.path.seq)

    # --- what a host or an operator can see ---

    def shows(self, volume: int, chunk: int) -> bool:
        """Whether a host could read this now."""
        return self.ports.serving and self.session.undisturbed(volume, chunk * CHUNK_BYTES, CHUNK_BYTES)

    def claims_all(self, epoch: int) -> bool:
        """Whether this is a secondary of that epoch that says that it lacks nothing."""
        half = self.session.half
        return (
            isinstance(half, SecondaryHalf)
            and self.session.epoch == epoch
            and all(each.record.consistent and each.clean for each in self.marks)
        )

    @property
    def has_no_past(self) -> bool:
        """Whether it tells of a volume that its ledger is new (BLANK)."""
        return any(each.record.blank for each in self.marks)

    @property
    def in_step(self) -> bool:
        """Whether it says that every answered write is at both sites."""
        half = self.session.half
        return isinstance(half, PrimaryHalf) and half.in_step

    def text(self) -> str:
        """For people."""
        disks = [disk.cache for disk in self.disks]
        if not self.up:
            return f"down, disks {disks}"
        half = self.session.half
        state = half.state.value if half is not None else "nothing"
        marks = [(sorted(each.record.intents), list(each.record.dirty)) for each in self.marks]
        permit = ", permit" if isinstance(half, PrimaryHalf) and half.path.permit else ""
        serves = ", serves" if self.ports.serving else ""
        return (
            f"{self.session.role.value if self.session.wanted else ''} {state}{permit}{serves}, disks {disks}, "
            f"intents and dirty {marks}, {len(self.commits)} commits, {len(self.ports.flushes)} flushes"
        )
