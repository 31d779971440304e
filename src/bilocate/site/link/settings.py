"""The bounds and times of links."""

from dataclasses import dataclass

from bilocate.replication.ports import TRANSIENT_BYTES_MAX

KIB = 1024
MIB = 1024 * KIB

# A TCP address, or the path of a unix socket.
Address = tuple[str, int] | str


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Every bound of a link, with its unit and why."""

    # Two round trips and a few hashes; whoever needs longer is not an agent.
    handshake_seconds: float = 5.0
    # Connections whose other side has not proven itself yet. Past it the oldest one goes: an agent is through
    # in milliseconds, so it is never the oldest.
    half_open_max: int = 64
    # Longer than a lost SYN's first repetition (1 s), so that one lost packet is no failed try.
    connect_seconds: float = 3.0
    # First and longest pause between tries of the dialer; the real pause is up to half as long again, so that
    # many sessions do not dial in step.
    retry_seconds_min: float = 0.02
    retry_seconds_max: float = 1.0
    # A link that lived shorter is no reason to dial at once again: a refusal ends it within milliseconds.
    settled_seconds: float = 0.25
    # While a link has been lost for less than this, pauses stay short: hosts are held for as long, and a link that
    # is back in time is worth a resync saved.
    eager_seconds: float = 0.5
    eager_pause_seconds_max: float = 0.05
    # Bytes taken by `send` and not yet by the kernel. The core's window keeps far below it; past it the peer
    # reads nothing and memory must not grow (rule 27).
    unsent_bytes_max: int = 256 * MIB
    # Collected frames are sent at once when there are so many bytes, else once per turn of the event loop.
    collected_bytes_max: int = 256 * KIB
    # How long `close` waits for the peer to take what was sent.
    linger_seconds: float = 2.0
    # One read takes at most this much: a batch of about 60 small writes. No more, for views into it are taken for such.
    receive_bytes: int = TRANSIENT_BYTES_MAX
    # Payloads of at least this size that don't arrive in one piece are received into their own memory.
    own_payload_bytes: int = 32 * KIB
    # A dead peer behind an idle connection is noticed by the core's heartbeat; these only clean up after it.
    keepalive_idle_seconds: int = 10
    keepalive_interval_seconds: int = 5
    keepalive_probes: int = 3
    # Unix sockets have small fixed buffers; TCP's grow by themselves, and setting them would stop that.
    unix_socket_bytes: int = 1 * MIB


def parse_address(value: object) -> Address:
    """An address as JSON has it: `["host", port]`, or the path of a unix socket.

    :raises ValueError: for anything else.
    """
    if isinstance(value, str) and value.startswith("/"):
        return value
    if isinstance(value, list | tuple) and len(value) == 2:
        host, port = value
        if isinstance(host, str) and isinstance(port, int) and 0 < port < 65536:
            return host, port
    raise ValueError(f"{value!r} is no address: give [host, port] or the path of a unix socket")


def spell_address(address: Address) -> str:
    """For people."""
    return address if isinstance(address, str) else f"{address[0]}:{address[1]}"
