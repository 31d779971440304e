"""The secondary half of a session: its states, and the only moves between them."""

from enum import Enum

from bilocate.domain.table import Table


class SecondaryState(Enum):
    """Where the secondary half is. It never serves a host."""

    SETTLING = "settling"  # what its former life left is being made durable as dirty bits (rule 20)
    ALONE = "alone"  # no link
    WELCOMED = "welcomed"  # linked; the primary has not said yet how to go on
    FOLLOWING = "following"  # in step: applies and confirms
    MARKING = "marking"  # "inconsistent" is being persisted
    RECEIVING = "receiving"  # a resync writes here
    SEALING = "sealing"  # END: flush, generation, consistent
    CHECKING = "checking"  # failover's check: flushes, drops intents (rule 22)
    HOLDING = "holding"  # takes no hello until it hears the outcome
    PROMOTING = "promoting"  # flushes, then persists the new epoch
    ENDED = "ended"  # promoted, or the session is gone


class SecondaryEvent(Enum):
    """What moves the secondary half."""

    SETTLED = "settled"
    HELD = "held"
    WELCOME = "welcome"
    LINK_LOST = "link_lost"
    STEP = "step"
    RESYNC = "resync"
    MARKED = "marked"
    END = "end"
    SEALED = "sealed"
    CHECK = "check"
    CHECKED = "checked"
    RELEASE = "release"
    PROMOTE = "promote"
    FINISH = "finish"


_S, _E = SecondaryState, SecondaryEvent
_ALWAYS = {_E.CHECK: _S.CHECKING, _E.PROMOTE: _S.PROMOTING, _E.FINISH: _S.ENDED}
_LINKED = {_E.LINK_LOST: _S.ALONE, _E.WELCOME: _S.WELCOMED, **_ALWAYS}

SECONDARY = Table(
    "secondary half",
    SecondaryState,
    SecondaryEvent,
    {
        _S.SETTLING: {
            _E.SETTLED: _S.ALONE,
            _E.HELD: _S.HOLDING,  # a failover was checked before the restart (HOLDHELLO)
            _E.LINK_LOST: _S.SETTLING,
            _E.FINISH: _S.ENDED,
        },
        _S.ALONE: {_E.WELCOME: _S.WELCOMED, _E.LINK_LOST: _S.ALONE, _E.RELEASE: _S.ALONE, **_ALWAYS},
        _S.WELCOMED: {_E.STEP: _S.FOLLOWING, _E.RESYNC: _S.MARKING, **_LINKED},
        _S.FOLLOWING: {_E.STEP: _S.FOLLOWING, **_LINKED},
        _S.MARKING: {_E.MARKED: _S.RECEIVING, **_LINKED},
        _S.RECEIVING: {_E.END: _S.SEALING, **_LINKED},
        # After the seal nothing more is copied; host writes go on arriving and are confirmed.
        _S.SEALING: {_E.SEALED: _S.WELCOMED, **_LINKED},
        _S.CHECKING: {
            _E.CHECKED: _S.HOLDING,
            _E.LINK_LOST: _S.CHECKING,
            _E.RELEASE: _S.ALONE,
            _E.FINISH: _S.ENDED,
        },
        _S.HOLDING: {
            _E.LINK_LOST: _S.HOLDING,
            _E.RELEASE: _S.ALONE,
            _E.CHECK: _S.CHECKING,
            _E.PROMOTE: _S.PROMOTING,
            _E.FINISH: _S.ENDED,
        },
        # Promotion failed: the row has changed all the same, so no hello of the old epoch may be taken (HOLDHELLO).
        _S.PROMOTING: {_E.LINK_LOST: _S.PROMOTING, _E.RELEASE: _S.HOLDING, _E.FINISH: _S.ENDED},
        _S.ENDED: {_E.LINK_LOST: _S.ENDED, _E.FINISH: _S.ENDED},
    },
)
