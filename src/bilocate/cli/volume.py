"""`bilocate volume`: block devices, each at one site."""

import socket
from typing import Annotated

import typer

from bilocate.cli import output
from bilocate.cli.client import Client, Volume
from bilocate.cli.errors import UsageProblem
from bilocate.cli.names import find_volume
from bilocate.cli.options import (
    DEFAULT_TIMEOUT_SECONDS,
    JsonOption,
    StateDirOption,
    TimeoutOption,
    WaitOption,
    connected,
)
from bilocate.cli.waiting import judge_available, wait_gone, wait_until

app = typer.Typer(no_args_is_help=True, help="Volumes: make them, connect hosts to them.")

NameArgument = Annotated[str, typer.Argument(metavar="VOLUME", help="Id or name.")]
HostOption = Annotated[str, typer.Option("--host", help="Which host connects; this one if not given.")]


def this_host() -> str:
    """The name under which this machine's connections are kept."""
    return socket.gethostname()


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The new volume's name.")],
    size: Annotated[int | None, typer.Option("--size", min=1, metavar="GIB", help="Size in GiB.")] = None,
    site: Annotated[
        str | None,
        typer.Option(
            "--site", help="The site, or zone, that keeps it, such as az1; a copy's is its source's."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="VOLUME",
            help="Begin as a copy of this volume, as of one moment, and of its size if none is given.",
        ),
    ] = None,
    description: Annotated[str, typer.Option(help="A remark.")] = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Make a volume of zeros, or a copy of another one."""
    if source is None and (size is None or site is None):
        raise UsageProblem(
            "a new volume needs --size and --site, or --source: the volume it is to be a copy of"
        )
    if source is not None and site is not None:
        raise UsageProblem("a copy is made at the site of its source: leave out --site")
    with connected(state_dir) as client:
        if source is not None:
            volume = client.copy_volume(name, find_volume(client, source)["id"], size, description)
        else:
            volume = client.create_volume(name, size or 0, site or "", description)
        if wait:
            volume = _wait_available(client, volume, timeout)
        output.print_one(volume, as_json)


@app.command()
def adopt(
    name: Annotated[str, typer.Argument(help="The new volume's name.")],
    path: Annotated[str, typer.Option("--path", help="The device or file, as the site's machine names it.")],
    site: Annotated[str, typer.Option("--site", help="The site that has it, such as az1.")],
    description: Annotated[str, typer.Option(help="A remark.")] = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Make a volume of a device or file, with what is in it. The site's setting adopt_from must name it."""
    with connected(state_dir) as client:
        volume = client.adopt_volume(name, site, path, description)
        if wait:
            volume = _wait_available(client, volume, timeout)
        output.print_one(volume, as_json)


@app.command()
def give_back(
    volume: NameArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    state_dir: StateDirOption = None,
) -> None:
    """End an adopted volume; its device or file stays as it is."""
    with connected(state_dir) as client:
        found = find_volume(client, volume)
        client.give_volume_back(found["id"])
        if wait:
            wait_gone(f"give back {volume}", lambda: client.volume(found["id"]), timeout)


@app.command("list")
def list_(as_json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """All volumes."""
    with connected(state_dir) as client:
        volumes = client.volumes()
    output.print_many(volumes, ("id", "name", "size", "availability_zone", "status"), as_json)


@app.command()
def show(volume: NameArgument, as_json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """One volume."""
    with connected(state_dir) as client:
        output.print_one(find_volume(client, volume), as_json)


@app.command()
def delete(
    volume: NameArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    state_dir: StateDirOption = None,
) -> None:
    """Delete a volume and its data; it must be neither connected nor in a pair."""
    with connected(state_dir) as client:
        found = find_volume(client, volume)
        client.delete_volume(found["id"])
        if wait:
            wait_gone(f"delete {volume}", lambda: client.volume(found["id"]), timeout)


@app.command()
def extend(
    volume: NameArgument,
    size: Annotated[int, typer.Option("--size", min=1, metavar="GIB", help="The new size in GiB.")],
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Make a volume larger; it must be in no pair. Hosts see the new size when they connect anew."""
    with connected(state_dir) as client:
        found = find_volume(client, volume)
        client.extend_volume(found["id"], size)
        extended = client.volume(found["id"])
        if wait:
            extended = wait_until(
                f"extend {volume}", lambda: client.volume(found["id"]), judge_available, timeout
            )
        output.print_one(extended, as_json)


@app.command()
def connect(
    volume: NameArgument,
    host: HostOption = "",
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Open a connection and print its NBD address, which any NBD client takes.

    The address holds a secret: who has it can read and write the volume.
    """
    with connected(state_dir) as client:
        connection = client.connect_volume(find_volume(client, volume)["id"], host or this_host())
    if as_json:
        output.print_json(connection)
    else:
        print(connection["data"]["uri"])


@app.command()
def disconnect(volume: NameArgument, host: HostOption = "", state_dir: StateDirOption = None) -> None:
    """End a host's connection; its NBD address is worth nothing afterwards."""
    with connected(state_dir) as client:
        client.disconnect_volume(find_volume(client, volume)["id"], host or this_host())


def _wait_available(client: Client, volume: Volume, timeout_seconds: float) -> Volume:
    return wait_until(
        f"create {volume['name']}", lambda: client.volume(volume["id"]), judge_available, timeout_seconds
    )
