"""Which calls of operations come too late (LATE): every attempt to change roles has a number, and they rise."""


class Attempts:
    """The attempts that one half has heard of.

    An attempt is begun by a check or a quiesce and ended by a release or a resume, all with its number. Calls may
    arrive late, twice and in any order: one of an attempt that is over, or older than the newest, does nothing.
    """

    def __init__(self) -> None:
        self.newest = 0
        self._over = True

    def begin(self, number: int) -> bool:
        """A call that begins it: whether it is to be carried out."""
        if number < self.newest or (number == self.newest and self._over):
            return False
        self.newest, self._over = number, False
        return True

    def end(self, number: int) -> bool:
        """A call that ends it, and with it all older ones: whether it is to be carried out."""
        if number < self.newest:
            return False
        self.newest, self._over = number, True
        return True
