"""One path by which users, projects and roles are managed: who may, the body, the handler."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError
from starlette.requests import Request
from starlette.responses import Response

from bilocate.api.audit import note
from bilocate.api.bodies import read_object
from bilocate.api.codes import Problem
from bilocate.api.context import Caller, Parts
from bilocate.api.identity.access import authenticate, require_admin
from bilocate.api.identity.login import Login

PREFIX = "/identity/v3"
WITH_BODY = frozenset({"POST", "PATCH"})


@dataclass(frozen=True, slots=True)
class Ask:
    """A request about users, projects or roles, from someone who may make it."""

    parts: Parts
    login: Login
    request: Request
    caller: Caller
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """The address of the identity service."""
        return self.parts.public_url + PREFIX

    @property
    def path(self) -> dict[str, str]:
        """The path's variables."""
        return self.request.path_params


AskHandler = Callable[[Ask], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AdminCall:
    """One method of one path. `own`: not admins alone, the handler says who else (by `access.require_owner`)."""

    parts: Parts
    login: Login
    handler: AskHandler
    own: bool = False

    async def __call__(self, request: Request) -> Response:
        """One request; what goes wrong is raised."""
        caller = await authenticate(self.parts, request.headers.get("x-auth-token"))
        note(request, user_id=caller.user_id, user_name=caller.user_name)
        return await self._answer(request, caller)

    async def _answer(self, request: Request, caller: Caller) -> Response:
        if not self.own:
            require_admin(caller)
        ask = Ask(self.parts, self.login, request, caller)
        if request.method in WITH_BODY:
            body = await read_object(request, self.parts.config.limits)
            ask = Ask(self.parts, self.login, request, caller, body)
        try:
            return await self.handler(ask)
        except IntegrityError as error:
            # Two at once asked for the same name, or for something that the other one has just removed.
            raise Problem(409, "someone else has just changed the same: look, then ask again") from error


def admin_calls(
    parts: Parts, login: Login, methods: Mapping[str, tuple[AskHandler, bool]]
) -> dict[str, AdminCall]:
    """The methods of one path."""
    return {method: AdminCall(parts, login, handler, own) for method, (handler, own) in methods.items()}
