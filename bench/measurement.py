"""One server under one shape of load for a few seconds, with the CPU time that it cost."""

import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import fio
from bench.processes import cpu_seconds, machine_busy_seconds
from bench.server import Server
from bench.shapes import Shape
from bilocate.cli.fio import Load

GB = 1e9


@dataclass(frozen=True)
class Measurement:
    """`elsewhere_cpu_seconds`: CPU time that neither fio nor the server used while it ran: other programs, the kernel's
    own threads, and what the machine's host took away."""

    load: Load
    server_cpu_seconds: float
    elsewhere_cpu_seconds: float
    seconds: float  # with fio's start, over which CPU time was counted

    @property
    def elsewhere_cpus(self) -> float:
        """How many CPUs were busy with something else, on average."""
        return self.elsewhere_cpu_seconds / self.seconds

    @property
    def cpu_seconds_per_gb(self) -> float:
        """Of all processes that serve."""
        return self.server_cpu_seconds / (self.load.bytes / GB)

    @property
    def cpu_seconds_per_100k(self) -> float:
        """For a hundred thousand requests."""
        return self.server_cpu_seconds / self.load.requests * 1e5

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            **asdict(self.load),
            "iops": self.load.iops,
            "mb_per_second": self.load.mb_per_second,
            "server_cpu_seconds": self.server_cpu_seconds,
            "elsewhere_cpus": self.elsewhere_cpus,
            "cpu_seconds_per_gb": self.cpu_seconds_per_gb,
            "cpu_seconds_per_100k": self.cpu_seconds_per_100k,
        }


def measure(
    server: Server, shape: Shape, seconds: float, working_set_bytes: int, scratch: Path, seed: int
) -> Measurement:
    """Measure; refuses when the server is not in the state it should be in, before or after.

    What earlier measurements left in the page cache is written out first: otherwise its writing would fall
    into somebody else's time.
    """
    _write_out(scratch)
    server.check()
    pids = list(server.pids())
    began, cpu, busy = time.monotonic(), cpu_seconds(pids), machine_busy_seconds()
    load = fio.run(server.uri, shape, seconds, working_set_bytes, scratch, seed)
    cpu, busy = cpu_seconds(pids) - cpu, machine_busy_seconds() - busy
    seconds = time.monotonic() - began
    server.check()
    return Measurement(load, cpu, max(0.0, busy - cpu - load.cpu_seconds), seconds)


def _write_out(directory: Path) -> None:
    """Write out everything of the file system that `directory` is on."""
    subprocess.run(["sync", "--file-system", str(directory)], check=True)
