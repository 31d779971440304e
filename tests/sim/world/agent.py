"""A small stand-in for a site's agent: a process that holds sessions and volumes, and the machine under it."""

from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING, Any

from tests.sim.world.connection import Connection
from tests.sim.world.disk import Disk
from tests.sim.world.ledger import Ledger
from tests.sim.world.scheduler import Kind
from tests.sim.world.site_ports import SitePorts
from tests.sim.world.volume import SiteVolume

from bilocate.domain.arbiter import Ask, Refusal, Row
from bilocate.domain.errors import BilocateError
from bilocate.replication.marks import Marks
from bilocate.replication.records import PutSiteItem, Role, VolumeRecord
from bilocate.replication.session import Session
from bilocate.replication.wanted import NotPossibleNow, OlderWanted, Wanted

if TYPE_CHECKING:
    from tests.sim.world.world import World

Done = Callable[[BilocateError | None], None]
Told = Callable[[dict[str, Any] | BilocateError], None]


class UnknownHere(BilocateError):
    """The agent has no such session or volume."""

    code = "unknown"


class Agent:
    """One site. `up` while its process runs; its ledger and disks outlive that."""

    def __init__(self, world: "World", site: str) -> None:
        self.world = world
        self.site = site
        self.ledger = Ledger(world.scheduler, site)
        self.disks: dict[str, Disk] = {}
        self.boot_id = world.new_name(f"boot-{site}")
        self.refused: set[str] = set()  # attachments, durably
        self.attachments: set[str] = set()  # all that were ever used here
        self.controller_in_reach = True
        self.up = False
        self.stopped = False  # by SIGSTOP: it is there, and does nothing
        self.ahead_seconds = 0.0  # what its clock has jumped by
        self.instance = ""
        self.volumes: dict[str, SiteVolume] = {}
        self.sessions: dict[str, SitePorts] = {}
        self._taken: set[SiteVolume] = set()  # by a call that is being carried out

    @property
    def now(self) -> float:
        """What its monotonic clock says: it may jump ahead, as in a machine that was suspended; never back."""
        return self.world.scheduler.now + self.ahead_seconds

    @property
    def reachable(self) -> bool:
        """Whether the controller and this process reach each other now."""
        return self.up and not self.stopped and self.controller_in_reach

    # --- life and death ---

    def start(self) -> None:
        """A process starts: everything it knows comes from the ledger."""
        assert not self.up
        self.up = True
        self.instance = self.world.new_name(f"process-{self.site}")
        self._note("process starts", self.instance)
        if self.ledger.rotten:
            self._note("its ledger is damaged", "moved aside, begun anew")
            self.ledger.lose()
        records, sessions = self.ledger.load()
        for volume_id, disk in self.disks.items():
            self.volumes[volume_id] = SiteVolume(disk, Marks(self._record_of(disk, records)))
        self.ledger.lost = False
        self.refused = set(self.ledger.items.get("refused", "").split())
        for session_id, record in sessions.items():
            ports = self._new_session(session_id)
            wanted = Wanted.from_text(record.wanted)
            volumes = [self.volumes[member.volume_id] for member in wanted.members]
            ports.session.restore(record, [volume.marks for volume in volumes], self.now)
            if not ports.session.stopped:
                self._carry(ports)
        self.world.observers.started(self.site)
        self.world.hello(self.site)

    def _record_of(self, disk: Disk, records: dict[str, VolumeRecord]) -> VolumeRecord:
        record = records.get(disk.volume_id)
        if record is None:
            # A disk that the ledger does not know: new, or the ledger was lost (rule 17).
            lost = self.ledger.lost
            size_bytes = self.world.size_at(self.world.number_of(disk.volume_id), self.site)
            record = VolumeRecord(disk.volume_id, size_bytes, blank=lost, consistent=not lost)
            self.ledger.apply([Marks(record).put()])
        return record

    def kill(self, rng: Random | None = None, machine: bool = False) -> None:
        """The process ends now. `machine`: with its machine, so that nobody is told.

        Without `rng`: what was under way never happened.
        """
        if not self.up:
            return
        self._note("machine ends" if machine else "process ends", self.instance)
        if self.stopped:  # it can be killed as well: calls that it had not taken are lost
            self.stopped = False
            self.world.scheduler.thaw(self.site, lost=Kind.CALL)
        self.up = False
        some = _some(rng)
        for ports in self.sessions.values():
            ports.die()
            if rng is not None:
                for disk, request in ports.at_disk.values():
                    disk.tear(request.offset, request.length, request.payload, rng)
        self.ledger.process_ended(some)
        volumes, self.volumes, self.sessions = self.volumes, {}, {}
        self._taken.clear()
        for volume in volumes.values():
            volume.disconnect("the agent's process ended")
        for disk in self.disks.values():
            disk.process_ended()
        self.world.site_died(self.site, some, machine)
        self.world.observers.died(self.site)

    def cut_power(self, rng: Random | None = None, keep: Callable[[int], int] | None = None) -> None:
        """The machine loses power. Without `rng` and `keep`: everything not flushed is gone."""
        self.kill(rng, machine=True)
        choose = keep or _some(rng)
        lost = [disk.power_cut(choose) for disk in self.disks.values()]
        self.boot_id = self.world.new_name(f"boot-{self.site}")
        self._note("power cut", "unflushed writes are gone" if any(lost) else "nothing is gone")
        self.world.observers.power_cut(self.site, any(lost))

    def stop(self) -> None:
        """SIGSTOP: nothing happens here any more, connections stay, what comes in waits."""
        if self.up and not self.stopped:
            self._note("process stopped", self.instance)
            self.stopped = True
            self.world.scheduler.freeze(self.site)

    def go_on(self) -> None:
        """SIGCONT."""
        if self.stopped:
            self._note("process goes on", self.instance)
            self.stopped = False
            self.world.scheduler.thaw(self.site)

    def clock_jumps(self, seconds: float) -> None:
        """Its monotonic clock is ahead from now on."""
        self._note("clock jumps by", f"{seconds:.3f} s")
        self.ahead_seconds += seconds
        for ports in self.sessions.values():
            ports.clock_jumped()

    # --- sessions ---

    def _new_session(self, session_id: str) -> SitePorts:
        ports = SitePorts(self, session_id)
        ports.session = Session(session_id, self.site, self.instance, self.boot_id, ports, self.world.limits)
        self.sessions[session_id] = ports
        return ports

    def _carry(self, ports: SitePorts) -> None:
        """The session's volumes are its own from now on; what waited goes to it."""
        for index, volume in enumerate(ports.volumes):
            volume.carrier, volume.index = ports, index
        for volume in list(ports.volumes):
            volume.resubmit()
        ports.after()

    def put_session(self, session_id: str, wanted: Wanted, done: Done) -> None:
        """As PUT /v1/sessions/{id}: `done` once what was put is persisted, or refused.

        Other sessions that carry one of its volumes let go first.
        """
        ports = self.sessions.get(session_id)
        try:
            volumes = self._volumes_of(session_id, wanted)
        except BilocateError as error:
            done(error)
            return
        if ports is not None and wanted.epoch <= ports.session.epoch:
            self._put(ports, wanted, volumes, done)
            return
        others = {v.carrier for v in volumes if v.carrier is not None and v.carrier is not ports}
        touched = {*volumes, *(v for each in (*others, ports) if each is not None for v in each.volumes)}
        if touched & self._taken:
            done(NotPossibleNow("busy", "its volumes are on their way to another session"))
            return
        self._taken |= touched  # calls about the same volumes are carried out one after the other
        ports = ports or self._new_session(session_id)
        self._let_go(others, lambda: self._put_newer(ports, wanted, volumes, touched, done))

    def _volumes_of(self, session_id: str, wanted: Wanted) -> list[SiteVolume]:
        for member in wanted.members:
            volume = self.volumes.get(member.volume_id)
            if volume is None:
                raise UnknownHere(member.volume_id)
            known = volume.marks.record.max_epoch
            if known > wanted.epoch:
                raise OlderWanted(session_id, "epoch", wanted.epoch, known)
            # Durable, and zeros.
            volume.disk.size_bytes = max(volume.disk.size_bytes, member.size_bytes)
        return [self.volumes[member.volume_id] for member in wanted.members]

    def _put_newer(
        self,
        ports: SitePorts,
        wanted: Wanted,
        volumes: list[SiteVolume],
        touched: set[SiteVolume],
        done: Done,
    ) -> None:
        def persisted(error: BilocateError | None) -> None:
            self._later(lambda: self._carry(ports))
            over(error)

        def over(error: BilocateError | None) -> None:
            self._taken -= touched
            done(error)

        before = [volume for volume in ports.volumes if volume.carrier is ports]
        if self._put(ports, wanted, volumes, persisted, over):
            for volume in (*volumes, *before):
                volume.carrier = None  # requests wait until the new half is there
            if wanted.role is Role.SECONDARY:  # rule 2, also of volumes that another session let go for it
                for volume in volumes:
                    volume.disconnect("this site is the secondary")

    def _put(
        self,
        ports: SitePorts,
        wanted: Wanted,
        volumes: list[SiteVolume],
        done: Done,
        refused: Done | None = None,
    ) -> bool:
        marks = [volume.marks for volume in volumes]
        try:
            ports.session.put(wanted, marks, self.now, done)
        except BilocateError as error:
            (refused or done)(error)
            return False
        finally:
            ports.after()
        return True

    def _let_go(self, others: set[SitePorts], then: Callable[[], None]) -> None:
        waiting = set(others)

        def gone(ports: SitePorts) -> None:
            waiting.discard(ports)
            if not waiting:
                self._later(then)

        for ports in others:
            for volume in ports.volumes:
                if volume.carrier is ports:
                    volume.carrier = None  # requests wait from now on
            ports.session.let_go(self.now, lambda ports=ports: gone(ports))  # type: ignore[misc]
            ports.after()
        if not others:
            then()

    def delete_session(self, session_id: str, epoch: int, done: Done) -> None:
        """As DELETE /v1/sessions/{id}."""
        ports = self.sessions.get(session_id)
        if ports is None:
            done(None)
            return
        touched = set(ports.volumes)
        if touched & self._taken:
            done(NotPossibleNow("busy", "its volumes are on their way to another session"))
            return
        self._taken |= touched

        def ended(error: BilocateError | None) -> None:
            self._taken -= touched
            if error is None:
                for volume in touched:
                    if volume.carrier is ports:
                        volume.carrier = None
                ports.die()
                self.sessions.pop(session_id, None)
            done(error)

        try:
            ports.session.end(epoch, self.now, ended)
        except BilocateError as error:
            ended(error)
        ports.after()

    def step(self, session_id: str, name: str, epoch: int, attempt: int, done: Told) -> None:
        """As POST /v1/sessions/{id}/precheck|release|quiesce|resume."""
        ports = self.sessions.get(session_id)
        if ports is None:
            done(UnknownHere(session_id))
            return

        def answered(answer: dict[str, Any] | NotPossibleNow) -> None:
            done(answer)

        try:
            getattr(ports.session, name)(epoch, attempt, self.now, answered)
        except BilocateError as error:
            done(error)
        ports.after()

    def told(self, session_id: str) -> dict[str, Any] | None:
        """As GET /v1/sessions/{id}."""
        ports = self.sessions.get(session_id)
        if ports is None or ports.session.wanted is None:
            return None
        return ports.session.told(self.now)

    def in_step(self, session_id: str) -> bool:
        """The `in_step` of what is told; asked so often that the rest would cost too much."""
        ports = self.sessions.get(session_id)
        half = ports.session.half if ports is not None and ports.session.wanted is not None else None
        return half is not None and half.in_step

    # --- hosts ---

    def connect(self, volume_id: str, attachment: str, closed: Callable[[str], None]) -> Connection | None:
        """A host's connection; None when the site does not serve the volume to this attachment now."""
        volume = self.volumes.get(volume_id)
        if not self.up or self.stopped:
            return None
        if volume is None or volume.carrier is None or not volume.carrier.serving:
            return None
        if attachment in self.refused:
            return None
        self.attachments.add(attachment)
        return Connection(self, volume, attachment, closed)

    def refuse_attachments(self, volumes: Iterable[SiteVolume]) -> None:
        """OLD MEMORY: all that were ever used here, durably."""
        self.refused |= self.attachments
        item = PutSiteItem("refused", " ".join(sorted(self.refused)))
        self.ledger.commit(self.world.delays.ledger(), [item], lambda: None)
        self.world.observers.refused(self.site, [self.world.number_of(each.volume_id) for each in volumes])

    # --- the controller ---

    def ask_arbiter(
        self, session_id: str, ask: Ask, answered: Callable[[Row | Refusal | None], None]
    ) -> None:
        """One call, if the controller is in reach; else nobody knows."""
        if self.controller_in_reach:
            self.world.arbiter.ask(self.site, session_id, ask, answered)
        else:
            self.world.scheduler.after(0.05, Kind.ANSWER, self.site, "out of reach", lambda: answered(None))

    # --- inside ---

    def _later(self, run: Callable[[], None]) -> None:
        instance = self.instance

        def still() -> None:
            if self.up and self.instance == instance:
                run()

        self.world.scheduler.after(0.0, Kind.TIMER, self.site, "carry", still)

    def _note(self, what: str, detail: object) -> None:
        if self.world.trace.on:
            self.world.trace.add(self.world.scheduler.now, self.site, f"** {what} {detail}")


def _some(rng: Random | None) -> Callable[[int], int]:
    """How many of n: none, or as the seed says; none and all are likelier than their share."""
    if rng is None:
        return lambda n: 0

    def choose(n: int) -> int:
        return rng.choice((0, n, rng.randint(0, n)))

    return choose
