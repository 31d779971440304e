"""The root of everything that Bilocate raises on purpose."""


class BilocateError(Exception):
    """Something was refused or can't be done; the message says what, and what to do about it."""


class IllegalTransition(BilocateError):
    """A state machine was told of an event that its table does not list. Nothing moved."""

    def __init__(self, machine: str, subject: str, state: str, event: str, legal: list[str]) -> None:
        self.machine, self.subject, self.state, self.event, self.legal = machine, subject, state, event, legal
        of = f" {subject}" if subject else ""
        allowed = ", ".join(legal) if legal else "nothing"
        super().__init__(f"{machine}{of} is {state}: {event} is not possible, only {allowed}")
