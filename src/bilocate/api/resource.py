"""One path of a project's API: who may, which methods there are, then the body, then the handler."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bilocate.api.audit import note
from bilocate.api.bodies import read_object
from bilocate.api.codes import method_not_allowed
from bilocate.api.context import Call, Caller, Handler, Parts
from bilocate.api.gate import ROUTE, VERSION
from bilocate.api.identity.access import authenticate, require_project, require_right
from bilocate.api.negotiation import V3_LOWEST, VERSION_HEADER, microversion, spelled
from bilocate.store.sealing import require_unsealed

READS = frozenset({"GET", "HEAD"})
WITH_BODY = frozenset({"POST", "PUT"})


class Resource:
    """An ASGI application for one path below /v2/{p} or /v3/{p}."""

    def __init__(self, parts: Parts, version: str, path: str, methods: Mapping[str, Handler]) -> None:
        self._parts = parts
        self._version = version
        self._path = path
        self.methods = dict(methods)
        if "GET" in self.methods:
            self.methods.setdefault("HEAD", self.methods["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; what goes wrong is raised."""
        scope[ROUTE] = self._path
        request = Request(scope, receive)
        caller = await authenticate(self._parts, request.headers.get("x-auth-token"))
        who = {
            "user_id": caller.user_id,
            "user_name": caller.user_name,
            "token_project_id": caller.project_id,
        }
        note(request, **who)
        response = await self._answer(request, caller)
        await response(scope, receive, send)

    async def _answer(self, request: Request, caller: Caller) -> Response:
        project_id: str = request.path_params["project_id"]
        require_project(caller, project_id)
        handler = self.methods.get(request.method)
        if handler is None:
            raise method_not_allowed(request.method, self.methods)
        require_right(caller, reading=request.method in READS)
        if request.method not in READS:
            async with self._parts.database.reading() as db:
                await require_unsealed(db)
        version = self._microversion(request)
        call = Call(self._parts, request, caller, project_id, self._version)
        if version is not None:
            call.microversion = version
            request.scope[VERSION] = f"volume {spelled(version)}"
        if request.method in WITH_BODY:
            call.body = await read_object(request, self._parts.config.limits)
        return await handler(call)

    def _microversion(self, request: Request) -> tuple[int, int] | None:
        if self._version != "v3":
            return None
        return microversion(request.headers.getlist(VERSION_HEADER)) or V3_LOWEST
