"""`bilocate group`: pairs that fail over together. Its verbs are in group_verbs.py."""

from typing import Annotated, Any

import typer

from bilocate.cli import group_verbs, output
from bilocate.cli.client import Client
from bilocate.cli.errors import UsageProblem
from bilocate.cli.names import find_group, find_pair
from bilocate.cli.options import (
    DEFAULT_TIMEOUT_SECONDS,
    JsonOption,
    StateDirOption,
    TimeoutOption,
    WaitOption,
    connected,
)
from bilocate.cli.waiting import judge_available, judge_settled, wait_gone, wait_until

app = typer.Typer(
    no_args_is_help=True, help="Groups: pairs that are synced, failed over and reprotected together."
)

NameArgument = Annotated[str, typer.Argument(metavar="GROUP", help="Id or name.")]
COLUMNS = ("id", "name", "status", "replication_status", "priority_station", "fault_level")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The new group's name.")],
    pairs: Annotated[list[str], typer.Argument(metavar="PAIR...", help="Its pairs, ids or names.")],
    description: Annotated[str, typer.Option(help="A remark.")] = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Make a group. It is paused until `bilocate group sync`."""
    with connected(state_dir) as client:
        found = [find_pair(client, pair) for pair in pairs]
        group = client.create_group(
            name, [pair["id"] for pair in found], found[0]["priority_station"], description
        )
        if wait:
            group = wait_until(f"create {name}", lambda: client.group(group["id"]), judge_available, timeout)
        output.print_one(group, as_json)
    output.say(f"Start replication with: bilocate group sync {name}")


@app.command("list")
def list_(as_json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """All groups."""
    with connected(state_dir) as client:
        groups = client.groups()
    output.print_many(groups, COLUMNS, as_json)


@app.command()
def show(group: NameArgument, as_json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """One group."""
    with connected(state_dir) as client:
        output.print_one(find_group(client, group), as_json)


@app.command()
def update(
    group: NameArgument,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    description: Annotated[str | None, typer.Option(help="A new remark.")] = None,
    add: Annotated[
        list[str] | None, typer.Option(metavar="PAIR", help="A pair to add; may be repeated.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="PAIR", help="A pair to take out; may be repeated.")
    ] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Change a group's name, remark or pairs. Its pairs change only while it is stopped."""
    with connected(state_dir) as client:
        found = find_group(client, group)
        changes = _changes(client, name, description, add or [], remove or [])
        updated = client.update_group(found["id"], changes)
        if wait:
            updated = wait_until(f"update {group}", lambda: client.group(found["id"]), judge_settled, timeout)
        output.print_one(updated, as_json)


@app.command()
def extend(
    group: NameArgument,
    size: Annotated[int, typer.Option("--size", min=1, metavar="GIB", help="The new size in GiB.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option("--pair", metavar="PAIR", help="A pair to grow; may be repeated. All, if not given."),
    ] = None,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Make both volumes of the group's pairs larger, while it replicates. Hosts see the new size when they
    connect anew."""
    with connected(state_dir) as client:
        found = find_group(client, group)
        ids = [find_pair(client, pair)["id"] for pair in pairs or found.get("replication_ids", [])]
        if not ids:
            raise UsageProblem(f"{group} has no pairs: add some first (bilocate group update)")
        client.extend_group(found["id"], dict.fromkeys(ids, size))
        output.print_one(client.group(found["id"]), as_json)


@app.command()
def delete(
    group: NameArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    state_dir: StateDirOption = None,
) -> None:
    """Delete an empty group."""
    with connected(state_dir) as client:
        found = find_group(client, group)
        client.delete_group(found["id"])
        if wait:
            wait_gone(f"delete {group}", lambda: client.group(found["id"]), timeout)


def _changes(
    client: Client, name: str | None, description: str | None, add: list[str], remove: list[str]
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = name
    if description is not None:
        changes["description"] = description
    if add:
        changes["add_replication_ids"] = [find_pair(client, pair)["id"] for pair in add]
    if remove:
        changes["remove_replication_ids"] = [find_pair(client, pair)["id"] for pair in remove]
    if not changes:
        raise UsageProblem("Nothing to change: give --name, --description, --add or --remove.")
    return changes


group_verbs.add_to(app)
