"""The states of an operation in the journal, and every move between them."""

from enum import Enum

from bilocate.domain.table import Table


class OperationStatus(Enum):
    """How far an operation is."""

    RUNNING = "running"  # journalled; a runner carries it on, or will
    UNDOING = "undoing"  # failed before its point of no return: done steps are taken back in reverse
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # undone, or stuck behind its point of no return: its target's status tells which


class OperationEvent(Enum):
    """What a runner tells an operation."""

    TAKE_OVER = "take_over"
    FINISH = "finish"
    UNDO = "undo"
    GIVE_UP = "give_up"
    UNDONE = "undone"
    START_AGAIN = "start_again"


_S, _E = OperationStatus, OperationEvent

OPERATION = Table(
    "operation",
    OperationStatus,
    OperationEvent,
    {
        _S.RUNNING: {
            _E.TAKE_OVER: _S.RUNNING,
            _E.FINISH: _S.SUCCEEDED,
            _E.UNDO: _S.UNDOING,
            _E.GIVE_UP: _S.FAILED,
        },
        # A lost race may be tried again once everything is undone (failover against a living primary).
        _S.UNDOING: {_E.TAKE_OVER: _S.UNDOING, _E.UNDONE: _S.FAILED, _E.START_AGAIN: _S.RUNNING},
        _S.SUCCEEDED: {},
        _S.FAILED: {},
    },
)

UNFINISHED = (OperationStatus.RUNNING, OperationStatus.UNDOING)
