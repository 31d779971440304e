"""Connections to PostgreSQL that wait for nobody without an end.

A controller that hangs in the middle of a transaction must not keep a row from the others, and a server that hangs
must not keep a controller: whatever is cut off here ends as *unknown*, and is asked again.
"""

import asyncio
import os
import socket
from typing import Any

import psycopg
from psycopg import waiting

# How long a server may take to accept a connection, in seconds.
CONNECT_TIMEOUT_SECONDS = 5
# Silence of the server, in seconds, after which the connection is taken for lost. Statements take milliseconds.
SILENCE_SECONDS = 8.0
# Between looks at what may have interrupted a wait, in seconds. The driver's own.
LOOK_SECONDS = 0.1
# How long a transaction waits for a row that another one has, in milliseconds.
LOCK_TIMEOUT_MS = 4000
# How long a transaction may do nothing, in milliseconds. Ours never wait for the network, so whoever does nothing
# hangs, and the server lets go of its rows.
IDLE_IN_TRANSACTION_MS = 3000
# A machine that is gone is noticed by what it does not acknowledge, in milliseconds.
UNACKNOWLEDGED_MS = 5000


class BoundedConnection(psycopg.AsyncConnection[Any]):
    """A connection that is cut off when the server says nothing for `SILENCE_SECONDS`."""

    async def wait(self, gen: Any, interval: float = LOOK_SECONDS, timeout: float | None = None) -> Any:
        """As the driver's own, with an end: a lost connection's error."""
        giving_up = asyncio.get_running_loop().call_later(SILENCE_SECONDS, self._hang_up)
        try:
            return await waiting.wait_async(gen, self.fileno(), interval=interval, timeout=timeout)
        except asyncio.CancelledError:
            # The driver's own would ask the server to cancel, and wait for its answer.
            self.pgconn.finish()
            raise
        finally:
            giving_up.cancel()

    def _hang_up(self) -> None:
        # The driver finds its connection ended, and says so.
        with socket.socket(fileno=os.dup(self.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


def connect_arguments(patient: bool) -> dict[str, Any]:
    """What every connection is made with. `patient`: for migrations, which may take their time."""
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "bilocate",
        "tcp_user_timeout": UNACKNOWLEDGED_MS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
    if not patient:
        options = {
            "lock_timeout": LOCK_TIMEOUT_MS,
            "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
        }
        arguments["options"] = " ".join(f"-c {name}={value}" for name, value in options.items())
        arguments["async_creator_fn"] = BoundedConnection.connect
    return arguments
