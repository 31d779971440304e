"""Which of a peer's settings is the fastest here: tried out before it is measured, so that it gets its best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from bench import fio
from bench.peers.plain import Nbdkit, QemuNbd
from bench.peers.qemu_mirror import QemuMirror
from bench.peers.variants import MIRROR_VARIANTS, NBDKIT_THREADS, QEMU_NBD_AIO
from bench.place import Place
from bench.rounds import Effort
from bench.server import Server
from bench.shapes import WRITES, Shape

# One of each kind; a peer is run with one setting for all shapes, as in real life.
PROBES: tuple[Shape, ...] = (WRITES[1], WRITES[3], WRITES[4])
PASSES = 2

Maker = Callable[[], Server]
MAKERS: dict[str, Sequence[Callable[[Place], Server]]] = {
    QemuMirror.name: [partial(QemuMirror, variant=variant) for variant in MIRROR_VARIANTS],
    Nbdkit.name: [partial(Nbdkit, threads=threads) for threads in NBDKIT_THREADS],
    QemuNbd.name: [partial(QemuNbd, aio=aio) for aio in QEMU_NBD_AIO],
}


@dataclass(frozen=True)
class Tried:
    """One setting of a peer with what it reached: the best IOPS of each probe."""

    settings: str
    iops: tuple[float, ...]

    @property
    def score(self) -> float:
        """Geometric mean over the probes: no shape counts more because its numbers are larger."""
        return float(prod(self.iops) ** (1 / len(self.iops)))

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "settings": self.settings,
            "iops": dict(zip([p.name for p in PROBES], self.iops, strict=True)),
        }


def best(
    name: str, place: Place, effort: Effort, seconds: float
) -> tuple[Callable[[Place], Server], list[Tried]]:
    """The maker of the fastest variant, and what was tried, the fastest first."""
    makers = MAKERS[name]
    tried = [_try(maker, place, effort, seconds) for maker in makers]
    order = sorted(range(len(makers)), key=lambda number: tried[number].score, reverse=True)
    return makers[order[0]], [tried[number] for number in order]


def _try(maker: Callable[[Place], Server], place: Place, effort: Effort, seconds: float) -> Tried:
    server = maker(place)
    try:
        fio.fill(server.uri, effort.working_set_bytes, place.medium, effort.fill_block_bytes)
        reached = [
            [
                fio.run(server.uri, probe, seconds, effort.working_set_bytes, place.medium, seed).iops
                for probe in PROBES
            ]
            for seed in range(PASSES)
        ]
    finally:
        server.stop()
    return Tried(server.settings, tuple(map(max, zip(*reached, strict=True))))
