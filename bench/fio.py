"""The one client that everything is measured with: fio's nbd engine, as `bilocate bench` runs it too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.shapes import MIB, Shape
from bilocate.cli.errors import CliError
from bilocate.cli.fio import START_SECONDS, Load, load_of, run_fio, run_jobs

WRITE_SECONDS = 600.0


def run(uri: str, shape: Shape, seconds: float, working_set_bytes: int, scratch: Path, seed: int) -> Load:
    """Random requests over the working set for so long. Everyone gets the same job; only `uri` differs."""
    options = random_job(shape, seconds, working_set_bytes, seed)
    return load_of(_fio(uri, options, scratch, seconds), shape.operation)


def run_beside(
    uris: Sequence[str], shape: Shape, seconds: float, working_set_bytes: int, scratch: Path, seed: int
) -> float:
    """The same on all these addresses at once, one connection for each; requests per second of all together."""
    try:
        jobs = run_jobs(uris, random_job(shape, seconds, working_set_bytes, seed), scratch, seconds)
        return sum(load_of(job, shape.operation).iops for job in jobs)
    except CliError as error:
        raise BenchError(str(error)) from error


def random_job(shape: Shape, seconds: float, working_set_bytes: int, seed: int) -> list[str]:
    """The options of a job with random requests over a working set."""
    return [
        f"--rw=rand{shape.operation}",
        f"--bs={shape.block}",
        f"--iodepth={shape.depth}",
        f"--size={working_set_bytes}",
        "--time_based",
        f"--runtime={round(seconds * 1000)}ms",
        "--norandommap",  # without it fio spends time on what no server does
        *_drawn_by(seed),
    ]


def _drawn_by(seed: int) -> tuple[str, str]:
    """The same blocks in the same order for the same seed; by default fio draws the same for all seeds."""
    return "--randrepeat=0", f"--randseed={seed}"


def fill(uri: str, size_bytes: int, scratch: Path, block_bytes: int = MIB) -> None:
    """Write the whole working set once, in order, with content that no file system can make smaller.

    In requests of `block_bytes`: some file systems keep what they are given in pieces as large as it came, and are
    slower to write little into large ones.
    """
    options = ["--rw=write", f"--bs={block_bytes}", "--iodepth=8", f"--size={size_bytes}"]
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
        *_drawn_by(seed),
    ]
    _fio(uri, options, scratch, START_SECONDS)


def write_random(uri: str, size_bytes: int, block_bytes: int, count: int, scratch: Path, seed: int) -> Load:
    """Write so many random blocks, 16 under way."""
    options = [
        "--rw=randwrite",
        f"--bs={block_bytes}",
        "--iodepth=16",
        f"--size={size_bytes}",
        f"--number_ios={count}",
        "--norandommap",
        *_drawn_by(seed),
    ]
    return load_of(_fio(uri, options, scratch, WRITE_SECONDS), "write")


def _fio(uri: str, options: list[str], scratch: Path, seconds: float) -> dict[str, Any]:
    try:
        return run_fio(uri, options, scratch, seconds)
    except CliError as error:
        raise BenchError(str(error)) from error
