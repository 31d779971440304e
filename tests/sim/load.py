"""Hosts that never rest: several requests at once, mostly on few places, so that they meet each other."""

from random import Random

from tests.sim.mix import HostMix
from tests.sim.world.disk import SECTOR
from tests.sim.world.history import HostOp
from tests.sim.world.host import Host
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import World

from bilocate.domain.geometry import CHUNK_BYTES, EXTENT_BYTES

SECTORS_PER_CHUNK = CHUNK_BYTES // SECTOR


BUSY_REQUESTS = 40  # then a host thinks longer: what comes later is seldom of another kind
TIRED_THINK_SECONDS = 0.2


class Load:
    """One host under load. It reconnects wherever it is served, at both sites in turn."""

    def __init__(self, world: World, mix: HostMix, rng: Random, requests_most: int | None = None) -> None:
        self.world = world
        self.host = Host(world, mix.volume)
        self.stopped = False
        self._rng = rng
        self._depth = mix.depth
        self._think = mix.think_seconds
        self._most = requests_most
        self._asked = 0
        self._reads = rng.choice((0.1, 0.3, 0.6))
        self._flushes = rng.choice((0.02, 0.1, 0.3))
        self._cold = rng.choice((0.0, 0.1, 0.3))
        self._known = world.sizes[mix.volume] // SECTOR
        self._places = self._hot_places(world.sizes[mix.volume])
        self.host.then = self._answered
        self.host.lost = self._reconnect_later
        self._reconnect_later()

    def _hot_places(self, size_bytes: int) -> list[int]:
        """First sectors: the start, a chunk's border, the last chunk, and somewhere."""
        sectors = size_bytes // SECTOR
        middle = self._rng.randrange(sectors // SECTORS_PER_CHUNK) * SECTORS_PER_CHUNK
        places = [0, SECTORS_PER_CHUNK - 4, sectors - 8, middle]
        border = EXTENT_BYTES // SECTOR
        if sectors > border:
            places.append(border - 4)  # writes over it need two intents
        return self._rng.sample(places, self._rng.randint(2, 4))

    # --- connections ---

    def _reconnect_later(self) -> None:
        delay = 0.02 + self._rng.random() * 0.06
        self.world.scheduler.after(delay, Kind.HOST, "host", "connect", self._reconnect)

    def _reconnect(self) -> None:
        if self.stopped:
            return
        sites = list(self.world.agents)
        self._rng.shuffle(sites)
        if any(self.host.connect(site) for site in sites):
            for _ in range(self._depth):
                self._ask_later()
        else:
            self._reconnect_later()

    # --- requests ---

    def _answered(self, op: HostOp) -> None:
        self._ask_later()

    def _ask_later(self) -> None:
        connection = self.host.connection

        def ask() -> None:
            if self.stopped or self.host.connection is not connection or connection is None:
                return
            if connection.busy():
                self._ask_later()
            else:
                self._ask()

        delay = self._rng.random() * self._think
        if self._asked > BUSY_REQUESTS or (self._most is not None and self._asked >= self._most):
            delay += TIRED_THINK_SECONDS
        self.world.scheduler.after(delay, Kind.HOST, "host", "ask", ask)

    def _ask(self) -> None:
        rng, host = self._rng, self.host
        self._asked += 1
        kind = rng.random()
        if kind < self._flushes:
            host.flush()
            return
        assert host.connection is not None
        sectors = host.connection.size_bytes // SECTOR
        first = rng.choice(self._places) + rng.randrange(4)
        if rng.random() < self._cold:
            first = rng.randrange(self._known)  # nobody writes there again soon: what is lost stays lost
        if sectors > self._known and rng.random() < 0.5:
            first += sectors - self._known  # it was extended
        most = sectors - first
        if most <= 0:  # what grew is smaller again where a site was left behind: never
            raise AssertionError(f"volume {host.volume} shrank to {sectors} sectors")
        count = min(most, rng.choice((1, 1, 2, 4, 8)))
        if rng.random() < 0.02:
            count = min(most, SECTORS_PER_CHUNK + 2)  # one whole chunk, and some of the next
        if kind < self._flushes + self._reads:
            host.read(first, count)
        elif rng.random() < 0.1:
            host.zero(first, count)
        else:
            host.write(first, count, fua=rng.random() < 0.1)
