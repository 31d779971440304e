"""fio's nbd engine, a load that is not ours: one job, and what its JSON says."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bilocate.cli.errors import CliError, OutOfReach

START_SECONDS = 60.0  # what fio may take beyond its running time
PERCENTILES = ("50.000000", "99.000000", "99.900000")


@dataclass(frozen=True)
class Load:
    """One job's figures. Latencies run from submission to completion as the client sees them."""

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


def run_fio(uri: str, options: Sequence[str], scratch: Path, seconds: float) -> dict[str, Any]:
    """Run one job on an NBD address; what fio's JSON says of it. It leaves files in `scratch`.

    :raises OutOfReach: when nobody serves there.
    :raises CliError: when fio is not there, can't do it, or met an error.
    """
    return run_jobs([uri], options, scratch, seconds)[0]


def run_jobs(
    uris: Sequence[str], options: Sequence[str], scratch: Path, seconds: float
) -> list[dict[str, Any]]:
    """The same job on each of these addresses at once, each over a connection of its own.

    :raises OutOfReach, CliError: as `run_fio`.
    """
    command = ["fio", "--output-format=json", "--eta=never"]
    for number, uri in enumerate(uris):
        command += [
            f"--name=bench{number}",
            "--ioengine=nbd",
            f"--uri={uri}",
            "--thread",
            "--refill_buffers=0",
            "--lat_percentiles=1",
            "--percentile_list=50:99:99.9",
            *options,
        ]
    try:
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, timeout=seconds + START_SECONDS, check=False
        )
    except FileNotFoundError:
        raise CliError("fio is not installed: install the package fio, and try again") from None
    except subprocess.TimeoutExpired:
        raise CliError(
            f"fio has not ended after {seconds + START_SECONDS:g} s: does the server hang?"
        ) from None
    said = done.stderr.strip() or done.stdout[-1000:]
    if "nbd_connect_uri" in done.stderr:
        raise OutOfReach(f"nobody serves {', '.join(uris)}: {said[-1000:]}")
    start = done.stdout.find("{")
    if done.returncode or start < 0:
        raise CliError(f"fio failed ({done.returncode}): {said[-1000:]}")
    jobs: list[dict[str, Any]] = json.loads(done.stdout[start:])["jobs"]
    for job in jobs:
        if job["error"]:
            raise CliError(f"fio met error {job['error']}: {said[-1000:]}")
    return jobs


def load_of(job: dict[str, Any], operation: str) -> Load:
    """What a job says of its reads ("read") or writes ("write").

    :raises CliError: when none was carried out.
    """
    told = job[operation]
    if not told["total_ios"] or not told["runtime"]:
        raise CliError(f"no {operation} came to its end: let it run for longer")
    latency = told["lat_ns"]
    p50, p99, p999 = (latency["percentile"][each] / 1000 for each in PERCENTILES)
    return Load(
        requests=told["total_ios"],
        bytes=told["io_bytes"],
        seconds=told["runtime"] / 1000,
        p50_us=p50,
        p99_us=p99,
        p999_us=p999,
        max_us=latency["max"] / 1000,
        cpu_seconds=(job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] / 1000,
    )
