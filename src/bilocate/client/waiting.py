"""When is what the API started done? Looking until it is, or has failed, or time is over."""

import time
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from bilocate.client import replication
from bilocate.client import volumes as volume_calls
from bilocate.client.errors import NotFound, NotInTime, WorkFailed
from bilocate.client.exchange import Pause, Steps
from bilocate.client.resources import Group, Named, Pair, Volume

# The first looks come quickly (a failover takes a fraction of a second), later ones spare the controller. Who waits
# hears of the end at most a fifth later than it came.
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5
PAUSE_GROWTH = 1.2
DEFAULT_TIMEOUT_SECONDS = 3600.0

T = TypeVar("T")


class Outcome(Enum):
    """What one look at a thing says about the work on it."""

    GOING = "going"
    DONE = "done"
    FAILED = "failed"


# --- judges: each tells from one look how the work stands ---


def judge_gone(seen: Named | None) -> Outcome:
    """Done when nothing is there any more."""
    if seen is None:
        return Outcome.DONE
    return Outcome.FAILED if seen["status"].startswith("error") else Outcome.GOING


def judge_available(seen: Volume | Pair | Group) -> Outcome:
    """Done when a new thing may be used."""
    status = seen["status"]
    if status.startswith("error"):
        return Outcome.FAILED
    return Outcome.DONE if status in ("available", "in-use") else Outcome.GOING


def judge_settled(seen: Group) -> Outcome:
    """Done when nothing is under way on a group any more."""
    status = seen["status"]
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


def judge_is(status: str | None, replication_status: str | None = None) -> Callable[[Any], Outcome]:
    """Done when it has these words; failed when it has come to an error, or was put back as it was."""

    def judge(seen: Any) -> Outcome:
        fits = status in (None, seen["status"])
        if fits and replication_status in (None, seen.get("replication_status")):
            return Outcome.DONE
        # The status is `failovering` from the answer on: who sees `available` after it sees a failover taken back.
        over = seen["status"].startswith("error") or (status, seen["status"]) == ("failovered", "available")
        return Outcome.FAILED if over and not fits else Outcome.GOING

    return judge


# --- looking ---


def wait(
    what: str, look: Callable[[], Steps[T]], judge: Callable[[T], Outcome], timeout_seconds: float
) -> Steps[T]:
    """Look until `judge` says done.

    :raises WorkFailed: it has ended otherwise.
    :raises NotInTime: it goes on still after `timeout_seconds`.
    """
    give_up = time.monotonic() + timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        seen = yield from look()
        outcome = judge(seen)
        if outcome is Outcome.DONE:
            return seen
        if outcome is Outcome.FAILED:
            raise WorkFailed(f"{what}: failed. It ended as {state_of(seen)}{failure_of(seen)}.", seen)
        if time.monotonic() >= give_up:
            raise NotInTime(f"{what}: not done after {timeout_seconds:g} s ({state_of(seen)}).", seen)
        yield Pause(pause)
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)


def wait_for_volume(
    volume_id: str, status: str = "available", timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> Steps[Volume]:
    """Until a volume has this status.

    :raises WorkFailed: it has come to an error.
    :raises NotInTime:
    """
    return wait(
        f"volume {volume_id}",
        lambda: volume_calls.volume(volume_id),
        judge_is(status),
        timeout_seconds,
    )


def wait_for_pair(
    pair_id: str, status: str = "available", timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> Steps[Pair]:
    """Until a pair has this status.

    :raises WorkFailed: it has come to an error.
    :raises NotInTime:
    """
    return wait(f"pair {pair_id}", lambda: replication.pair(pair_id), judge_is(status), timeout_seconds)


def wait_for_group(
    group_id: str,
    status: str | None = "available",
    replication_status: str | None = None,
    judge: Callable[[Group], Outcome] | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> Steps[Group]:
    """Until a group has this status, and this replication status, or until `judge` says done.

    :raises WorkFailed: it has come to an error, or a failover was taken back.
    :raises NotInTime:
    """
    return wait(
        f"group {group_id}",
        lambda: replication.group(group_id),
        judge or judge_is(status, replication_status),
        timeout_seconds,
    )


def wait_gone(
    look: Callable[[], Steps[Any]], timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> Steps[None]:
    """Until what `look` shows is gone.

    :raises WorkFailed: it could not be deleted.
    :raises NotInTime:
    """

    def look_or_none() -> Steps[Any]:
        try:
            return (yield from look())
        except NotFound:
            return None

    yield from wait("delete", look_or_none, judge_gone, timeout_seconds)


# --- words for messages ---


def failure_of(seen: Any) -> str:
    """What the API tells of a failure, in brackets: its sentence, or at least its number."""
    detail = seen and (seen.get("failure_message") or seen.get("failure_detail"))
    return f" ({detail})" if detail else ""


def state_of(seen: Any) -> str:
    """The states of a thing in a few words."""
    if seen is None:
        return "gone"
    parts = [f"status {seen['status']}"]
    if seen.get("replication_status"):
        parts.append(f"replication_status {seen['replication_status']}")
    return ", ".join(parts)
