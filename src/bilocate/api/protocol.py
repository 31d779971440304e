"""The server's end of a connection: uvicorn's own, with bounds for whoever says nothing, or what is no request."""

import asyncio
import secrets
from http import HTTPStatus
from typing import Any

import h11
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from bilocate.api.codes import Problem, malformed
from bilocate.api.gate import HEAD_BYTES_MAX
from bilocate.api.problems import body_of
from bilocate.config import ApiLimits
from bilocate.logs import REQUEST_ID_HEADER

NO_REQUEST = f"what came is no HTTP request, or its head has more than {HEAD_BYTES_MAX} bytes"
TOO_LATE = "the head of the request did not arrive within {:g} s: send it again"


class Crowd:
    """The connections that are in no request, in the order in which they came to be so."""

    def __init__(self, limits: ApiLimits) -> None:
        self.head_seconds = limits.head_seconds
        self._most = limits.idle_connections_max
        self._waiting: dict[Protocol, None] = {}

    def enter(self, connection: "Protocol") -> None:
        """It waits for a request. Where too many do, the one that has waited longest makes room."""
        self._waiting[connection] = None
        if len(self._waiting) > self._most:
            next(iter(self._waiting)).make_room()

    def leave(self, connection: "Protocol") -> None:
        """It is in a request, or has ended."""
        self._waiting.pop(connection, None)


class Protocol(H11Protocol):
    """One connection."""

    def __init__(self, crowd: Crowd, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._crowd = crowd
        self._too_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head must come."""
        super().connection_made(transport)
        self._crowd.enter(self)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """A part of a head, or of a body; or whole requests."""
        super().data_received(data)
        if self._is_in_request:
            self._stop_waiting()
        elif not self.transport.is_closing():
            self._await_head()

    def on_response_complete(self) -> None:
        """The next head may come, within the time for which connections are kept."""
        super().on_response_complete()
        if not self._is_in_request and not self.transport.is_closing():
            self._crowd.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Of what can't be read as a request. `msg` is in uvicorn's words, which say less."""
        self._end_with(malformed(NO_REQUEST))

    def make_room(self) -> None:
        """Too many connections wait for a request, this one longest."""
        self._stop_waiting()
        self.transport.abort()

    @property
    def _is_in_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        if self._too_late is None:
            self._too_late = self.loop.call_later(self._crowd.head_seconds, self._end_late)

    def _stop_waiting(self) -> None:
        self._crowd.leave(self)
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None

    def _end_late(self) -> None:
        began, _ = self.conn.trailing_data
        if began:
            self._end_with(Problem(408, TOO_LATE.format(self._crowd.head_seconds)))
        else:
            self.transport.close()

    def _end_with(self, problem: Problem) -> None:
        """Whatever is said here is the last that is."""
        self._stop_waiting()
        if self._is_in_request:  # whoever answers it is too late
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = JSONResponse(body_of(problem), problem.status, problem.headers)
            headers = [
                *answer.raw_headers,
                (b"connection", b"close"),
                (REQUEST_ID_HEADER.lower().encode(), f"req-{secrets.token_hex(16)}".encode()),
            ]
            reason = HTTPStatus(problem.status).phrase.encode()
            events = (
                h11.Response(status_code=problem.status, headers=headers, reason=reason),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            )
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
