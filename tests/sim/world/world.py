"""Two sites, the wire between them, a controller and hosts: one thread, virtual time, one seed."""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.sim.world.agent import Agent
from tests.sim.world.arbiter import Arbiter
from tests.sim.world.controller import Controller
from tests.sim.world.delays import Steady
from tests.sim.world.disk import Disk
from tests.sim.world.history import History
from tests.sim.world.host import Host
from tests.sim.world.link import End, Wire
from tests.sim.world.observers import Observers
from tests.sim.world.scheduler import Scheduler
from tests.sim.world.site_ports import SitePorts
from tests.sim.world.trace import Trace

from bilocate.domain.arbiter import RowState
from bilocate.replication.limits import Limits

A, B = "az1", "az2"
SESSION = "group"
KIB = 1024

# Everything in a simulation is a little faster than in life.
QUICK = Limits(
    unanswered_bytes_max=1024 * KIB,
    intents_max=4,
    intents_ahead=0,
    resync_window_bytes=512 * KIB,
    heartbeat_seconds=0.1,
    heartbeat_timeout_seconds=0.5,
    resume_wait_seconds=0.1,
    restart_wait_seconds=0.5,
    arbiter_retry_seconds=0.1,
    quiesce_timeout_seconds=2.0,
    retry_seconds=0.1,
    retry_seconds_max=1.0,
    failover_hold_seconds=0.5,
)


class World:
    """All of it. `observers` may be set before anything happens."""

    def __init__(
        self,
        sizes: list[int],
        limits: Limits = QUICK,
        rng: Random | None = None,
        delays: Steady | None = None,
        trace: bool = False,
    ) -> None:
        self.sizes = sizes
        self.grown: dict[str, int] = {}  # by volume id, where a volume was grown
        self.limits = limits
        self.rng = rng or Random(0)
        self.delays = delays or Steady()
        self.trace = Trace(trace)
        self.scheduler = Scheduler(self.trace)
        self.history = History()
        self.observers: Observers = Observers()
        self.malformed = 0  # frames that an end called malformed: never, between two healthy ends
        self._names = 0
        self.arbiter = Arbiter(self.scheduler, self.delays.fate)
        self.wire = Wire(self.scheduler, self.delays.link, self.delays.burst)
        self.agents = {site: Agent(self, site) for site in (A, B)}
        for site, agent in self.agents.items():
            for volume, size in enumerate(sizes):
                volume_id = self.volume_id(volume, site)
                agent.disks[volume_id] = Disk(volume_id, size, volume)
        self.controller = Controller(self)

    def start(self) -> None:
        """Both processes start, and the controller makes the session."""
        for agent in self.agents.values():
            agent.start()
        self.controller.create(SESSION, A, B, list(range(len(self.sizes))), RowState.STALE)

    # --- names ---

    def new_name(self, what: str) -> str:
        """Unique."""
        self._names += 1
        return f"{what}-{self._names}"

    @staticmethod
    def volume_id(volume: int, site: str) -> str:
        """A pair's volume at a site."""
        return f"volume{volume}-{site}"

    def size_at(self, volume: int, site: str) -> int:
        """How large a volume is to be at a site: while it grows, the secondary's is ahead."""
        return self.grown.get(self.volume_id(volume, site), self.sizes[volume])

    def number_of(self, volume_id: str) -> int:
        """The number of the pair that a volume belongs to."""
        return int(volume_id.removeprefix("volume").partition("-")[0])

    def disk(self, volume: int, site: str) -> Disk:
        """The same as a disk."""
        return self.agents[site].disks[self.volume_id(volume, site)]

    def host(self, volume: int) -> Host:
        """A new host of a pair's volume."""
        return Host(self, volume)

    # --- what agents need of each other ---

    def connect(self, ports: SitePorts, peer_site: str) -> End | None:
        """Dial a site for a session: this side's end, or None when no connection came about."""
        peer = self.agents[peer_site]
        other = peer.sessions.get(ports.session_id) if peer.up else None
        if other is None or not self.wire.reaches(peer_site):
            return None
        mine, theirs = self.wire.connect(ports.agent.site, ports, peer_site, other)
        refusal = other.take_link(theirs, ports.agent.site)
        if refusal is not None:
            mine.close()
            theirs.close()
            ports.log("link_refused", reason=refusal)
            return None
        return mine

    def hello(self, site: str) -> None:
        """An agent has started, and says so to a controller. The small controller looks often enough without."""

    def site_died(self, site: str, deliver: Callable[[int], int], silent: bool) -> None:
        """Its connections go with it."""
        self.wire.site_died(site, deliver, silent)

    # --- for scenarios ---

    def run(self, seconds: float = 0.05) -> None:
        """Let time go by."""
        self.scheduler.run(seconds)

    def run_until(self, condition: Callable[[], bool], seconds: float = 30.0) -> bool:
        """Let time go by until something holds; whether it came to hold."""
        until = self.scheduler.now + seconds
        while not condition():
            if not self.scheduler.step(until):
                self.scheduler.now = until
                return condition()
        return True

    def told(self, site: str, session_id: str = SESSION) -> dict[str, Any]:
        """What a site tells of a session; empty while it knows none."""
        return self.agents[site].told(session_id) or {}

    def in_step(self, session_id: str = SESSION) -> bool:
        """Whether the primary's site says that the session is in step."""
        return self.agents[self.arbiter.rows[session_id].primary].in_step(session_id)
