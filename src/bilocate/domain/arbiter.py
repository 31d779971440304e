"""The arbiter: one row per session decides who may answer hosts (docs/safety.md, section "The arbiter").

Pure: a row and a call in, a new row or a refusal out. The database, the simulator and the tests all use
this function; what they add is only that a row is changed by compare-and-set on its version.
"""

from dataclasses import dataclass, replace
from enum import Enum


class RowState(Enum):
    """What the row knows of the secondary."""

    IN_SYNC = "in_sync"  # it has every answered write
    STALE = "stale"  # it is consistent, but may lack answered writes
    SYNCING = "syncing"  # it may be inconsistent


class Call(Enum):
    """What may be asked of the row: the first five by agents, the last two by operations."""

    ATTACH = "attach"
    REQUEST_SOLO = "request_solo"
    REQUEST_VOUCHED_SOLO = "request_vouched_solo"  # by an operator's word for a copy without a past (BLANK)
    REQUEST_RESYNC = "request_resync"
    REPORT_IN_SYNC = "report_in_sync"
    FAIL_OVER = "fail_over"
    SWITCH_OVER = "switch_over"


class Refusal(Enum):
    """Why a call was not carried out. A refused call leaves the row as it was."""

    SUPERSEDED = "superseded"  # another epoch or primary: stop, demote
    CHANGED = "changed"  # the version moved on: attach again
    STATE = "state"  # the row's state does not allow it


@dataclass(frozen=True, slots=True)
class Row:
    """One session's row. `version` rises by one with every accepted call (CAS)."""

    session_id: str
    epoch: int
    primary: str
    secondary: str
    state: RowState
    version: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One call. `version` is the one its caller last saw; `attach` carries none.

    `epoch` and `site` are the caller's own (agents' calls); `new_epoch` is the next number of the
    installation's sequence (role changes).
    """

    call: Call
    epoch: int = 0
    site: str = ""
    version: int = 0
    new_epoch: int = 0
    allow_data_loss: bool = False


def decide(row: Row, ask: Ask) -> Row | Refusal:
    """The row after `ask`, or why it is refused. Rules CAS, ATTACH.

    Whether an operator's word stands, which REQUEST_VOUCHED_SOLO needs, is not in the row: who keeps the word
    looks first.
    """
    if ask.call in (Call.FAIL_OVER, Call.SWITCH_OVER):
        return _change_primary(row, ask)
    if ask.epoch != row.epoch or ask.site != row.primary:
        return Refusal.SUPERSEDED
    if ask.call is Call.ATTACH:
        # Raising the version kills whatever the caller's former life still has on its way.
        return replace(row, version=row.version + 1)
    if ask.version != row.version:
        return Refusal.CHANGED
    state = row.state
    match ask.call:
        case Call.REQUEST_SOLO | Call.REQUEST_VOUCHED_SOLO:
            state = RowState.STALE if row.state is RowState.IN_SYNC else row.state
        case Call.REQUEST_RESYNC:
            state = RowState.SYNCING
        case _:  # REPORT_IN_SYNC
            if row.state is not RowState.SYNCING:
                return Refusal.STATE
            state = RowState.IN_SYNC
    return replace(row, state=state, version=row.version + 1)


def _change_primary(row: Row, ask: Ask) -> Row | Refusal:
    if ask.version != row.version:
        return Refusal.CHANGED
    forced = ask.call is Call.FAIL_OVER and ask.allow_data_loss
    if row.state is not RowState.IN_SYNC and not forced:
        return Refusal.STATE
    if ask.new_epoch <= row.epoch:
        raise ValueError(f"epoch {ask.new_epoch} is not above {row.epoch}: epochs only rise")
    return replace(
        row,
        epoch=ask.new_epoch,
        primary=row.secondary,
        secondary=row.primary,
        state=RowState.STALE if ask.call is Call.FAIL_OVER else RowState.IN_SYNC,
        version=row.version + 1,
    )


_BADNESS = {RowState.IN_SYNC: 0, RowState.STALE: 1, RowState.SYNCING: 2}


def state_of_successor(states: list[RowState]) -> RowState:
    """The state of a session made of others (MEMBERS): no better than the worst of them, and never in sync.

    MOMENT: so it is in step again only by the end of a resync, which gives all its volumes a generation that no other
    has. Of sessions that were in sync each could go on by itself without one, and nothing would tell the moments of
    their volumes apart. A group without pairs has nothing that could be in step anyway.
    """
    return max([RowState.STALE, *states], key=_BADNESS.__getitem__)
