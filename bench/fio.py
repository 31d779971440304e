"""fio's nbd engine: the one client that everything is measured with, and what its JSON says."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.shapes import MIB, Shape

START_SECONDS = 60.0  # what fio may take beyond its running time
PERCENTILES = ("50.000000", "99.000000", "99.900000")


@dataclass(frozen=True)
class Load:
    """One fio run's figures. Latencies run from submission to completion as the client sees them."""

    requests: int
    bytes: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    cpu_seconds: float  # fio's own

    @property
    def iops(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def mb_per_second(self) -> float:
        """10^6 bytes per second."""
        return self.bytes / self.seconds / 1e6


def run(uri: str, shape: Shape, seconds: float, working_set_bytes: int, scratch: Path, seed: int) -> Load:
    """Random requests over the working set for so long. Everyone gets the same job; only `uri` differs."""
    options = [
        f"--rw=rand{shape.operation}",
        f"--bs={shape.block}",
        f"--iodepth={shape.depth}",
        f"--size={working_set_bytes}",
        "--time_based",
        f"--runtime={round(seconds * 1000)}ms",
        "--norandommap",  # without it fio spends time on what no server does
        f"--randseed={seed}",
    ]
    return _load(_fio(uri, options, scratch, seconds), shape.operation)


def fill(uri: str, size_bytes: int, scratch: Path) -> None:
    """Write the whole working set once, in order, with content that no file system can make smaller."""
    options = ["--rw=write", "--bs=1m", "--iodepth=8", f"--size={size_bytes}"]
    _fio(uri, options, scratch, START_SECONDS * (1 + size_bytes / (64 * MIB)) / 10)


def write_once(
    uri: str, size_bytes: int, block_bytes: int, total_bytes: int, scratch: Path, seed: int
) -> None:
    """Write `total_bytes` in random blocks, each at most once."""
    options = [
        "--rw=randwrite",
        f"--bs={block_bytes}",
        "--iodepth=16",
        f"--size={size_bytes}",
        f"--io_size={total_bytes}",
        f"--randseed={seed}",
    ]
    _fio(uri, options, scratch, START_SECONDS)


def _fio(uri: str, options: list[str], scratch: Path, seconds: float) -> dict[str, Any]:
    command = [
        "fio",
        "--name=bench",
        "--ioengine=nbd",
        f"--uri={uri}",
        "--thread",
        "--refill_buffers=0",
        "--lat_percentiles=1",
        "--percentile_list=50:99:99.9",
        "--output-format=json",
        "--eta=never",
        *options,
    ]
    # fio leaves files where it runs.
    done = subprocess.run(
        command, cwd=scratch, capture_output=True, text=True, timeout=seconds + START_SECONDS, check=False
    )
    start = done.stdout.find("{")
    if done.returncode or start < 0:
        raise BenchError(f"fio failed ({done.returncode}): {(done.stderr or done.stdout)[-1000:]}")
    job = json.loads(done.stdout[start:])["jobs"][0]
    if job["error"]:
        raise BenchError(f"fio met error {job['error']}: {done.stderr[-1000:]}")
    return dict(job)


def _load(job: dict[str, Any], operation: str) -> Load:
    told = job[operation]
    latency = told["lat_ns"]
    p50, p99, p999 = (latency["percentile"][each] / 1000 for each in PERCENTILES)
    seconds = told["runtime"] / 1000
    return Load(
        requests=told["total_ios"],
        bytes=told["io_bytes"],
        seconds=seconds,
        p50_us=p50,
        p99_us=p99,
        p999_us=p999,
        max_us=latency["max"] / 1000,
        cpu_seconds=(job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] / 1000,
    )
