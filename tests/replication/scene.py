"""A world for scenarios: two sites in step, everything quick and steady, events held and let through by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.sim.checkers.watch import Watch
from tests.sim.world.agent import Agent
from tests.sim.world.disk import SECTOR, ZERO
from tests.sim.world.history import HostOp, writer_of
from tests.sim.world.host import Host
from tests.sim.world.scheduler import Event, Hold, Kind
from tests.sim.world.world import KIB, QUICK, SESSION, A, B, World

from bilocate.replication.records import VolumeRecord

SMALL = 320 * KIB + 512
EXTENT = 4096 * KIB
SECTORS_PER_CHUNK = 128
SECTORS_PER_EXTENT = EXTENT // SECTOR


class Scene:
    """One world, its checkers, and a host at each volume, connected at the primary."""

    def __init__(self, sizes: list[int], trace: bool = False, **limits: Any) -> None:
        self.world = World(sizes, limits=replace(QUICK, **limits), trace=trace)
        self.watch = Watch(self.world)
        self.world.start()
        self.hosts = [Host(self.world, volume) for volume in range(len(sizes))]

    @property
    def a(self) -> Agent:
        """The first site, primary at first."""
        return self.world.agents[A]

    @property
    def b(self) -> Agent:
        """The second site."""
        return self.world.agents[B]

    @property
    def host(self) -> Host:
        """The first volume's host."""
        return self.hosts[0]

    # --- time and events ---

    def run(self, seconds: float = 0.05) -> None:
        """Let time go by; short enough for no heartbeat to be missed."""
        self.world.run(seconds)

    def hold(self, kind: Kind, site: str = "", name: str = "") -> Hold:
        """Park such events."""
        return self.world.scheduler.hold(kind, site, name)

    def release(self, hold: Hold) -> None:
        """Let them through, those that were parked first."""
        self.world.scheduler.release(hold)

    @contextmanager
    def holding(self, kind: Kind, site: str = "", name: str = "") -> Iterator[None]:
        """Park such events within a block; they go on after it."""
        hold = self.hold(kind, site, name)
        try:
            yield
        finally:
            self.release(hold)

    def parked(self, kind: Kind, site: str = "", name: str = "") -> list[Event]:
        """What is parked, in order."""
        return self.world.scheduler.found(kind, site, name)

    def deliver(self, kind: Kind, site: str = "", name: str = "") -> None:
        """Let the first parked one happen now."""
        self.world.scheduler.deliver(self.parked(kind, site, name)[0])

    def drop(self, kind: Kind, site: str = "", name: str = "") -> None:
        """The first parked one never happens."""
        self.world.scheduler.drop(self.parked(kind, site, name)[0])

    def expire(self, kind: Kind, site: str = "", name: str = "") -> Event:
        """Who waits for the first parked one hears "unknown"; it stays parked, and may happen later."""
        event = self.parked(kind, site, name)[0]
        assert event.lost is not None
        event.lost()
        return event

    # --- sites ---

    def told(self, site: str, session_id: str = SESSION) -> dict[str, Any]:
        """What a site tells of the session."""
        return self.world.told(site, session_id)

    def state(self, site: str) -> str:
        """The state of the half at a site."""
        return str(self.told(site)["state"])

    def durable(self, site: str, volume: int = 0) -> VolumeRecord:
        """What a site's ledger holds of a volume."""
        return self.world.agents[site].ledger.volumes[self.world.volume_id(volume, site)]

    def part(self) -> None:
        """The link is lost at once at both ends, and no new one comes about."""
        self.world.wire.up = False
        self.world.wire.cut()
        self.run(0.01)

    def join(self) -> None:
        """The sites reach each other again."""
        self.world.wire.heal()

    def restart(self, site: str) -> None:
        """The process ends, with nothing of what was under way done, and starts again."""
        self.world.agents[site].kill()
        self.world.agents[site].start()

    def ask(self, site: str, name: str, epoch: int | None = None, attempt: int | None = None) -> list[object]:
        """Ask a site for precheck, release, quiesce or resume; what it answers is in the list once it does.

        Of an attempt newer than all before, unless one is named.
        """
        answers: list[object] = []
        known = self.world.arbiter.rows[SESSION].epoch if epoch is None else epoch
        number = self.world.arbiter.next_epoch() if attempt is None else attempt
        self.world.agents[site].step(SESSION, name, known, number, answers.append)
        return answers

    def connect(self, site: str = A) -> None:
        """All hosts connect at a site."""
        for host in self.hosts:
            assert host.connect(site), f"{site} does not serve volume {host.volume}"

    def connects(self, site: str) -> bool:
        """Whether the first host could connect there."""
        probe = Host(self.world, 0)
        return probe.connect(site)

    def row(self) -> str:
        """The state of the arbiter's row."""
        return self.world.arbiter.rows[SESSION].state.value

    def writer(self, site: str, sector: int, volume: int = 0) -> int:
        """Who wrote what a site's disk shows."""
        content = self.world.disk(volume, site).cache.get(sector, ZERO)
        return writer_of(volume, sector, content)

    # --- ends ---

    def wait(self, site: str, state: str, seconds: float = 10.0) -> None:
        """Until the half at a site is in this state."""
        assert self.world.run_until(lambda: self.told(site).get("state") == state, seconds), (
            f"{site} is {self.told(site).get('state')}, not {state}"
        )

    def wait_for(self, session_id: str, site: str, state: str) -> None:
        """The same of another session."""
        assert self.world.run_until(lambda: self.told(site, session_id).get("state") == state, 10.0), (
            f"{session_id} at {site} is {self.told(site, session_id).get('state')}, not {state}"
        )

    def until_answered(self, op: HostOp, seconds: float = 10.0) -> HostOp:
        """Until a host is answered without an error."""
        assert self.world.run_until(lambda: op.ok, seconds), f"request {op.number} is not answered"
        return op

    def until_in_step(self) -> None:
        """In step again, and equal."""
        assert self.world.run_until(self.world.in_step, 20.0), (self.told(A), self.told(B))
        self.run(0.1)
        self.check()

    def check(self) -> None:
        """In step and quiet: all promises that can be looked at now hold."""
        assert self.world.in_step()
        assert self.row() == "in_sync"
        self.watch.durable.check_all(self.world.arbiter.rows[SESSION].primary)
        self.watch.evidence.audit(SESSION)
        self.watch.evidence.equal("in step and quiet")
        assert not self.world.malformed


def in_step(sizes: list[int] | None = None, trace: bool = False, **limits: Any) -> Scene:
    """Both sites in step and quiet, hosts connected at A."""
    scene = Scene(sizes or [SMALL], trace, **limits)
    assert scene.world.run_until(scene.world.in_step, 5.0)
    scene.run(0.02)
    scene.connect()
    return scene


def solo(sizes: list[int] | None = None, trace: bool = False, **limits: Any) -> Scene:
    """A is solo: the sites do not reach each other."""
    scene = in_step(sizes, trace, **limits)
    scene.part()
    scene.wait(A, "solo")
    return scene
