"""Everything that may go wrong, by name. A story draws which of it may happen in its seed."""

import errno
from collections.abc import Callable
from random import Random

from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import World


class Faults:
    """One random fault at a time; each ends by itself after a while, or with `heal`."""

    def __init__(self, world: World, rng: Random, while_seconds: float) -> None:
        self.world = world
        self._while_seconds = while_seconds
        self.rng = rng
        self.healed = False
        self._aim = ""  # the site that a fault is to strike; else any
        self._away = ""  # the site that comes back only in the healed world
        self.kinds: dict[str, Callable[[], None]] = {
            "kill": self.kill,
            "kill both": self.kill_both,
            "power": self.power,
            "power both": self.power_both,
            "pause": self.pause,
            "clock": self.clock,
            "away": self.away,
            "cut": self.cut,
            "half cut": self.half_cut,
            "partition": self.partition,
            "black hole": self.black_hole,
            "isolate": self.isolate,
            "controller": self.controller,
            "disk": self.disk,
            "full": self.full,
            "flush": self.flush,
            "ledger": self.ledger,
            "rot": self.rot,
        }

    def strike(self, kind: str, site: str = "") -> None:
        """One of these kinds, at this site where it is of one."""
        self._aim = site
        try:
            self.kinds[kind]()
        finally:
            self._aim = ""

    # --- processes and machines ---

    def kill(self) -> None:
        """A process ends."""
        self._kill(self._site())

    def kill_both(self) -> None:
        """Both do."""
        for site in self.world.agents:
            self._kill(site)

    def power(self) -> None:
        """A machine loses power."""
        self._power(self._site())

    def power_both(self) -> None:
        """Both do."""
        for site in self.world.agents:
            self._power(site)

    def ledger(self) -> None:
        """A process ends and its ledger is gone, while the other site has what is needed."""
        site = self._site()
        agent = self.world.agents[site]
        if agent.up and not any(other.ledger.lost for other in self.world.agents.values()):
            agent.kill(self.rng)
            agent.ledger.lose()
            self._start_later(site)

    def rot(self) -> None:
        """A bit of the ledger's file flips. Nobody reads it before the next start, which finds that."""
        agent = self.world.agents[self._site()]
        if not any(other.ledger.lost or other.ledger.rotten for other in self.world.agents.values()):
            agent.ledger.rotten = True

    def pause(self) -> None:
        """A process is stopped for a while: longer or shorter than others wait for it."""
        agent = self.world.agents[self._site()]
        agent.stop()
        self._later(agent.go_on)

    def clock(self) -> None:
        """A site's clock is ahead at once, as after its machine was suspended."""
        agent = self.world.agents[self._site()]
        if agent.up:
            agent.clock_jumps(self.rng.choice((0.05, 0.5, 3.0)) * self.rng.random())

    def away(self) -> None:
        """A site is gone, or cut off from everything but its hosts, until everything is healed: whatever happens
        meanwhile, it comes back with what it knew."""
        if self._away:
            return
        self._away = site = self._site()
        agent = self.world.agents[site]
        if self.rng.random() < 0.5:
            agent.kill(self.rng)
        else:
            self.cut()
            self.world.wire.up = False
            agent.controller_in_reach = False

    def _kill(self, site: str) -> None:
        if self.world.agents[site].up:
            self.world.agents[site].kill(self.rng)
            self._start_later(site)

    def _power(self, site: str) -> None:
        agent = self.world.agents[site]
        if agent.up:
            hard = self.rng.random() < 0.5  # everything that was not flushed is gone
            agent.cut_power(self.rng, (lambda n: 0) if hard else None)
            self._start_later(site)

    def _start_later(self, site: str) -> None:
        def start() -> None:
            if not self.world.agents[site].up and site != self._away:
                self.world.agents[site].start()

        self._later(start)

    # --- the wire ---

    def cut(self) -> None:
        """Connections break; new ones come about at once."""
        rng = self.rng
        self.world.wire.cut(lambda n: rng.choice((0, n, rng.randint(0, n))), rng.random() * 0.05)

    def half_cut(self) -> None:
        """One site's connections break; the other site does not hear of it before it sends something."""
        rng = self.rng
        self.world.wire.cut(lambda n: rng.choice((0, n, rng.randint(0, n))), 0.0, self._site())

    def partition(self) -> None:
        """Connections break, and there are no new ones for a while."""
        self.cut()
        self.world.wire.up = False
        self._later(self._heal_wire)

    def isolate(self) -> None:
        """A site reaches neither its peer nor the controller: only its hosts."""
        agent = self.world.agents[self._site()]
        for site in self.world.agents:
            self.world.wire.black_hole(site)
        agent.controller_in_reach = False

        def back() -> None:
            self._heal_wire()
            agent.controller_in_reach = self._away != agent.site

        self._later(back)

    def _heal_wire(self) -> None:
        self.world.wire.heal()
        if self._away:
            self.world.wire.up = False

    def black_hole(self) -> None:
        """Nothing reaches one site, or either; what was sent arrives late."""
        for site in self.rng.choice(([self._site()], list(self.world.agents))):
            self.world.wire.black_hole(site)
        self._later(self._heal_wire)

    def controller(self) -> None:
        """A site and the controller do not reach each other."""
        agent = self.world.agents[self._site()]
        agent.controller_in_reach = False

        def back() -> None:
            agent.controller_in_reach = self._away != agent.site

        self._later(back)

    # --- disks ---

    def disk(self) -> None:
        """Writes or reads of a part of a volume fail."""
        rng = self.rng
        disk = rng.choice(list(self.world.agents[self._site()].disks.values()))
        first = rng.choice((0, rng.randrange(disk.size_bytes)))
        what = Failure(
            rng.choice(("write", "write", "read")), rng.choice((errno.EIO, errno.ENOSPC)), first, first + 4096
        )
        disk.failures.append(what)
        self._later(disk.failures.clear)

    def full(self) -> None:
        """A site's file system is full: writes to all its volumes fail."""
        for disk in self.world.agents[self._site()].disks.values():
            disk.failures.append(Failure("write", errno.ENOSPC))
            self._later(disk.failures.clear)

    def flush(self) -> None:
        """Flushes of a volume fail, until its file is opened again."""
        disk = self.rng.choice(list(self.world.agents[self._site()].disks.values()))
        disk.failures.append(Failure("flush", errno.EIO))
        self._later(disk.failures.clear)

    # --- the end of it ---

    def heal(self) -> None:
        """Nothing is wrong any more. Disks whose flush failed are opened again, by a restart."""
        self.healed = True
        self._away = ""
        self.world.wire.heal()
        for agent in self.world.agents.values():
            agent.controller_in_reach = True
            agent.go_on()
            broken = [disk for disk in agent.disks.values() if disk.flush_broken]
            for disk in agent.disks.values():
                disk.failures.clear()
            if broken:
                agent.kill(self.rng)
            if not agent.up:
                agent.start()

    def _site(self) -> str:
        return self._aim or self.rng.choice(list(self.world.agents))

    def _later(self, run: Callable[[], None], seconds: float = 0.0) -> None:
        def unless_healed() -> None:
            if not self.healed:
                run()

        delay = self.rng.random() * (seconds or self._while_seconds)
        self.world.scheduler.after(delay, Kind.FAULT, "world", "over", unless_healed)
