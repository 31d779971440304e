"""The ratios to reach, by shape: what is compared with what."""

from dataclasses import dataclass

from bench.own.servers import OwnReplicated, OwnUnreplicated
from bench.peers.plain import Nbdkit, QemuNbd
from bench.peers.qemu_mirror import QemuMirror
from bench.shapes import Shape


@dataclass(frozen=True)
class Comparison:
    """`ours` has so many times the requests per second of `theirs`; None where there is no aim."""

    ours: str
    theirs: str
    aim: float | None


def comparisons(shape: Shape) -> list[Comparison]:
    """What is compared for a shape, in the order of the report."""
    plain = [
        Comparison(OwnUnreplicated.name, Nbdkit.name, 1.0),
        Comparison(OwnUnreplicated.name, QemuNbd.name, None),
    ]
    if shape.operation == "read":
        return plain
    return [
        Comparison(OwnReplicated.name, QemuMirror.name, 3.0 if shape.depth >= 8 else 1.3),
        Comparison(OwnReplicated.name, OwnUnreplicated.name, 0.5 if shape.depth >= 16 else None),
        *plain,
    ]
