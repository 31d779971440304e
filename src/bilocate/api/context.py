"""What every handler is given: the parts of the controller, and the request as far as it has been understood."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from bilocate.api.codes import Problem
from bilocate.config import ControllerConfig
from bilocate.operations.service import Operations
from bilocate.store.database import Database


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the token says."""

    user_id: str
    user_name: str
    project_id: str | None
    roles: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """An admin may act in every project."""
        return "admin" in self.roles


class Identity(Protocol):
    """An identity service elsewhere."""

    url: str  # where clients take their tokens, of version 3

    async def caller(self, secret: str) -> Caller | None:
        """Who a token is of; None for one that is not valid."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API is built of."""

    config: ControllerConfig
    database: Database
    operations: Operations
    control_token: str
    public_url: str  # where clients reach this controller, without a path at its end
    keystone: Identity | None = None  # who knows the callers; None: the built-in identity service


@dataclass(slots=True)
class Call:
    """One request that was admitted: authenticated, in its project, with a body that is a JSON object."""

    parts: Parts
    request: Request
    caller: Caller
    project_id: str
    version: str  # "v2" or "v3"
    body: dict[str, Any] = field(default_factory=dict)
    microversion: tuple[int, int] = (3, 0)  # of v3; v2 has none

    def require_version(self, lowest: tuple[int, int]) -> None:
        """:raises Problem: 404, as block storage answers for what the asked microversion does not have."""
        if self.microversion < lowest:
            asked, needed = (f"{major}.{minor}" for major, minor in (self.microversion, lowest))
            raise Problem(
                404,
                f"version {asked} has no such call: send the header 'OpenStack-API-Version: volume {needed}', "
                "or a later version",
            )

    @property
    def path(self) -> dict[str, str]:
        """The path's variables."""
        return self.request.path_params

    @property
    def requested_by(self) -> str:
        """For the journal."""
        return f"{self.caller.user_name} ({self.caller.user_id})"

    @property
    def base_url(self) -> str:
        """The address of the project's resources."""
        return f"{self.parts.public_url}/{self.version}/{self.project_id}"


Handler = Callable[[Call], Awaitable[Response]]
