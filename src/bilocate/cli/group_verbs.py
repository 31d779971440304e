"""The five verbs of a group: sync, stop, failover, reverse, reprotect."""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from bilocate.cli import output
from bilocate.cli.client import Client, Group
from bilocate.cli.errors import Conflict
from bilocate.cli.names import find_group
from bilocate.cli.options import (
    DEFAULT_TIMEOUT_SECONDS,
    JsonOption,
    StateDirOption,
    TimeoutOption,
    WaitOption,
    connected,
)
from bilocate.cli.waiting import (
    Outcome,
    group_copied,
    judge_failed_over,
    judge_in_step,
    judge_reversed,
    judge_stopped,
    wait_until,
)

NameArgument = Annotated[str, typer.Argument(metavar="GROUP", help="Id or name.")]
OPT_INS = {
    "allow_data_loss": "--allow-data-loss",
    "allow_mixed_moments": "--allow-mixed-moments",
    "trust_primary": "--trust-primary",
    '"force"': "--force",
}
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def sync(
    group: NameArgument,
    trust_primary: Annotated[
        bool,
        typer.Option(
            "--trust-primary",
            help="The primary's data is the truth although its ledger was lost: overwrite the secondary.",
        ),
    ] = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Start replication: copy what differs, then send every write to both sites."""
    with connected(state_dir) as client:
        found = find_group(client, group)
        _act(client, found["id"], "sync", {"trust_primary": True} if trust_primary else None)
        _finish(client, found, "sync", judge_in_step, wait, timeout, as_json)


def stop(
    group: NameArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Pause replication: the secondary stays at one moment of all volumes, hosts go on at the primary."""
    with connected(state_dir) as client:
        found = find_group(client, group)
        _act(client, found["id"], "stop")
        _finish(client, found, "stop", judge_stopped, wait, timeout, as_json)


def failover(
    group: NameArgument,
    allow_data_loss: Annotated[
        bool,
        typer.Option(
            "--allow-data-loss", help="Also when the secondary may lack writes that hosts were answered."
        ),
    ] = False,
    allow_mixed_moments: Annotated[
        bool,
        typer.Option(
            "--allow-mixed-moments",
            help="Also when its volumes are of different moments, because pairs joined since it was last in step.",
        ),
    ] = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Serve from the other site, now. Needs nothing from the site that failed.

    With --allow-data-loss an old primary that is cut off but alive may go on answering hosts until it hears
    of it: make sure that they are off first.
    """
    if allow_data_loss and not yes:
        mixed = ", and its volumes may be of different moments" if allow_mixed_moments else ""
        typer.confirm(
            f"Fail {group} over although the other site may lack writes that hosts were answered{mixed}?",
            abort=True,
            err=True,
        )
    asked = {"allow_data_loss": allow_data_loss, "allow_mixed_moments": allow_mixed_moments}
    opt_ins = {word: True for word, said in asked.items() if said}
    with connected(state_dir) as client:
        found = find_group(client, group)
        _act(client, found["id"], "failover", opt_ins or None)
        _finish(client, found, "failover", judge_failed_over, wait, timeout, as_json)
    output.say(
        "Connect hosts at the other site: bilocate volume connect VOLUME. When the failed site is back: "
        f"bilocate group reprotect {group}"
    )


def reverse(
    group: NameArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Disconnect attached hosts after their writes drained.")
    ] = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Swap the two sites' roles in an orderly way; nothing is copied and nothing lost."""
    with connected(state_dir) as client:
        found = find_group(client, group)
        _act(client, found["id"], "reverse", {"force": True} if force else None)
        judge = judge_reversed(found["priority_station"])
        _finish(client, found, "reverse", judge, wait, timeout, as_json)


def reprotect(
    group: NameArgument,
    allow_data_loss: Annotated[
        bool,
        typer.Option(
            "--allow-data-loss", help="Overwrite what the old primary alone holds after a forced failover."
        ),
    ] = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Take the failed site in again as the secondary; only what differs is copied."""
    if allow_data_loss and not yes:
        typer.confirm(f"Overwrite what the old primary of {group} alone holds?", abort=True, err=True)
    with connected(state_dir) as client:
        found = find_group(client, group)
        _act(client, found["id"], "reprotect", {"allow_data_loss": True} if allow_data_loss else None)
        _finish(client, found, "reprotect", judge_in_step, wait, timeout, as_json)


def add_to(app: typer.Typer) -> None:
    """Make the verbs commands of `app`."""
    for verb in (sync, stop, failover, reverse, reprotect):
        app.command()(verb)


def _act(client: Client, group_id: str, verb: str, value: dict[str, bool] | None = None) -> None:
    """Start a verb. A refusal that names an opt-in of the API also names the option that sends it."""
    try:
        client.act(group_id, verb, value)
    except Conflict as error:
        options = [option for word, option in OPT_INS.items() if word in str(error)]
        if not options:
            raise
        raise Conflict(f"{error} (here: {', '.join(options)})") from error


def _finish(
    client: Client,
    group: Group,
    verb: str,
    judge: Callable[[Group], Outcome],
    wait: bool,
    timeout_seconds: float,
    as_json: bool,
) -> None:
    """Wait if asked to, then show the group as it is."""
    group_id, started = group["id"], time.monotonic()
    name = group["name"] or group_id
    seen = client.group(group_id)
    if wait:
        seen = wait_until(
            f"{verb} {name}",
            lambda: client.group(group_id),
            judge,
            timeout_seconds,
            lambda _: group_copied(client, group_id),
        )
        output.say(f"{verb} {name}: done in {time.monotonic() - started:.2f} s", output.GOOD)
    else:
        output.say(f"{verb} {name}: accepted. Follow it with `bilocate status`, or wait with --wait.")
    output.print_one(seen, as_json)
