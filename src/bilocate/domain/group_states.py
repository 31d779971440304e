"""The states of a consistency group, and every move between them."""

from enum import Enum

from bilocate.domain.table import Table


class GroupStatus(Enum):
    """What is going on with a group. The `error_*` states say which verb could not be carried to its end."""

    CREATING = "creating"
    AVAILABLE = "available"
    UPDATING = "updating"
    REVERSING = "reversing"
    FAILING_OVER = "failing_over"
    FAILED_OVER = "failed_over"
    DELETING = "deleting"
    ERROR = "error"
    ERROR_REVERSING = "error_reversing"
    ERROR_FAILING_OVER = "error_failing_over"
    ERROR_DELETING = "error_deleting"


class GroupEvent(Enum):
    """A verb begins, comes to its end (`*_DONE`), is taken back (`*_UNDONE`) or can't go on (`*_FAILED`)."""

    CREATE_DONE = "create_done"
    CREATE_FAILED = "create_failed"
    UPDATE = "update"
    UPDATE_DONE = "update_done"
    UPDATE_UNDONE = "update_undone"
    SYNC = "sync"
    STOP = "stop"
    EXTEND = "extend"
    REVERSE = "reverse"
    REVERSE_DONE = "reverse_done"
    REVERSE_UNDONE = "reverse_undone"
    REVERSE_FAILED = "reverse_failed"
    FAIL_OVER = "fail_over"
    FAIL_OVER_DONE = "fail_over_done"
    FAIL_OVER_UNDONE = "fail_over_undone"
    FAIL_OVER_UNDONE_REVERSING = "fail_over_undone_reversing"  # it began in error_reversing
    FAIL_OVER_FAILED = "fail_over_failed"
    REPROTECT = "reprotect"
    REPROTECT_DONE = "reprotect_done"
    DELETE = "delete"
    DELETE_FAILED = "delete_failed"


_S, _E = GroupStatus, GroupEvent

GROUP = Table(
    "group",
    GroupStatus,
    GroupEvent,
    {
        _S.CREATING: {_E.CREATE_DONE: _S.AVAILABLE, _E.CREATE_FAILED: _S.ERROR},
        _S.AVAILABLE: {
            _E.UPDATE: _S.UPDATING,
            _E.SYNC: _S.AVAILABLE,
            _E.STOP: _S.AVAILABLE,
            _E.EXTEND: _S.AVAILABLE,
            _E.REVERSE: _S.REVERSING,
            _E.FAIL_OVER: _S.FAILING_OVER,
            _E.DELETE: _S.DELETING,
        },
        # A failed update is taken back as a whole, so it never leaves an error behind.
        _S.UPDATING: {_E.UPDATE_DONE: _S.AVAILABLE, _E.UPDATE_UNDONE: _S.AVAILABLE},
        _S.REVERSING: {
            _E.REVERSE_DONE: _S.AVAILABLE,
            _E.REVERSE_UNDONE: _S.AVAILABLE,
            _E.REVERSE_FAILED: _S.ERROR_REVERSING,
        },
        _S.FAILING_OVER: {
            _E.FAIL_OVER_DONE: _S.FAILED_OVER,
            _E.FAIL_OVER_UNDONE: _S.AVAILABLE,
            _E.FAIL_OVER_UNDONE_REVERSING: _S.ERROR_REVERSING,
            _E.FAIL_OVER_FAILED: _S.ERROR_FAILING_OVER,
        },
        # The old production site is out until a reprotect; stopping what is stopped already is no error.
        _S.FAILED_OVER: {
            _E.REPROTECT: _S.FAILED_OVER,
            _E.REPROTECT_DONE: _S.AVAILABLE,
            _E.STOP: _S.FAILED_OVER,
        },
        _S.DELETING: {_E.DELETE_FAILED: _S.ERROR_DELETING},
        _S.ERROR: {_E.STOP: _S.ERROR, _E.DELETE: _S.DELETING},
        # Past its point of no return a reversal only goes forward: again, or, when the new production
        # site died meanwhile, by a failover back. It ends in step: so whatever stands in the way of that, a stop or
        # a ledger that was lost (rule 17), is to be mended by a sync.
        _S.ERROR_REVERSING: {
            _E.REVERSE: _S.REVERSING,
            _E.FAIL_OVER: _S.FAILING_OVER,
            _E.STOP: _S.ERROR_REVERSING,
            _E.SYNC: _S.ERROR_REVERSING,
        },
        _S.ERROR_FAILING_OVER: {_E.FAIL_OVER: _S.FAILING_OVER, _E.STOP: _S.ERROR_FAILING_OVER},
        _S.ERROR_DELETING: {_E.STOP: _S.ERROR_DELETING, _E.DELETE: _S.DELETING},
    },
)

SETTLED = frozenset(
    {
        GroupStatus.AVAILABLE,
        GroupStatus.FAILED_OVER,
        GroupStatus.ERROR,
        GroupStatus.ERROR_REVERSING,
        GroupStatus.ERROR_FAILING_OVER,
        GroupStatus.ERROR_DELETING,
    }
)
