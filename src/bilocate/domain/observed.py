"""What is true of a pair or a group now, from the arbiter's row and from what both sites report.

Pure. Nothing is assumed: a site that did not answer has no report, and what only it could tell is unknown.
"""

from dataclasses import dataclass
from enum import Enum

from bilocate.domain.arbiter import RowState
from bilocate.domain.failures import Failure
from bilocate.domain.generations import of_one_moment


class Replication(Enum):
    """What the two copies are to each other."""

    ACTIVE = "active"  # equal and in step: every answered write is at both sites
    PAUSED_EQUAL = "paused_equal"  # stopped, and nothing differs
    COPYING = "copying"  # a resync is running
    INACTIVE = "inactive"  # stopped or interrupted, and differences exist or may exist
    ERROR = "error"  # extents have failed, or storage does not work


class FaultLevel(Enum):
    """How bad it is, in the order in which one cares."""

    NONE = "none"
    PRODUCTION_LOST = (
        "production_lost"  # production can't be read and written, the secondary is good: fail over
    )
    SECONDARY_BEHIND = "secondary_behind"  # not protected: a failover would be refused


@dataclass(frozen=True, slots=True)
class HalfReport:
    """One site's half of a session as its agent reports it; `epoch` tells which session it speaks of."""

    epoch: int
    primary: bool
    in_step: bool = False
    serving: bool = False
    link_up: bool = False
    refusal: str | None = None
    consistent: bool = True
    blank: bool = False
    generations: tuple[str, ...] = ()  # by pair id, so that both sites' are comparable
    dirty_bytes: int = 0
    failed_bytes: int = 0
    storage_error: str | None = None
    resync_total_bytes: int | None = None  # None: no resync is running
    resync_done_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The row and the wish, as the database has them."""

    epoch: int
    state: RowState
    paused: bool
    members: int
    failed_over: bool = False  # by a failover that lost nothing, and not reprotected yet


@dataclass(frozen=True, slots=True)
class Observed:
    """The truth shown. `progress` is a percentage, None while there is nothing to tell. `mixed_moments`: the secondary
    has copies, and they are not known to be of one moment (MOMENT)."""

    replication: Replication
    fault: FaultLevel
    progress: int | None = None
    failure: Failure | None = None
    message: str | None = None
    mixed_moments: bool = False


def observe(wanted: Wanted, primary: HalfReport | None, secondary: HalfReport | None) -> Observed:
    """The truth of a session. A report is None when that site's agent does not answer or knows no such session."""
    primary = _current(wanted, primary, is_primary=True)
    secondary = _current(wanted, secondary, is_primary=False)
    replication = _replication(wanted, primary, secondary)
    failure, message = _failure(primary, secondary)
    return Observed(
        replication=replication,
        fault=_fault(wanted, primary, secondary),
        progress=_progress(replication, primary),
        failure=failure if replication is Replication.ERROR else None,
        message=message if replication is Replication.ERROR else None,
        mixed_moments=_mixed(wanted, secondary),
    )


def _current(wanted: Wanted, report: HalfReport | None, is_primary: bool) -> HalfReport | None:
    """A report of another epoch, or in another role, says nothing about this session."""
    if report is None or report.epoch != wanted.epoch or report.primary is not is_primary:
        return None
    return report


def _replication(wanted: Wanted, primary: HalfReport | None, secondary: HalfReport | None) -> Replication:
    if _abnormal(primary) or _abnormal(secondary):
        return Replication.ERROR
    if primary is not None and primary.resync_total_bytes is not None:
        return Replication.COPYING
    if wanted.state is RowState.IN_SYNC and primary is not None and primary.in_step:
        return Replication.ACTIVE
    # After a lossless failover the one copy that counts has every answered write; the other site is out, and
    # what differs is told by the reprotect.
    if wanted.paused and (wanted.failed_over or _equal(wanted, primary, secondary)):
        return Replication.PAUSED_EQUAL
    return Replication.INACTIVE


def _equal(wanted: Wanted, primary: HalfReport | None, secondary: HalfReport | None) -> bool:
    """Whether it is proven that nothing differs: both sites say so of the same generation."""
    if wanted.members == 0:
        return True
    if primary is None or secondary is None or wanted.state is RowState.SYNCING:
        return False
    return (
        primary.consistent
        and secondary.consistent
        and not primary.blank
        and not secondary.blank
        and primary.dirty_bytes == secondary.dirty_bytes == 0
        and primary.generations == secondary.generations
        and "" not in primary.generations
    )


def _mixed(wanted: Wanted, secondary: HalfReport | None) -> bool:
    if wanted.members < 2 or wanted.state is RowState.IN_SYNC or secondary is None:
        return False
    return any(secondary.generations) and not of_one_moment(secondary.generations)


def _abnormal(report: HalfReport | None) -> bool:
    return report is not None and (report.failed_bytes > 0 or report.storage_error is not None)


def _failure(primary: HalfReport | None, secondary: HalfReport | None) -> tuple[Failure | None, str | None]:
    if primary is not None and _abnormal(primary):
        return Failure.PRIMARY_STORAGE_ABNORMAL, _storage_message("production", primary)
    if secondary is not None and _abnormal(secondary):
        return Failure.SECONDARY_STORAGE_ABNORMAL, _storage_message("DR", secondary)
    return None, None


def _storage_message(which: str, report: HalfReport) -> str:
    why = report.storage_error or f"{report.failed_bytes} bytes are in extents where a write failed"
    return f"the storage of the {which} site does not work: {why}"


def _fault(wanted: Wanted, primary: HalfReport | None, secondary: HalfReport | None) -> FaultLevel:
    if wanted.members == 0:
        return FaultLevel.NONE
    protected = wanted.state is RowState.IN_SYNC
    lost = primary is None or not primary.serving or _abnormal(primary)
    if lost and protected and secondary is not None and not _abnormal(secondary):
        return FaultLevel.PRODUCTION_LOST
    if wanted.paused:
        return FaultLevel.NONE
    linked = primary is not None and primary.link_up
    return FaultLevel.NONE if linked and protected else FaultLevel.SECONDARY_BEHIND


def _progress(replication: Replication, primary: HalfReport | None) -> int | None:
    if replication is not Replication.COPYING or primary is None or primary.resync_total_bytes is None:
        return None
    if primary.resync_total_bytes == 0:
        return 100
    return min(100, primary.resync_done_bytes * 100 // primary.resync_total_bytes)
