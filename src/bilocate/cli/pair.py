"""`bilocate pair`: two volumes of one size at two sites that become equal."""

from typing import Annotated

import typer

from bilocate.cli import output
from bilocate.cli.client import Client, Pair
from bilocate.cli.errors import UsageProblem
from bilocate.cli.names import find_pair, find_volume
from bilocate.cli.options import (
    DEFAULT_TIMEOUT_SECONDS,
    JsonOption,
    StateDirOption,
    TimeoutOption,
    WaitOption,
    connected,
)
from bilocate.cli.waiting import judge_available, wait_gone, wait_until

app = typer.Typer(no_args_is_help=True, help="Pairs: which two volumes hold the same.")

NameArgument = Annotated[str, typer.Argument(metavar="PAIR", help="Id or name.")]
COLUMNS = ("id", "name", "status", "replication_status", "progress", "priority_station", "fault_level")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The new pair's name.")],
    volumes: Annotated[list[str], typer.Argument(metavar="VOLUME VOLUME", help="Two volumes, ids or names.")],
    primary: Annotated[
        str,
        typer.Option(
            "--primary", metavar="SITE", help="The site hosts write to; the first volume's if not given."
        ),
    ] = "",
    description: Annotated[str, typer.Option(help="A remark.")] = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Pair two volumes of two sites. Nothing is copied until the pair is in a group and that is synced."""
    if len(volumes) != 2:
        raise UsageProblem(f"A pair has two volumes, {len(volumes)} given.")
    with connected(state_dir) as client:
        found = [find_volume(client, volume) for volume in volumes]
        site = primary or found[0]["availability_zone"]
        pair = client.create_pair(name, [volume["id"] for volume in found], site, description)
        if wait:
            pair = _wait_available(client, pair, timeout)
        output.print_one(pair, as_json)


@app.command("list")
def list_(as_json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """All pairs."""
    with connected(state_dir) as client:
        pairs = client.pairs()
    output.print_many(pairs, COLUMNS, as_json)


@app.command()
def show(pair: NameArgument, as_json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """One pair."""
    with connected(state_dir) as client:
        output.print_one(find_pair(client, pair), as_json)


@app.command()
def delete(
    pair: NameArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    state_dir: StateDirOption = None,
) -> None:
    """End a pair that is in no group. Both volumes stay, with their data."""
    with connected(state_dir) as client:
        found = find_pair(client, pair)
        client.delete_pair(found["id"])
        if wait:
            wait_gone(f"delete {pair}", lambda: client.pair(found["id"]), timeout)


def _wait_available(client: Client, pair: Pair, timeout_seconds: float) -> Pair:
    return wait_until(
        f"create {pair['name']}", lambda: client.pair(pair["id"]), judge_available, timeout_seconds
    )
