"""The API's client as the commands use it: its failures are those of errors.py, which have exit codes."""

from typing import TypeVar

from bilocate.cli.credentials import Credentials
from bilocate.cli.errors import ApiError, CliError, Conflict, NotFound, OutOfReach, UsageProblem
from bilocate.client import client as calls
from bilocate.client import errors
from bilocate.client.exchange import Steps
from bilocate.client.resources import Group, Pair, Volume
from bilocate.tls import client_context

__all__ = ["Client", "Group", "Pair", "Volume"]

T = TypeVar("T")


class Client(calls.Client):
    """Calls of one project, with what an openrc says."""

    def __init__(
        self, credentials: Credentials, timeout_seconds: float = calls.REQUEST_TIMEOUT_SECONDS
    ) -> None:
        super().__init__(credentials, timeout_seconds, client_context(credentials.ca_file))
        self.credentials = credentials

    def run(self, steps: Steps[T]) -> T:
        """Carry the steps of a call out.

        :raises CliError: one of the classes of errors.py.
        """
        try:
            return super().run(steps)
        except errors.ClientError as error:
            raise _as_shown(error) from error


def _as_shown(error: errors.ClientError) -> CliError:
    """The failure with its exit code and with what a person at a terminal can do."""
    match error:
        case errors.Unreachable():
            return OutOfReach(
                f"{error} Is the controller running? `bilocate up --state-dir DIR` starts what is not."
            )
        case errors.Unauthorized():
            return ApiError(
                f"{error} Check OS_USERNAME and OS_PASSWORD, or source DIR/openrc again.", error.status
            )
        case errors.NoSuchName():
            return NotFound(f"{error}: `bilocate {error.kind} list` shows all.")
        case errors.AmbiguousName() | errors.Malformed():
            return UsageProblem(str(error))
        case errors.NotFound():
            return NotFound(str(error))
        case errors.Conflict():
            return Conflict(str(error))
        case errors.NotTheApi() | errors.BadGateway() | errors.Unavailable() | errors.GatewayTimeout():
            return OutOfReach(str(error))
        case errors.Refused():
            return ApiError(str(error), error.status)
    return CliError(str(error))
