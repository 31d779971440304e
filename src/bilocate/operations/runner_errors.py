"""Errors between the runner and the verbs: no call is ever answered with one."""

from bilocate.domain.errors_operations import OperationError


class RecordedError(Exception):
    """What an operation failed of, as the journal has it: the undo may be carried out by another process.

    `kind` is the name of the error's class.
    """

    def __init__(self, message: str, kind: str | None) -> None:
        super().__init__(message)
        self.kind = kind


class StepTimedOut(OperationError):
    """A condition that a step waits for did not come about in time."""

    def __init__(self, what: str, seconds: float, seen: str) -> None:
        super().__init__(f"{what} did not happen within {seconds:g} s; last seen: {seen}")


class LeaseLost(OperationError):
    """Another controller carries this operation on: this one must not touch it any more."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"operation {operation_id} is carried on by another controller, or has ended")
