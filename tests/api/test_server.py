"""The HTTP server's end, with clients that would keep it."""

import asyncio
import socket

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bilocate.api.audit import AuditLog
from bilocate.api.gate import Gate
from bilocate.api.metrics import Metrics
from bilocate.api.server import ApiServer, bind
from bilocate.config import ApiLimits, ApiListener

pytestmark = pytest.mark.anyio

LARGE = 32 * 1024 * 1024  # more than the kernel keeps for a connection


async def test_a_client_that_takes_no_answer_does_not_keep_the_server() -> None:
    answered = asyncio.Event()

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b" " * LARGE)(scope, receive, send)
        answered.set()

    gate = Gate(large, ApiLimits(), Metrics("test"), AuditLog(None))
    listener = ApiListener(port=0)
    server = ApiServer(gate, listener, bound := bind(listener))
    await server.start()
    with socket.create_connection(bound.getsockname()) as deaf:
        deaf.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(8):
            await answered.wait()
            await server.stop(0.2)
