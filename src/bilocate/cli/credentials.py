"""Who asks, and where: from the OS_* environment or from the openrc of a state directory."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bilocate.cli.errors import UsageProblem
from bilocate.client import Login


@dataclass(frozen=True)
class Credentials(Login):
    """What the identity service wants to know. No secret appears in a representation."""

    ca_file: Path | None = None  # whom an https address is trusted by; None: those usually trusted


def find_credentials(state_dir: Path | None) -> Credentials:
    """The credentials of `state_dir` if one was named, else those of the environment.

    :raises UsageProblem: when something needed is missing; the message names it.
    """
    if state_dir is None:
        source, values = "the environment", dict(os.environ)
    else:
        openrc = state_dir / "openrc"
        source, values = str(openrc), read_openrc(openrc)
    needed = ["OS_AUTH_URL"] if values.get("OS_TOKEN") else ["OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD"]
    missing = [name for name in needed if not values.get(name)]
    if not (values.get("OS_PROJECT_ID") or values.get("OS_PROJECT_NAME")):
        missing.append("OS_PROJECT_NAME")
    if missing:
        raise UsageProblem(
            f"{', '.join(missing)} missing in {source}. Give --state-dir DIR, or `source DIR/openrc` first."
        )
    return _from_values(values)


def read_openrc(path: Path) -> dict[str, str]:
    """The variables an openrc exports, read without running it.

    :raises UsageProblem: when the file is not there or can't be read.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise UsageProblem(
            f"{path} is not there: `bilocate up --state-dir {path.parent}` makes it at its first start."
        ) from None
    except OSError as error:
        raise UsageProblem(f"{path} can't be read: {error.strerror}.") from error
    words = shlex.split(text, comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)


def _from_values(values: Mapping[str, str]) -> Credentials:
    def word(name: str, otherwise: str = "") -> str:
        return values.get(name) or otherwise  # `openstack` takes an empty one for none, too

    return Credentials(
        auth_url=word("OS_AUTH_URL"),
        username=word("OS_USERNAME"),
        password=word("OS_PASSWORD"),
        token="" if word("OS_PASSWORD") else word("OS_TOKEN"),
        project_name=word("OS_PROJECT_NAME"),
        project_id=word("OS_PROJECT_ID"),
        user_domain=word("OS_USER_DOMAIN_NAME", "Default"),
        project_domain=word("OS_PROJECT_DOMAIN_NAME", "Default"),
        user_domain_id=word("OS_USER_DOMAIN_ID"),
        project_domain_id=word("OS_PROJECT_DOMAIN_ID"),
        region=word("OS_REGION_NAME"),
        interface=word("OS_INTERFACE", "public"),
        ca_file=Path(word("OS_CACERT")) if word("OS_CACERT") else None,
    )
