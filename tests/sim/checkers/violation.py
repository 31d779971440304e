"""A promise that was broken."""


class Violation(AssertionError):
    """Says which promise (P1 to P6), and where."""

    def __init__(self, promise: str, what: str) -> None:
        self.promise = promise
        super().__init__(f"{promise}: {what}")
