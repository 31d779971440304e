"""Interleaving: every repetition measures all servers, one after the other, each time beginning with another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measurement import Measurement, measure
from bench.server import Server
from bench.shapes import MIB, Shape


@dataclass(frozen=True)
class Effort:
    """How long and how often."""

    seconds: float
    repetitions: int
    warm_up_seconds: float
    working_set_bytes: int
    fill_block_bytes: int = MIB  # of the requests that fill the disks


Rounds = dict[str, list[Measurement]]  # name of a server → its measurements, one per repetition


def measure_shape(
    servers: Sequence[Server],
    shape: Shape,
    effort: Effort,
    scratch: Path,
    tell: Callable[[str], None],
) -> Rounds:
    """Warm every server up with this shape, then measure all of them `repetitions` times, interleaved."""
    for server in servers:
        measure(server, shape, effort.warm_up_seconds, effort.working_set_bytes, scratch, seed=1)
    rounds: Rounds = {server.name: [] for server in servers}
    for repetition in range(effort.repetitions):
        first = repetition % len(servers)
        for server in (*servers[first:], *servers[:first]):
            # The same blocks in the same order for all, others in the next repetition.
            seed = 1000 + repetition
            found = measure(server, shape, effort.seconds, effort.working_set_bytes, scratch, seed)
            rounds[server.name].append(found)
    for server in servers:
        iops = sorted(round(each.load.iops) for each in rounds[server.name])
        tell(f"  {shape.name:<14} {server.title:<24} IOPS {iops}")
    return rounds
