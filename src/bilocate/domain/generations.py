"""MOMENT: what the generations of copies tell of the moment that they are of. Pure."""

from collections.abc import Iterable


def of_one_moment(generations: Iterable[str]) -> bool:
    """Whether copies of several volumes, each of this generation, are known to be of one moment of all of them.

    The end of a resync gives all volumes of a session the same generation, and from then on they get writes together
    or none. One that has joined since has another: it rests where another session left it, or was never a copy ("").
    """
    found = set(generations)
    return len(found) == 1 and "" not in found
