"""Waiting for what the API started: when is it done, how far is it, what went wrong."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bilocate.cli.client import Client, Group, Pair, Volume
from bilocate.cli.errors import CliError, NotFound
from bilocate.cli.output import err
from bilocate.domain.geometry import GIB

# The first looks come quickly (a failover takes a fraction of a second), later ones spare the controller.
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5

T = TypeVar("T")


class Outcome(Enum):
    """What one look at a thing says about the work on it."""

    GOING = "going"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Copied:
    """How far a copy is, in bytes."""

    done_bytes: float
    total_bytes: float


def wait_until(
    what: str,
    look: Callable[[], T],
    judge: Callable[[T], Outcome],
    timeout_seconds: float,
    copied: Callable[[T], Copied | None] = lambda _: None,
) -> T:
    """Look until `judge` says done; shows a bar while `copied` tells bytes.

    :raises CliError: when the work failed or is still going on after `timeout_seconds`.
    """
    give_up = time.monotonic() + timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    with _bar() as bar:
        task = bar.add_task(what, total=None)
        while True:
            seen = look()
            outcome = judge(seen)
            _show(bar, task, copied(seen))
            if outcome is Outcome.DONE:
                return seen
            if outcome is Outcome.FAILED:
                raise CliError(f"{what}: failed. {_why(seen)}")
            if time.monotonic() >= give_up:
                raise CliError(
                    f"{what}: not done after {timeout_seconds:g} s ({_state(seen)}). The work goes on; "
                    "`bilocate status` shows where it stands."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def wait_gone(what: str, look: Callable[[], Any], timeout_seconds: float) -> None:
    """Wait until a thing answers "not found"."""

    def look_or_none() -> Any:
        try:
            return look()
        except NotFound:
            return None

    wait_until(what, look_or_none, judge_gone, timeout_seconds)


def judge_gone(seen: Any) -> Outcome:
    """Done when nothing is there any more."""
    if seen is None:
        return Outcome.DONE
    return Outcome.FAILED if str(seen["status"]).startswith("error") else Outcome.GOING


def judge_available(seen: Volume | Pair | Group) -> Outcome:
    """Done when a new thing may be used."""
    status = str(seen["status"])
    if status.startswith("error"):
        return Outcome.FAILED
    return Outcome.DONE if status in ("available", "in-use") else Outcome.GOING


def judge_settled(seen: Group) -> Outcome:
    """Done when nothing is under way on a group any more."""
    status = str(seen["status"])
    if status.startswith("error"):
        return Outcome.FAILED
    return Outcome.DONE if status in ("available", "failovered") else Outcome.GOING


def judge_in_step(group: Group) -> Outcome:
    """Done when both sites hold the same and every write goes to both (sync, reprotect)."""
    if group["status"].startswith("error") or group.get("replication_status") == "error":
        return Outcome.FAILED
    in_step = group["status"] == "available" and group.get("replication_status") == "active"
    return Outcome.DONE if in_step else Outcome.GOING


def judge_stopped(group: Group) -> Outcome:
    """Done when replication rests."""
    if group["status"].startswith("error"):
        return Outcome.FAILED
    rests = group.get("replication_status") in ("active-stopped", "inactive", "error")
    return Outcome.DONE if rests else Outcome.GOING


def judge_failed_over(group: Group) -> Outcome:
    """Done when the other site serves; a group that settled otherwise was put back as it was."""
    if group["status"] == "failovered":
        return Outcome.DONE
    return Outcome.GOING if group["status"] == "failovering" else Outcome.FAILED


def judge_reversed(old_primary: str) -> Callable[[Group], Outcome]:
    """Done when the other site is primary and in step; a group that settled otherwise was put back."""

    def judge(group: Group) -> Outcome:
        if group["status"] == "reversing":
            return Outcome.GOING
        if group["status"] != "available" or group["priority_station"] == old_primary:
            return Outcome.FAILED
        return judge_in_step(group)

    return judge


def group_copied(client: Client, group_id: str) -> Copied | None:
    """How much of a group is equal at both sites, from the progress of its pairs."""
    return copied_of(client.pairs(replication_consistency_group_id=group_id))


def copied_of(pairs: Iterable[Pair]) -> Copied | None:
    """How much of these pairs is equal; None while none of them tells."""
    told = [(pair_bytes(pair), pair.get("progress")) for pair in pairs]
    if all(progress is None for _, progress in told):
        return None
    done = sum(size * min(float(progress or 0), 100.0) / 100 for size, progress in told)
    return Copied(done, sum(size for size, _ in told))


def pair_bytes(pair: Pair) -> int:
    """The size of each of a pair's volumes, in bytes; 0 where the API does not tell."""
    metadata = json.loads(pair.get("record_metadata") or "{}")
    return int(metadata.get("volume_size") or 0) * GIB


def failure_of(seen: Any) -> str:
    """What the API tells of a failure, in brackets: its sentence, or at least its number."""
    detail = seen and (seen.get("failure_message") or seen.get("failure_detail"))
    return f" ({detail})" if detail else ""


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=err(),
        transient=True,
        disable=not err().is_terminal,  # a log file is no place for a moving bar
    )


def _show(bar: Progress, task: Any, copied: Copied | None) -> None:
    if copied is not None and copied.total_bytes:
        bar.update(task, total=copied.total_bytes, completed=copied.done_bytes)


def _state(seen: Any) -> str:
    if seen is None:
        return "gone"
    parts = [f"status {seen['status']}"]
    if seen.get("replication_status"):
        parts.append(f"replication_status {seen['replication_status']}")
    return ", ".join(parts)


def _why(seen: Any) -> str:
    return f"It ended as {_state(seen)}{failure_of(seen)}. `bilocate status` says what to do."
