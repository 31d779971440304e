"""`bilocate controller`: the controller in the foreground."""

from pathlib import Path
from typing import Annotated

import typer


def controller(
    config: Annotated[
        Path,
        typer.Option("--config", exists=True, dir_okay=False, help="The controller's TOML configuration."),
    ],
) -> None:
    """Run the controller in the foreground, as a service manager wants it."""
    from bilocate.service import run_controller  # its imports cost time that no other command should spend

    run_controller(config)
