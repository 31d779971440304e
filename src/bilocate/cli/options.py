"""Options that many commands share, and the client they lead to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bilocate.cli.client import Client
from bilocate.cli.credentials import find_credentials

StateDirOption = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Take the credentials from DIR/openrc instead of OS_*.", metavar="DIR"),
]
RequiredStateDir = Annotated[
    Path,
    typer.Option("--state-dir", help="Where everything of this installation is kept.", metavar="DIR"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the API's JSON, for machines.")]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Come back when it is done, and show how far it is.")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Longest time to wait with --wait.")
]

DEFAULT_TIMEOUT_SECONDS = 3600.0


@contextmanager
def connected(state_dir: Path | None) -> Iterator[Client]:
    """A client with the credentials of `state_dir` or of the environment."""
    with Client(find_credentials(state_dir)) as client:
        yield client
