"""Bounds and times of a session; the agent fills them from its settings."""

from dataclasses import dataclass

MIB = 1024 * 1024
# Extents that are marked in advance for who writes one after the other: 32 MiB, which a crash has compared in vain.
INTENTS_AHEAD = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Rule 27's bounds in bytes and counts; waits in seconds."""

    unanswered_bytes_max: int = 64 * MIB
    intents_max: int = 4096
    intents_ahead: int = INTENTS_AHEAD
    resync_window_bytes: int = 8 * MIB
    resync_bytes_per_second: int = 0  # 0: as fast as it goes
    heartbeat_seconds: float = 0.25
    heartbeat_timeout_seconds: float = 1.5
    resume_wait_seconds: float = 0.25
    restart_wait_seconds: float = 2.0
    arbiter_retry_seconds: float = 0.5
    quiesce_timeout_seconds: float = 30.0
    retry_seconds: float = 1.0  # after a resync or a pull that failed; doubles up to the next
    retry_seconds_max: float = 30.0
    # How long a primary that is told of a failover's check waits before it asks for a permit (rule 22).
    failover_hold_seconds: float = 3.0
