"""What every request passes: request id, bounds, errors as JSON, one log event, one measurement."""

import asyncio
import hmac
import secrets
import time
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bilocate.api.audit import READS, AuditLog, notes_of
from bilocate.api.codes import Problem, malformed
from bilocate.api.metrics import Metrics
from bilocate.api.negotiation import VERSION_HEADER, accepts_json
from bilocate.api.problems import body_of, identity_body_of, problem_of
from bilocate.api.rates import TokenRates
from bilocate.config import ApiLimits
from bilocate.logs import REQUEST_ID_HEADER, fit_request_id, under_request_id

log = structlog.get_logger("bilocate.api")

# Health and metrics are asked by programs that know no JSON, and must answer while all else is refused.
ALWAYS_ANSWERED = frozenset({"/healthz", "/readyz", "/metrics"})
# However many clients ask, a site's hosts may be waiting for the arbiter's answer.
AGENTS = "/internal/"
HEAD_BYTES_MAX = 64 * 1024  # a token has fewer than 100
CUT_OFF = "this controller had to stop before the call had ended: look here shortly, or elsewhere, what became of it"
PROXY_HEADER = "X-Bilocate-Proxy"
# Set in the scope by whatever handles a request, for the measurement: a path's template, never the path.
ROUTE = "bilocate.route"
# The same, for the answer's head, be it a refusal: the microversion by which the request was understood.
VERSION = "bilocate.version"


class Gate:
    """The outermost ASGI application."""

    def __init__(
        self,
        app: ASGIApp,
        limits: ApiLimits,
        metrics: Metrics,
        audit: AuditLog,
        proxy_secret: str | None = None,
    ) -> None:
        self._app = app
        self._proxy_secret = proxy_secret
        self._limits = limits
        self._rates = TokenRates(limits.token_requests_per_second, limits.token_requests_burst)
        self._metrics = metrics
        self._audit = audit
        self.under_way = 0
        self.shutting_down = False
        self._bounds: set[asyncio.Timeout] = set()
        self.idle = asyncio.Event()
        self.idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return  # no web sockets; start and stop are the wiring's business, not ASGI's
        passage = _Passage(scope, send)
        self.under_way += 1
        self.idle.clear()
        try:
            with under_request_id(passage.request_id):
                await self._pass(passage, receive)
                self._report(passage)
        finally:
            self.under_way -= 1
            if not self.under_way:
                self.idle.set()

    def cut_off(self) -> None:
        """Answer what is still under way: the controller can't wait for its end."""
        for bound in self._bounds:
            bound.reschedule(asyncio.get_running_loop().time())

    async def _pass(self, passage: "_Passage", receive: Receive) -> None:
        try:
            self._admit(passage.scope)
            await self._answer(passage, receive)
        except ClientDisconnect:
            passage.status = passage.status or 499  # for the log: the client left before its answer
        except Exception as error:
            problem = problem_of(error, self._limits.retry_after_seconds)
            notes_of(passage.scope)["message"] = problem.message
            if problem.status == 500 or passage.status:
                log.exception("request_failed", path=passage.scope["path"])
            if passage.status:
                raise  # half an answer is out: the server closes the connection
            await error_response(passage.scope["path"], problem)(passage.scope, receive, passage.send)

    async def _answer(self, passage: "_Passage", receive: Receive) -> None:
        bound = asyncio.timeout(None)
        try:
            async with bound:
                self._bounds.add(bound)
                await self._app(passage.scope, receive, passage.send)
        except TimeoutError:
            if not bound.expired():
                raise
            raise Problem(503, CUT_OFF, headers={"Connection": "close"}) from None
        finally:
            self._bounds.discard(bound)

    def _admit(self, scope: Scope) -> None:
        if self.shutting_down and scope["path"] != "/healthz":
            raise Problem(
                503, "this controller is shutting down: try again shortly", headers={"Connection": "close"}
            )
        if scope["path"] in ALWAYS_ANSWERED or scope["path"].startswith(AGENTS):
            return
        headers = Headers(scope=scope)
        given = headers.get(PROXY_HEADER, "")
        if self._proxy_secret is not None and not hmac.compare_digest(
            given.encode(), self._proxy_secret.encode()
        ):
            raise Problem(
                407,
                "this service is reached only through its authenticating proxy, and the request did not come "
                "through it: ask the proxy's address",
                headers={"Proxy-Authenticate": "Bilocate"},
            )
        if self.under_way > self._limits.requests_max:
            raise Problem(
                503, f"more than {self._limits.requests_max} requests are under way: try again shortly"
            )
        self._rates.take(headers.get("x-auth-token"))
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_BYTES_MAX:
            raise malformed(f"the request's headers have more than {HEAD_BYTES_MAX} bytes")
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            raise malformed("the address has a NUL character in it")
        if not accepts_json(headers.getlist("accept")):
            raise Problem(406, "answers are JSON: accept application/json")

    def _report(self, passage: "_Passage") -> None:
        seconds = time.perf_counter() - passage.began
        route = passage.scope.get(ROUTE, "other")
        self._metrics.measure(passage.scope["method"], route, passage.status, seconds)
        if passage.scope["path"] in ALWAYS_ANSWERED:
            return
        if passage.scope["method"] not in READS:
            self._audit.record(passage.scope, passage.status)
        log.info(
            "request",
            method=passage.scope["method"],
            path=passage.scope["path"],
            status=passage.status,
            milliseconds=round(seconds * 1000, 1),
        )


def error_response(path: str, problem: Problem) -> JSONResponse:
    """An error in the shape that the clients of `path` expect."""
    body: dict[str, Any] = identity_body_of(problem) if path.startswith("/identity") else body_of(problem)
    return JSONResponse(body, problem.status, problem.headers)


class _Passage:
    """One request on its way: its id, its status once the answer begins."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.began = time.perf_counter()
        self.status = 0
        self.request_id = _request_id(Headers(scope=scope).get(REQUEST_ID_HEADER))
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on; its head gets the request id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID_HEADER] = self.request_id
            headers["X-Openstack-Request-Id"] = self.request_id  # where OpenStack's clients look for it
            if VERSION in self.scope:
                headers[VERSION_HEADER] = self.scope[VERSION]
                headers.add_vary_header(VERSION_HEADER)
        await self._send(message)


def _request_id(given: str | None) -> str:
    return fit_request_id(given) or f"req-{secrets.token_hex(16)}"
