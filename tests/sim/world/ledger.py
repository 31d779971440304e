"""A site's ledger: commits become durable in order, after a while; a process that ends loses the rest."""

from collections import deque
from collections.abc import Callable, Sequence

from tests.sim.world.channel import Channel
from tests.sim.world.scheduler import Kind, Scheduler
from tests.sim.world.stored import Stored

from bilocate.replication.records import Change


class Ledger(Stored):
    """What is durable, and what is on its way there. It outlives the agent's process."""

    def __init__(self, scheduler: Scheduler, site: str) -> None:
        super().__init__()
        self._channel = Channel(scheduler, Kind.LEDGER, site)
        self._under_way: deque[tuple[Change, ...]] = deque()
        self.lost = False  # it could not be read when its agent last started (rule 17)
        self.rotten = False  # a bit of it has flipped: the next start finds that

    def commit(self, delay: float, changes: Sequence[Change], committed: Callable[[], None]) -> None:
        """Make the changes durable together, behind all earlier ones."""
        kept = tuple(changes)
        self._under_way.append(kept)

        def run() -> None:
            self._under_way.popleft()
            self.apply(kept)
            committed()

        self._channel.put(delay, kept[0].__class__.__name__ if kept else "nothing", kept, run)

    def process_ended(self, survive: Callable[[int], int]) -> None:
        """`survive(n)`: how many of n commits under way were durable all the same, though nobody was told."""
        self._channel.take_all()
        count = survive(len(self._under_way))
        for _ in range(count):
            self.apply(self._under_way.popleft())
        self._under_way.clear()

    def lose(self) -> None:
        """Its files are gone."""
        self.volumes.clear()
        self.sessions.clear()
        self.items.clear()
        self.lost, self.rotten = True, False
