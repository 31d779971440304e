"""`bilocate up` and `bilocate down`: a whole installation on this machine."""

from typing import Annotated

import typer

from bilocate.cli import output, supervise
from bilocate.cli.errors import UsageProblem
from bilocate.cli.installation import api_address, configure
from bilocate.cli.layout import Layout
from bilocate.cli.options import RequiredStateDir


def up(
    state_dir: RequiredStateDir,
    api_port: Annotated[
        int | None,
        typer.Option(
            "--api-port", min=1, max=65535, help="Port of the API; a free one if not given. Kept afterwards."
        ),
    ] = None,
    sites: Annotated[
        str | None, typer.Option("--sites", help="Names of the sites; az1,az2 if not given. Kept afterwards.")
    ] = None,
    agents: Annotated[
        int | None,
        typer.Option(
            "--agents",
            min=1,
            max=64,
            help="Agents of each site, to use more cores; 1 if not given. Kept afterwards.",
        ),
    ] = None,
) -> None:
    """Start a controller and the agents of two sites, or what of them is not running.

    Everything is kept below DIR: configuration, key, volumes, logs, process ids. The next `up` finds it so.
    """
    layout = Layout.of(state_dir)
    with supervise.locked(layout):
        configure(layout, api_port, site_names(sites), agents)
        started = supervise.start_missing(layout)
        supervise.await_ready(layout)
    output.say(f"started: {', '.join(started)}" if started else "everything was running already", output.GOOD)
    print(f"API: {api_address(layout)}")
    print(f"Go on with:\n  source {layout.openrc}\n  bilocate status")


def down(state_dir: RequiredStateDir) -> None:
    """Stop the controller and all agents. Volumes and configuration stay; `up` goes on with them."""
    layout = Layout.of(state_dir)
    layout.require()
    with supervise.locked(layout):
        stopped = supervise.stop_all(layout)
    output.say(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def site_names(given: str | None) -> list[str] | None:
    """The names in a comma-separated list.

    :raises UsageProblem: when they can't be sites: two different ones are needed, fit for file names.
    """
    if given is None:
        return None
    names = [name.strip() for name in given.split(",")]
    if len(names) != 2 or len(set(names)) != 2:
        raise UsageProblem(
            f"--sites takes two different names joined by a comma, such as az1,az2; given: {given!r}."
        )
    for name in names:
        if (
            name in ("controller", "pids", "logs", "key")
            or not name.replace("-", "").isalnum()
            or name[0] == "-"
        ):
            raise UsageProblem(
                f"{name!r} can't be a site's name: letters, digits and hyphens, not a reserved word."
            )
    return names
