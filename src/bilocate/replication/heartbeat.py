"""Whether the other end of a link is heard, and when it is to hear from here; the same at both halves."""

from bilocate.replication.limits import Limits


class Heartbeat:
    """Of the present link. Times are seconds of the caller's clock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ping_at = 0.0
        self.heard_at = 0.0

    def begin(self, now: float) -> None:
        """A new link."""
        self.heard_at = now
        self._ping_at = now + self._limits.heartbeat_seconds

    def silent(self, now: float) -> bool:
        """Whether nothing was heard for so long that the link counts as lost (TRIP)."""
        return now - self.heard_at >= self._limits.heartbeat_timeout_seconds

    def due(self, now: float) -> bool:
        """Whether the other end is to hear from here now; the next time is counted from here."""
        if now < self._ping_at:
            return False
        self._ping_at = now + self._limits.heartbeat_seconds
        return True

    @property
    def deadline(self) -> float:
        """When to look again."""
        return min(self._ping_at, self.heard_at + self._limits.heartbeat_timeout_seconds)
