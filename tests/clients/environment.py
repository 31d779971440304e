"""A virtual environment with the published OpenStack clients, made once below build/."""

import fcntl
import subprocess
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYPROJECT = REPOSITORY / "pyproject.toml"
DIRECTORY = REPOSITORY / "build" / "openstack-clients"
INSTALL_SECONDS = 280


def clients_environment() -> Path:
    """Its directory. It is made anew when the requirements have changed.

    Bilocate is in it as a user would add it, and is the code of this directory as it is now.
    """
    DIRECTORY.parent.mkdir(exist_ok=True)
    with (DIRECTORY.parent / "openstack-clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once make one
        _installed_once("installed.txt", REQUIREMENTS, ["--requirement", str(REQUIREMENTS)], clear=True)
        _installed_once("bilocate.txt", PYPROJECT, ["--editable", str(REPOSITORY)])
    return DIRECTORY


def _installed_once(note: str, wanted: Path, words: list[str], clear: bool = False) -> None:
    """Install unless `note` has what `wanted` says now."""
    made = DIRECTORY / note
    if made.exists() and made.read_text() == wanted.read_text():
        return
    if clear:
        venv.create(DIRECTORY, with_pip=True, clear=True)
    pip = [str(DIRECTORY / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    done = subprocess.run([*pip, *words], capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, f"the clients can't be installed: {done.stderr[-2000:]}"
    made.write_text(wanted.read_text())
