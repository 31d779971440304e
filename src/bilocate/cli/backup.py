"""`bilocate backup` and `bilocate restore`: the controllers' database. Volumes are not in it."""

from pathlib import Path
from typing import Annotated

import typer

from bilocate.cli import output
from bilocate.cli.errors import UsageProblem

ConfigOption = Annotated[
    Path, typer.Option("--config", exists=True, dir_okay=False, help="A controller's TOML configuration.")
]


def backup(
    config: ConfigOption,
    file: Annotated[Path, typer.Argument(help="The copy to be made; it holds secrets, and is made 0600.")],
) -> None:
    """Copy the controllers' database to a file, as it is at one moment. Controllers may run."""
    from bilocate.config import load_controller_config
    from bilocate.store.backup import write_backup

    write_backup(load_controller_config(config).database_url, file)
    output.say(f"copied to {file}", output.GOOD)


def restore(
    config: ConfigOption,
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True, dir_okay=False, help="A copy to put back first (SQLite); the present one is kept."
        ),
    ] = None,
    primary: Annotated[
        list[str] | None,
        typer.Option(
            "--primary",
            metavar="ID=SITE",
            help="Where production is, if the sites don't make it plain.",
        ),
    ] = None,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="End what only the sites know of. Volumes keep their data.",
        ),
    ] = False,
) -> None:
    """Take a restored database into use: ask all sites what is true now, and raise all epochs beyond theirs.

    All controllers are stopped, all sites' agents run. Refused, and nothing changed, where it is not clear.
    """
    from bilocate.service import run_restore  # its imports cost time that no other command should spend

    restored, kept = run_restore(config, file, _sites_named(primary or []), forget)
    if kept is not None:
        output.say(f"the database that was there is kept as {kept}")
    for group_id, site in restored.groups.items():
        moved = " (elsewhere than in the copy)" if group_id in restored.moved else ""
        stopped = (
            " (no site knows it: not replicated until you say sync)" if group_id in restored.stopped else ""
        )
        print(f"group {group_id}: production at {site}{moved}{stopped}")
    if restored.ended_operations:
        print(f"{restored.ended_operations} operations that were under way have ended as failed")
    output.say("the database is in use again: start the controllers, and log in anew", output.GOOD)


def _sites_named(given: list[str]) -> dict[str, str]:
    found = {}
    for each in given:
        session_id, equals, site = each.partition("=")
        if not (session_id and equals and site):
            raise UsageProblem(f"--primary takes ID=SITE, such as 5f0d…=az2; given: {each!r}")
        found[session_id] = site
    return found
