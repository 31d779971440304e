"""A virtual environment with the published OpenStack clients, made once below build/."""

from pathlib import Path

from tests.virtual_environment import REPOSITORY, being_made, installed_once

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYPROJECT = REPOSITORY / "pyproject.toml"


def clients_environment() -> Path:
    """Its directory. It is made anew when the requirements have changed.

    Bilocate is in it as a user would add it, and is the code of this directory as it is now.
    """
    with being_made("openstack-clients") as directory:
        installed_once(
            directory, "installed.txt", REQUIREMENTS, ["--requirement", str(REQUIREMENTS)], clear=True
        )
        installed_once(directory, "bilocate.txt", PYPROJECT, ["--editable", str(REPOSITORY)])
    return directory
