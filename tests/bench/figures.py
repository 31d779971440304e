"""Measurements that were never made, for tests of what is told of them."""

from bench.measurement import Measurement
from bench.rounds import Effort
from bench.shapes import KIB, MIB, Shape
from bench.tables import Table

from bilocate.cli.fio import Load

SHAPE = Shape("write", 4 * KIB, 16)
LARGE = Shape("write", MIB, 8)
EFFORT = Effort(2.0, 3, 1.5, 128 * MIB)


def measured(iops: float, cpu_seconds: float = 0.5, block_bytes: int = 4096) -> Measurement:
    """So many requests per second, for two seconds."""
    requests = round(iops * 2)
    load = Load(requests, requests * block_bytes, 2.0, 100.0, 200.0, 300.0, 400.0, 1.0)
    return Measurement(load, cpu_seconds, 0.5, 2.0)


def table() -> Table:
    """Two replicated servers, one three times as fast; and one that is not replicated."""
    found = Table("tmpfs, connections over TCP", "tcp")
    found.settings = {"bilocate-replicated": "as `bilocate up` sets it up", "qemu-mirror": "aio=threads"}
    found.rounds[SHAPE] = {
        "bilocate-replicated": [measured(30_000), measured(33_000), measured(31_000)],
        "qemu-mirror": [measured(10_000), measured(11_000), measured(10_000)],
        "bilocate-unreplicated": [measured(70_000), measured(60_000), measured(80_000)],
    }
    found.rounds[LARGE] = {
        "bilocate-replicated": [measured(500, block_bytes=MIB)],
        "qemu-mirror": [measured(400, block_bytes=MIB)],
    }
    return found
