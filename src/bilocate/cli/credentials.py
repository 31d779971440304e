"""Who asks, and where: from the OS_* environment or from the openrc of a state directory."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bilocate.cli.errors import UsageProblem


@dataclass(frozen=True)
class Credentials:
    """What the identity service wants to know. The password never appears in a representation."""

    auth_url: str
    username: str
    password: str = field(repr=False)
    project_name: str = ""
    project_id: str = ""
    user_domain: str = "Default"
    project_domain: str = "Default"
    region: str = ""  # empty: the catalogue's first
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
    missing = [name for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD") if not values.get(name)]
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
    return Credentials(
        auth_url=values["OS_AUTH_URL"].rstrip("/"),
        username=values["OS_USERNAME"],
        password=values["OS_PASSWORD"],
        project_name=values.get("OS_PROJECT_NAME", ""),
        project_id=values.get("OS_PROJECT_ID", ""),
        user_domain=values.get("OS_USER_DOMAIN_NAME", "Default"),
        project_domain=values.get("OS_PROJECT_DOMAIN_NAME", "Default"),
        region=values.get("OS_REGION_NAME", ""),
        ca_file=Path(values["OS_CACERT"]) if values.get("OS_CACERT") else None,
    )
