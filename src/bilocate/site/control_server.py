"""Serves the control endpoint: an HTTP server within the agent's event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

# Controllers keep their connections for a minute; a failover has no time to open them.
_KEEP_ALIVE_SECONDS = 75
# Calls and connections at once; more are refused with 503.
_CONCURRENCY_MAX = 512
_STARTED_LOOK_SECONDS = 0.002


def bind(host: str, port: int) -> socket.socket:
    """Take the address, before anything else is done.

    :raises OSError: it is taken, or is none of this machine's.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart doesn't wait for old ones
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"can't listen on {host}:{port}: {error.strerror}") from error
    return bound


class ControlServer:
    """An application on a bound socket, from `start` to `stop`."""

    def __init__(self, app: Starlette, bound: socket.socket) -> None:
        self._bound = bound
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                http="h11",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_CONCURRENCY_MAX,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Comes back when calls are answered."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._bound]), name="control")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the control endpoint ended before it had begun")
            await asyncio.sleep(_STARTED_LOOK_SECONDS)

    async def stop(self) -> None:
        """Calls under way are cut off: each may be repeated, and none is believed before its answer."""
        if self._task is None:
            self._bound.close()
            return
        self._server.should_exit = self._server.force_exit = True
        await self._task


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the wiring's business: it stops more than this server, and in an order."""
        yield
