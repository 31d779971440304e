"""One path of a project's API: who may, which methods there are, then the body, then the handler."""

from collections.abc import Mapping

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bilocate.api.bodies import read_object
from bilocate.api.codes import method_not_allowed
from bilocate.api.context import Call, Caller, Handler, Parts
from bilocate.api.gate import ROUTE, VERSION
from bilocate.api.identity.access import authenticate, require_project, require_right
from bilocate.api.negotiation import V3_LOWEST, VERSION_HEADER, microversion, spelled
from bilocate.api.problems import problem_of

audit = structlog.get_logger("bilocate.audit", audit=True)

READS = frozenset({"GET", "HEAD"})
WITH_BODY = frozenset({"POST", "PUT"})


class Resource:
    """An ASGI application for one path below /v2/{p} or /v3/{p}."""

    def __init__(self, parts: Parts, version: str, path: str, methods: Mapping[str, Handler]) -> None:
        self._parts = parts
        self._version = version
        self._path = path
        self._methods = dict(methods)
        if "GET" in self._methods:
            self._methods.setdefault("HEAD", self._methods["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; what goes wrong is raised."""
        scope[ROUTE] = self._path
        request = Request(scope, receive)
        caller = await authenticate(self._parts, request.headers.get("x-auth-token"))
        if request.method in READS:
            response = await self._answer(request, caller)
        else:
            response = await self._audited(request, caller)
        await response(scope, receive, send)

    async def _answer(self, request: Request, caller: Caller) -> Response:
        project_id: str = request.path_params["project_id"]
        require_project(caller, project_id)
        handler = self._methods.get(request.method)
        if handler is None:
            raise method_not_allowed(request.method, self._methods)
        require_right(caller, reading=request.method in READS)
        version = self._microversion(request)
        call = Call(self._parts, request, caller, project_id, self._version)
        if version is not None:
            call.microversion = version
            request.scope[VERSION] = f"volume {spelled(version)}"
        if request.method in WITH_BODY:
            call.body = await read_object(request, self._parts.config.limits)
        return await handler(call)

    async def _audited(self, request: Request, caller: Caller) -> Response:
        """A call that may change something leaves a line: who, what, and how it ended. Never a body."""
        line = audit.bind(
            user_id=caller.user_id,
            user_name=caller.user_name,
            token_project_id=caller.project_id,
            method=request.method,
            path=request.url.path,
        )
        try:
            response = await self._answer(request, caller)
        except Exception as error:
            problem = problem_of(error, retry_after_seconds=0)
            line.info("call_refused", status=problem.status, message=problem.message, **_asked(request))
            raise
        line.info("call_accepted", status=response.status_code, **_asked(request))
        return response

    def _microversion(self, request: Request) -> tuple[int, int] | None:
        if self._version != "v3":
            return None
        return microversion(request.headers.getlist(VERSION_HEADER)) or V3_LOWEST


def note(request: Request, **what: object) -> None:
    """What a handler wants in the audit line, such as the action and its opt-ins; no secrets."""
    _asked(request).update(what)


def _asked(request: Request) -> dict[str, object]:
    noted: dict[str, object] = request.scope.setdefault("bilocate.audit", {})
    return noted
