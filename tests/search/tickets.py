"""Numbers that the core only compares: two states that differ in nothing but their counting are one state.

The core counts commits, calls, links, versions and places in the order of a link. It asks of two of them which
is greater, and makes a new one greater than all there are; nothing else. So a state's own may be replaced by
their ranks, class by class (`canonical`), without changing what can follow. 0 stays 0: it means "none".
"""


class Ticket(int):
    """A number of which only the order counts; the next one is of the same class."""

    def __add__(self, other: int) -> "Ticket":
        return type(self)(int(self) + other)


# Each site counts its own: a number of one is never compared with one of the other.


class TokenA(Ticket):
    """A commit, a flush or a read of chunks at site A."""


class TokenB(Ticket):
    """The same at site B."""


class CallA(Ticket):
    """A call of site A to the arbiter."""


class CallB(Ticket):
    """A call of site B."""


class Link(Ticket):
    """A connection between the sites."""


class Version(Ticket):
    """The arbiter row's version."""


class Seq(Ticket):
    """A place in the order of a link."""


class Name(Ticket):
    """The number in a generation, a process's or a boot's name; written as ~n~ in a text."""


TICKETS: tuple[type[Ticket], ...] = (TokenA, TokenB, CallA, CallB, Link, Version, Seq, Name)


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


TOKENS: dict[str, type[Ticket]] = {"A": TokenA, "B": TokenB}
CALLS: dict[str, type[Ticket]] = {"A": CallA, "B": CallB}
