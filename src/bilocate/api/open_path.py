"""A path that belongs to no project: whoever handles it looks at the credentials itself, if it wants any."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bilocate.api.codes import method_not_allowed
from bilocate.api.gate import ROUTE

OpenHandler = Callable[[Request], Awaitable[Response]]


class OpenPath:
    """An ASGI application for one such path."""

    def __init__(self, path: str, methods: Mapping[str, OpenHandler]) -> None:
        self._path = path
        self.methods = dict(methods)
        if "GET" in self.methods:
            self.methods.setdefault("HEAD", self.methods["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; what goes wrong is raised."""
        scope[ROUTE] = self._path
        request = Request(scope, receive)
        handler = self.methods.get(request.method)
        if handler is None:
            raise method_not_allowed(request.method, self.methods)
        await (await handler(request))(scope, receive, send)
