"""Errors between the runner and the verbs."""


class RecordedError(Exception):
    """What an operation failed of, as the journal has it: the undo may be carried out by another process.

    `kind` is the name of the error's class.
    """

    def __init__(self, message: str, kind: str | None) -> None:
        super().__init__(message)
        self.kind = kind
