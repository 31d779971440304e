"""The `bilocate` command: puts the nouns together and turns failures into messages and exit codes."""

from typing import Any

import typer
from typer.core import TyperGroup

from bilocate import __version__
from bilocate.cli import backup, bench, controller, group, keystone, output, pair, site, status, up, volume
from bilocate.cli.errors import EXIT_CODES_HELP, CliError
from bilocate.domain.errors import BilocateError


class ExitCodes(TyperGroup):
    """A group of commands whose failures end as one message on stderr and their own exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (CliError, BilocateError) as error:
            output.say(f"bilocate: {error}", output.BAD)
            raise typer.Exit(getattr(error, "exit_code", 1)) from error


app = typer.Typer(
    cls=ExitCodes,
    no_args_is_help=True,
    help="Block volumes in two sites at once: replicate, fail over, reprotect.",
    epilog=EXIT_CODES_HELP,
    # Daemons' logs hold plain tracebacks, and never local variables, among which could be a password.
    pretty_exceptions_enable=False,
)
app.command()(up.up)
app.command()(up.down)
app.command()(status.status)
app.add_typer(volume.app, name="volume")
app.add_typer(pair.app, name="pair")
app.add_typer(group.app, name="group")
app.add_typer(site.app, name="site")
app.add_typer(keystone.app, name="keystone")
app.command()(controller.controller)
app.command()(bench.bench)
app.command()(backup.backup)
app.command()(backup.restore)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"bilocate {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Entry point of the console script."""
    app()
