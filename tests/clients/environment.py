"""A virtual environment with the published OpenStack clients, made once below build/."""

import fcntl
import subprocess
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
DIRECTORY = REPOSITORY / "build" / "openstack-clients"
INSTALL_SECONDS = 280


def clients_environment() -> Path:
    """Its directory. It is made anew when the requirements have changed."""
    DIRECTORY.parent.mkdir(exist_ok=True)
    with (DIRECTORY.parent / "openstack-clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once make one
        wanted = REQUIREMENTS.read_text()
        made = DIRECTORY / "installed.txt"
        if not made.exists() or made.read_text() != wanted:
            venv.create(DIRECTORY, with_pip=True, clear=True)
            pip = [str(DIRECTORY / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
            done = subprocess.run(
                [*pip, "--requirement", str(REQUIREMENTS)],
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
            )
            assert done.returncode == 0, f"the clients can't be installed: {done.stderr[-2000:]}"
            made.write_text(wanted)
    return DIRECTORY
