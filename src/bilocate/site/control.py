"""The agent's control endpoint: what controllers put and ask, as HTTP with JSON.

Every call may be repeated. Refusals are {"error": code, "message"}; 409 says that the state does not allow it.
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bilocate.domain.errors import BilocateError
from bilocate.logs import REQUEST_ID_HEADER, fit_request_id, under_request_id
from bilocate.replication.wanted import MalformedWanted, Wanted
from bilocate.site.bodies import WantedCopy, WantedVolume, checked_id, checked_source, whole
from bilocate.site.errors import ControlError, MalformedBody
from bilocate.site.metrics import CONTENT_TYPE
from bilocate.site.sessions import STEPS, Sessions

log = structlog.get_logger(__name__)

Handler = Callable[[Request], Awaitable[dict[str, Any]]]

# A session of 1000 pairs takes 200 KiB.
BODY_BYTES_MAX = 1024 * 1024
# From the headers to the end of the body.
BODY_SECONDS_MAX = 10.0


@dataclass(slots=True)
class AgentFacts:
    """Which agent this is, and which life of it. `announced`: a controller has heard of it."""

    site: str
    instance: str
    boot_id: str
    version: str
    announced: bool = field(default=False)

    def told(self) -> dict[str, Any]:
        """The part that every answer about the agent begins with."""
        return {"site": self.site, "instance": self.instance, "boot_id": self.boot_id}


class Control:
    """The endpoint's application."""

    def __init__(self, facts: AgentFacts, sessions: Sessions, token: str) -> None:
        """`token`: `control_token(key)`."""
        self._facts = facts
        self._sessions = sessions
        self._authorization = f"Bearer {token}".encode()
        self.app = Starlette(
            routes=[
                # No token: a program that may read figures need not be one that may change volumes.
                Route("/metrics", self._metrics, methods=["GET"]),
                Route("/v1/health", self._guarded(self._health), methods=["GET"]),
                Route("/v1/status", self._guarded(self._status), methods=["GET"]),
                Route("/v1/volumes/{id}", self._guarded(self._volume), methods=["PUT", "DELETE"]),
                Route("/v1/volumes/{id}/copy", self._guarded(self._copy), methods=["PUT"]),
                Route("/v1/volumes/{id}/copyable", self._guarded(self._copyable), methods=["GET"]),
                Route("/v1/inspect", self._guarded(self._inspect), methods=["POST"]),
                Route("/v1/sessions/{id}", self._guarded(self._session), methods=["GET", "PUT", "DELETE"]),
                Route("/v1/sessions/{id}/{step}", self._guarded(self._step), methods=["POST"]),
                # Also whatever has no path here: who does not show the token learns nothing.
                Route("/{path:path}", self._guarded(self._nothing), methods=_METHODS),
            ]
        )

    # --- the calls ---

    async def _metrics(self, request: Request) -> Response:
        return PlainTextResponse(self._sessions.figures(), media_type=CONTENT_TYPE)

    async def _health(self, request: Request) -> dict[str, Any]:
        facts = self._facts
        return {**facts.told(), "version": facts.version, "announced": facts.announced}

    async def _status(self, request: Request) -> dict[str, Any]:
        sessions, volumes = self._sessions.told_all()
        return {**self._facts.told(), "sessions": sessions, "volumes": volumes}

    async def _volume(self, request: Request) -> dict[str, Any]:
        volume_id = checked_id(request.path_params["id"])
        if request.method == "DELETE":
            await self._sessions.delete_volume(volume_id)
            return {}
        return await self._sessions.put_volume(volume_id, WantedVolume.from_json(await _body(request)))

    async def _copy(self, request: Request) -> dict[str, Any]:
        volume_id = checked_id(request.path_params["id"])
        return await self._sessions.copy_volume(volume_id, WantedCopy.from_json(await _body(request)))

    async def _copyable(self, request: Request) -> dict[str, Any]:
        self._sessions.require_copyable(checked_id(request.path_params["id"]))
        return {}

    async def _inspect(self, request: Request) -> dict[str, Any]:
        return {"size_bytes": await self._sessions.inspect(checked_source(await _body(request)))}

    async def _session(self, request: Request) -> dict[str, Any]:
        session_id = checked_id(request.path_params["id"])
        match request.method:
            case "PUT":
                return await self._sessions.put(session_id, Wanted.from_json(await _body(request)))
            case "DELETE":
                await self._sessions.end(session_id, _epoch_of_query(request))
                return {}
            case _:
                return self._sessions.told_session(session_id)

    async def _step(self, request: Request) -> dict[str, Any]:
        session_id, name = checked_id(request.path_params["id"]), request.path_params["step"]
        if name not in STEPS:
            raise _NoSuchPath
        body = await _body(request)
        return await self._sessions.step(session_id, name, whole(body, "epoch"), whole(body, "attempt"))

    async def _nothing(self, request: Request) -> dict[str, Any]:
        raise _NoSuchPath

    # --- what is common to all ---

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Under the request id of whoever asks, so that an operation can be followed from the API to here."""

        async def answer(request: Request) -> Response:
            with under_request_id(fit_request_id(request.headers.get(REQUEST_ID_HEADER))):
                response = await self._answer(handler, request)
                if request.method != "GET":
                    path, status = request.url.path, response.status_code
                    log.info("control_call", method=request.method, path=path, status=status)
                return response

        return answer

    async def _answer(self, handler: Handler, request: Request) -> Response:
        """Authorization first; refusals and defects as the agreement spells them."""
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            return _refusal(401, "unauthorized", "the bearer token is missing or wrong")
        try:
            return JSONResponse(await handler(request))
        except ControlError as error:
            return _refusal(error.status, error.code, str(error))
        except MalformedWanted as error:
            return _refusal(400, MalformedBody.code, str(error))
        except _NoSuchPath:
            return _refusal(404, "no_such_path", f"there is no {request.method} {request.url.path}")
        except BilocateError as error:
            code = getattr(error, "code", None)
            if code is None:
                return self._defect(request, error)
            # "busy" ends by itself: the caller comes again, as to an agent that is just starting.
            return _refusal(503 if code == "busy" else 409, str(code), str(error))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception as error:
            return self._defect(request, error)

    def _defect(self, request: Request, error: Exception) -> Response:
        log.error("control_call_failed", method=request.method, path=request.url.path, exc_info=error)
        return _refusal(500, "internal_error", "an internal error: see the agent's log")


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class _NoSuchPath(Exception):
    """The agreement has no such call."""


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": code, "message": message}, status_code=status)


def _epoch_of_query(request: Request) -> int:
    text = request.query_params.get("epoch", "")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise MalformedBody("the query must name the epoch, a whole number")
    return int(text)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent, within bounds."""
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for part in request.stream():
                content += part
                if len(content) > BODY_BYTES_MAX:
                    raise MalformedBody(f"the body is longer than {BODY_BYTES_MAX} bytes")
    except TimeoutError:
        raise MalformedBody(f"the body took longer than {BODY_SECONDS_MAX:g} s") from None
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedBody("the body is not JSON") from error
    if not isinstance(body, dict):
        raise MalformedBody("the body is not a JSON object")
    return body
