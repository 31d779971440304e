"""Waiting for what the API started: when is it done, how far is it, what went wrong."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bilocate.cli.client import Client, Pair
from bilocate.cli.errors import CliError, NotFound
from bilocate.cli.output import err
from bilocate.client.waiting import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    PAUSE_GROWTH,
    Outcome,
    failure_of,
    judge_available,
    judge_failed_over,
    judge_gone,
    judge_in_step,
    judge_reversed,
    judge_settled,
    judge_stopped,
    state_of,
)
from bilocate.domain.geometry import GIB

__all__ = [
    "Copied",
    "Outcome",
    "copied_of",
    "failure_of",
    "group_copied",
    "judge_available",
    "judge_failed_over",
    "judge_gone",
    "judge_in_step",
    "judge_reversed",
    "judge_settled",
    "judge_stopped",
    "pair_bytes",
    "wait_gone",
    "wait_until",
]


T = TypeVar("T")


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
                    f"{what}: not done after {timeout_seconds:g} s ({state_of(seen)}). The work goes on; "
                    "`bilocate status` shows where it stands."
                )
            time.sleep(pause)
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)


def wait_gone(what: str, look: Callable[[], Any], timeout_seconds: float) -> None:
    """Wait until a thing answers "not found"."""

    def look_or_none() -> Any:
        try:
            return look()
        except NotFound:
            return None

    wait_until(what, look_or_none, judge_gone, timeout_seconds)


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
    return pair.size_gib * GIB


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


def _why(seen: Any) -> str:
    return f"It ended as {state_of(seen)}{failure_of(seen)}. `bilocate status` says what to do."
