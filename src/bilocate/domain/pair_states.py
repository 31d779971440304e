"""The states of a replication pair, and every move between them."""

from enum import Enum

from bilocate.domain.table import Table


class PairStatus(Enum):
    """What is going on with a pair. What its copies are to each other is told by `observed.Replication`."""

    CREATING = "creating"
    AVAILABLE = "available"
    ERROR = "error"
    DELETING = "deleting"
    ERROR_DELETING = "error_deleting"


class PairEvent(Enum):
    """A verb begins, comes to its end or can't go on."""

    CREATE_DONE = "create_done"
    CREATE_FAILED = "create_failed"
    DELETE = "delete"
    DELETE_FAILED = "delete_failed"


_S, _E = PairStatus, PairEvent

PAIR = Table(
    "pair",
    PairStatus,
    PairEvent,
    {
        _S.CREATING: {_E.CREATE_DONE: _S.AVAILABLE, _E.CREATE_FAILED: _S.ERROR},
        _S.AVAILABLE: {_E.DELETE: _S.DELETING},
        _S.ERROR: {_E.DELETE: _S.DELETING},
        _S.DELETING: {_E.DELETE_FAILED: _S.ERROR_DELETING},
        _S.ERROR_DELETING: {_E.DELETE: _S.DELETING},
    },
)
