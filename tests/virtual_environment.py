"""Virtual environments of the tests' own, below build/: for what is no part of the product and would weigh on it."""

import fcntl
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
BUILD = REPOSITORY / "build"
INSTALL_SECONDS = 280


@contextmanager
def being_made(name: str) -> Iterator[Path]:
    """The directory of an environment, while nobody else makes it."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once make one
        yield BUILD / name


def installed_once(directory: Path, note: str, wanted: Path, words: list[str], clear: bool = False) -> None:
    """Install unless `note` has what `wanted` says now; `clear` makes the environment anew before."""
    made = directory / note
    if made.exists() and made.read_text() == wanted.read_text():
        return
    if clear:
        venv.create(directory, with_pip=True, clear=True)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    done = subprocess.run([*pip, *words], capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, f"{directory.name} can't be installed: {done.stderr[-2000:]}"
    made.write_text(wanted.read_text())
