"""The bounds of the NBD server (rule 27): past each of them it stops reading or ends a connection."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound with its unit. A server's memory stays under about `connections_max` times (256 KiB plus
    `unsent_bytes_max`) plus `receiving_bytes_max`, besides what the targets hold."""

    # Established connections; one more is closed at once.
    connections_max: int = 256
    # Connections that have not chosen an export yet. One more closes the oldest of them, so that a crowd of
    # idle ones cannot keep a host out, which needs milliseconds.
    negotiating_max: int = 64
    # How long a connection may take to choose an export.
    negotiation_seconds_max: float = 10.0
    # Longest option: two names of 4096 bytes fit. A longer one ends the connection.
    option_bytes_max: int = 16 * 1024
    # Longest read or write, told to clients. A longer write ends the connection: its payload would have to be
    # read to be refused. Zeroings may be longer; they reach the target in parts of this length.
    request_bytes_max: int = 32 * MIB
    # Requests of one connection that are not answered yet.
    in_flight_max: int = 1024
    # Replies to reads, of one connection, that the peer has not taken yet. A single read may be longer.
    unsent_bytes_max: int = 8 * MIB
    # Payloads of long writes that are arriving, over all connections. A further one waits for its turn.
    receiving_bytes_max: int = 256 * MIB
    # How long such a payload may take while others wait for the room.
    receiving_seconds_max: float = 30.0
    # A dead peer (power cut, no FIN) is found by keepalive probes: idle time before the first.
    keepalive_seconds: int = 30
