"""Everything that may go wrong, by name. A story draws which of it may happen in its seed."""

import errno
from collections.abc import Callable
from random import Random

from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import World

WHILE_SECONDS = 0.7


class Faults:
    """One random fault at a time; each ends by itself after a while, or with `heal`."""

    def __init__(self, world: World, rng: Random) -> None:
        self.world = world
        self.rng = rng
        self.healed = False
        self.kinds: dict[str, Callable[[], None]] = {
            "kill": self.kill,
            "kill both": self.kill_both,
            "power": self.power,
            "power both": self.power_both,
            "cut": self.cut,
            "partition": self.partition,
            "black hole": self.black_hole,
            "controller": self.controller,
            "disk": self.disk,
            "flush": self.flush,
            "ledger": self.ledger,
        }

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
            if not self.world.agents[site].up:
                self.world.agents[site].start()

        self._later(start)

    # --- the wire ---

    def cut(self) -> None:
        """Connections break; new ones come about at once."""
        rng = self.rng
        self.world.wire.cut(lambda n: rng.choice((0, n, rng.randint(0, n))), rng.random() * 0.05)

    def partition(self) -> None:
        """Connections break, and there are no new ones for a while."""
        self.cut()
        self.world.wire.up = False
        self._later(self.world.wire.heal)

    def black_hole(self) -> None:
        """Nothing reaches one site, or either; what was sent arrives late."""
        for site in self.rng.choice(([self._site()], list(self.world.agents))):
            self.world.wire.black_hole(site)
        self._later(self.world.wire.heal)

    def controller(self) -> None:
        """A site and the controller do not reach each other."""
        agent = self.world.agents[self._site()]
        agent.controller_in_reach = False

        def back() -> None:
            agent.controller_in_reach = True

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

    def flush(self) -> None:
        """Flushes of a volume fail, until its file is opened again."""
        disk = self.rng.choice(list(self.world.agents[self._site()].disks.values()))
        disk.failures.append(Failure("flush", errno.EIO))
        self._later(disk.failures.clear)

    # --- the end of it ---

    def heal(self) -> None:
        """Nothing is wrong any more. Disks whose flush failed are opened again, by a restart."""
        self.healed = True
        self.world.wire.heal()
        for agent in self.world.agents.values():
            agent.controller_in_reach = True
            broken = [disk for disk in agent.disks.values() if disk.flush_broken]
            for disk in agent.disks.values():
                disk.failures.clear()
            if broken:
                agent.kill(self.rng)
            if not agent.up:
                agent.start()

    def _site(self) -> str:
        return self.rng.choice(list(self.world.agents))

    def _later(self, run: Callable[[], None]) -> None:
        def unless_healed() -> None:
            if not self.healed:
                run()

        delay = self.rng.random() * WHILE_SECONDS
        self.world.scheduler.after(delay, Kind.FAULT, "world", "over", unless_healed)
