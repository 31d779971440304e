"""How long things take: steady in scenarios, drawn from the seed in simulations."""

from collections.abc import Callable
from random import Random

from tests.sim.world.arbiter import Fate


class Steady:
    """Everything takes the same short time, disks none at all. A scenario changes what it needs."""

    def __init__(self) -> None:
        self.disk_seconds = 0.0  # 0: answered at once, from inside the call
        self.chunks_early = False
        self.batch_seconds = 0.0

    def disk(self) -> float:
        """Of a read or write; 0 for one that is done at once."""
        return self.disk_seconds

    def flush(self) -> float:
        """Of a flush."""
        return 0.001

    def chunks(self) -> float:
        """Of reading and hashing."""
        return 0.001

    def chunks_are_early(self) -> bool:
        """Whether chunks show the moment of the question (else that of the answer)."""
        return self.chunks_early

    def ledger(self) -> float:
        """Of a commit."""
        return 0.001

    def link(self) -> float:
        """Of a frame on its way."""
        return 0.001

    def dial(self) -> float:
        """Until the next try to connect."""
        return 0.01

    def call(self) -> float:
        """Of the controller's call on its way, and of its answer."""
        return 0.001

    def call_lost(self) -> bool:
        """Whether the controller's call, or its answer, gets lost."""
        return False

    def call_twice(self) -> bool:
        """Whether the controller's call arrives once more, later: sent again by something in between."""
        return False

    def fate(self) -> Fate:
        """What happens to an agent's call to the arbiter."""
        return Fate(0.001, 0.001)

    def again(self) -> float:
        """Until a call that arrives twice is there the second time."""
        return 0.0

    def gives_up(self) -> bool:
        """Whether an operation fails by itself behind its check, and is taken back."""
        return False

    def dawdle(self) -> float:
        """Of a controller between two steps of an operation."""
        return 0.0

    def batch(self) -> float:
        """Until the end of a batch of events; 0 for batches of one."""
        return self.batch_seconds

    def read(self) -> float:
        """What a host asks on a connection within so long is read, and taken, together; 0: each request by itself."""
        return 0.0

    def burst(self) -> float:
        """Frames that arrive within so long are read at once; 0: each by itself."""
        return 0.0


LATEST_SECONDS = 2.0
ANSWER_SECONDS = 0.5  # what was late is carried out within, and answered


class Drawn(Steady):
    """From a seed. `calm` puts an end to all that is lost."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self.calm = False
        self.clock: Callable[[], float] = lambda: 0.0  # the world's
        self.last_due = 0.0  # when the last of all that is late is there, or nobody waits for it any more
        self._slow_disk = rng.choice((0.0, 0.2, 0.8, 1.0))
        # The last: what was begun on one connection is not done when the next one is there.
        self._disk_scale = rng.choice((0.001, 0.001, 0.005, 0.02, 0.1))
        self._ledger_scale = rng.choice((0.001, 0.005, 0.02))
        self._link_scale = rng.choice((0.0005, 0.002, 0.01))
        self._lossy_calls = rng.choice((0.0, 0.1, 0.3))
        self._slow_steps = rng.choice((0.0, 0.1, 1.0))  # seconds
        self._undoes = rng.choice((0.0, 0.0, 0.3))
        self._lazy_batches = rng.choice((0.0, 0.3))
        self._bursts = rng.choice((0.0, 0.3))
        self._reads = rng.choice((0.0, 0.3, 0.8))

    def change(self, lossy_calls: float | None, slow_steps: float | None) -> None:
        """Where these are not to be as drawn."""
        self._lossy_calls = self._lossy_calls if lossy_calls is None else lossy_calls
        self._slow_steps = self._slow_steps if slow_steps is None else slow_steps

    def disk(self) -> float:
        rng = self._rng
        return rng.random() * self._disk_scale if rng.random() < self._slow_disk else 0.0

    def flush(self) -> float:
        return self._rng.random() * 2 * self._disk_scale

    def chunks(self) -> float:
        return self._rng.random() * self._disk_scale

    def chunks_are_early(self) -> bool:
        return self._rng.random() < 0.5

    def ledger(self) -> float:
        return self._rng.random() * self._ledger_scale

    def link(self) -> float:
        return self._rng.random() * self._link_scale

    def dial(self) -> float:
        return 0.01 + self._rng.random() * 0.05

    def call(self) -> float:
        if not self.calm and self._rng.random() < self._lossy_calls / 10:
            return self._late(LATEST_SECONDS)  # its caller has long given up
        return self._rng.random() * 0.01

    def call_lost(self) -> bool:
        return not self.calm and self._rng.random() < self._lossy_calls / 2

    def call_twice(self) -> bool:
        return not self.calm and self._rng.random() < self._lossy_calls / 5

    def fate(self) -> Fate:
        rng = self._rng
        execute, answer = rng.random() * 0.01, rng.random() * 0.01
        if self.calm or rng.random() >= self._lossy_calls:
            return Fate(execute, answer)
        kind = rng.random()
        if kind < 0.3:
            return Fate(None, 0.1, told=False)  # lost on its way there
        if kind < 0.6:
            return Fate(execute, 0.1, told=False, late=self._late_answer())  # lost, or late, on its way back
        # Its caller has long given up.
        return Fate(self._late(1.0), 0.1, told=False, late=self._late_answer())

    def _late_answer(self) -> float | None:
        return self._late(0.3) if self._rng.random() < 0.5 else None

    def again(self) -> float:
        return self._late(self._rng.choice((0.02, 1.0)))

    def _late(self, most: float) -> float:
        """At most so many seconds."""
        seconds = self._rng.random() * most
        self.last_due = max(self.last_due, self.clock() + seconds + ANSWER_SECONDS)
        return seconds

    def gives_up(self) -> bool:
        return not self.calm and self._rng.random() < self._undoes

    def dawdle(self) -> float:
        calm = self.calm or self._rng.random() < 0.5
        return 0.0 if calm else self._rng.random() * self._slow_steps

    def batch(self) -> float:
        return self._rng.random() * 0.002 if self._rng.random() < self._lazy_batches else 0.0

    def read(self) -> float:
        return self._rng.random() * 0.02 if self._rng.random() < self._reads else 0.0

    def burst(self) -> float:
        return self._rng.random() * 0.01 if self._rng.random() < self._bursts else 0.0
