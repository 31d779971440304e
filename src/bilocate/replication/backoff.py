"""Longer and longer pauses after what failed."""

from bilocate.replication.limits import Limits


class Backoff:
    """When a resync or a pull may be tried again; times are seconds of the caller's clock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pause = limits.retry_seconds
        self.until = 0.0

    def failed(self, now: float) -> None:
        """Not again at once."""
        self.until = now + self._pause
        self._pause = min(2 * self._pause, self._limits.retry_seconds_max)

    def succeeded(self) -> None:
        """The next failure is a first one again."""
        self._pause = self._limits.retry_seconds

    def over(self, now: float) -> None:
        """Somebody asks for it: at once."""
        self.until = now
