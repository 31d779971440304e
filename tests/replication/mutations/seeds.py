"""Who of the simulation's checkers notices a broken rule, and after how many seeds."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SECONDS = 900


def first_noticed(place: Path, count: int, first: int = 1) -> str:
    """Run seeds against the core in `place`/src, until one breaks a promise: "P1 after 12", or "NOT in 300"."""
    environment = {**os.environ, "PYTHONPATH": f"{place / 'src'}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-m", "tests.sim", str(first), "--count", str(count), "--stop", "--core"]
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "it hangs"
    found = [line for line in done.stdout.splitlines() if line.startswith("seed ")]
    if not found:
        return f"NOT in {count}" if done.returncode == 0 else f"NOT run: {done.stderr[-200:]}"
    seed, kind, *rest = found[0].removeprefix("seed ").split(": ")
    return f"{rest[0] if kind == 'Violation' else kind} after {int(seed) - first + 1}"
