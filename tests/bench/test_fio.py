"""What fio makes of the benchmark's jobs."""

import subprocess
from pathlib import Path

from bench.shapes import MIB, Shape

from bench import fio


def blocks(log: Path, seed: int) -> list[int]:
    """Where the first five writes of a job go, on a device that takes everything."""
    job = fio.random_job(Shape("write", 4096, 1), 0.02, 64 * MIB, seed)
    command = ["fio", "--name=job", "--ioengine=null", *job, f"--write_iolog={log}"]
    subprocess.run(command, check=True, capture_output=True, cwd=log.parent, timeout=60)
    writes = [line.split() for line in log.read_text().splitlines() if " write " in line]
    log.unlink()
    return [int(words[-2]) for words in writes[:5]]


def test_a_repetition_writes_other_blocks_than_the_one_before(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = blocks(log, 1000)
    assert len(first) == 5
    assert blocks(log, 1000) == first
    assert blocks(log, 1001) != first
