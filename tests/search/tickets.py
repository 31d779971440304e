"""Numbers that the core only compares: two states that differ in nothing but their counting are one state.

The core counts commits, calls, links, versions and places in the order of a link. It asks of two of them which
is greater, and makes a new one greater than all there are; nothing else. So a state's own may be replaced by
their ranks, class by class (`canonical`), without changing what can follow. 0 stays 0: it means "none".
"""


class Ticket(int):
    """A number of which only the order counts; the next one is of the same class."""

    def __add__(self, other: int) -> "Ticket":
        return type(self)(int(self) + other)


class Token(Ticket):
    """A commit, a flush or a read of chunks."""


class CallId(Ticket):
    """A call to the arbiter."""


class Link(Ticket):
    """A connection between the sites."""


class Version(Ticket):
    """The arbiter row's version."""


class Seq(Ticket):
    """A place in the order of a link."""


class Name(Ticket):
    """The number in a generation, a process's or a boot's name; written as ~n~ in a text."""


TICKETS: tuple[type[Ticket], ...] = (Token, CallId, Link, Version, Seq, Name)


class Counter:
    """An endless count of tickets of one class, which can be copied."""

    def __init__(self, kind: type[Ticket]) -> None:
        self.kind = kind
        self.last = 0

    def __iter__(self) -> "Counter":
        return self

    def __next__(self) -> Ticket:
        self.last += 1
        return self.kind(self.last)
