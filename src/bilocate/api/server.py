"""The HTTP server around the application: its socket, its start, and an end that loses no answer."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import structlog
import uvicorn

from bilocate.api.gate import HEAD_BYTES_MAX, Gate
from bilocate.api.protocol import Crowd, Protocol
from bilocate.config import ApiLimits, ApiListener
from bilocate.tls import server_context

log = structlog.get_logger("bilocate.api")

BACKLOG = 512
KEEP_ALIVE_SECONDS = 60  # a client that polls keeps its connection
CUT_OFF_SECONDS = 0.5  # for the answers to what had to be cut off
TAKEN_SECONDS = 1  # for clients to take the last answers, at the end
STARTED_LOOK_SECONDS = 0.005


class ServerDidNotStart(RuntimeError):
    """The HTTP server ended before it had begun."""


def bind(listener: ApiListener) -> socket.socket:
    """The listening address, taken before anything else is done: two controllers never share one.

    :raises OSError: it is taken, or is none of this machine's.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # a restart doesn't wait for old connections
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def public_url(listener: ApiListener, bound: socket.socket) -> str:
    """What clients are told to call: what is configured, or where it listens."""
    if listener.public_url:
        return listener.public_url.rstrip("/")
    scheme = "https" if listener.tls_certificate_file else "http"
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    return f"{scheme}://{host}:{bound.getsockname()[1]}"


class ApiServer:
    """Serves the application on a bound socket."""

    def __init__(
        self, gate: Gate, listener: ApiListener, bound: socket.socket, limits: ApiLimits | None = None
    ) -> None:
        """:raises KeyFileError, TlsFileError: the certificate or its key can't be used."""
        self._gate = gate
        self._bound = bound
        certificate, key = listener.tls_certificate_file, listener.tls_key_file
        tls = server_context(certificate, key) if certificate and key else None
        config = uvicorn.Config(
            gate,
            lifespan="off",
            interface="asgi3",
            http=partial(Protocol, Crowd(limits or ApiLimits())),  # type: ignore[arg-type]
            ws="none",
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=TAKEN_SECONDS,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Comes back when requests are answered."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._bound]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise ServerDidNotStart("the HTTP server ended before it had begun")
            await asyncio.sleep(STARTED_LOOK_SECONDS)

    async def ended(self) -> None:
        """Comes back when the server has ended, which it does only when it is told to, or fails."""
        assert self._task is not None
        await asyncio.shield(self._task)

    async def stop(self, seconds: float) -> None:
        """Refuse what comes (503), give what is under way `seconds`, answer the rest with 503, then end."""
        self._gate.shutting_down = True
        if not await self._idle_within(seconds):
            log.warning("requests_cut_off", count=self._gate.under_way)
            self._gate.cut_off()
            # Whoever does not even take its answer is left.
            self._server.force_exit = not await self._idle_within(CUT_OFF_SECONDS)
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    async def _idle_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._gate.idle.wait()
        return not self._gate.under_way


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the wiring's business: it stops more than the HTTP server, and in an order."""
        yield
