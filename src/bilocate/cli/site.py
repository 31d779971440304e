"""`bilocate site`: an agent in the foreground, or the agents that `up` keeps."""

from pathlib import Path
from typing import Annotated

import typer

from bilocate.cli import output, supervise
from bilocate.cli.errors import UsageProblem
from bilocate.cli.layout import Layout
from bilocate.cli.options import RequiredStateDir

app = typer.Typer(help="A site's agent: run it in the foreground, or start and kill one that `up` keeps.")

NameArgument = Annotated[str, typer.Argument(metavar="SITE", help="The site's name, such as az1.")]


@app.callback(invoke_without_command=True)
def site(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", exists=True, dir_okay=False, help="The agent's TOML configuration."),
    ] = None,
) -> None:
    """Run a site's agent in the foreground with --config, as a service manager wants it."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise UsageProblem("Give --config FILE, or one of the commands: start, kill.")
    from bilocate.service import run_site  # an agent's imports cost time that no other command should spend

    run_site(config)


@app.command()
def start(name: NameArgument, state_dir: RequiredStateDir) -> None:
    """Start a site's agent; comes back when it answers and has told the controllers that it is there."""
    layout = Layout.of(state_dir)
    layout.require_site(name)
    with supervise.locked(layout):
        daemon = layout.daemon(name)
        running = daemon.pid()
        if running is None:
            daemon.start()
        supervise.await_site(layout, name)
    output.say(f"{name} {'was running already' if running else 'is there'}", output.GOOD)


@app.command()
def kill(name: NameArgument, state_dir: RequiredStateDir) -> None:
    """Kill a site's agent without warning (SIGKILL), to see what happens when a site dies."""
    layout = Layout.of(state_dir)
    layout.require_site(name)
    with supervise.locked(layout):
        killed = layout.daemon(name).kill()
    output.say(f"{name} is killed" if killed else f"{name} was not running")
