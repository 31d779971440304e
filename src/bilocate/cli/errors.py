"""What can go wrong in a command, one class per exit code; the message says what to do next."""


class CliError(Exception):
    """The command was understood and did not come to its end. Exit code 1."""

    exit_code = 1


class UsageProblem(CliError):
    """The command line can't be carried out as it was written. Exit code 2."""

    exit_code = 2


class Conflict(CliError):
    """A state is in the way; the message names it and the way out. Exit code 3."""

    exit_code = 3


class NotFound(CliError):
    """There is no such volume, pair, group or site. Exit code 4."""

    exit_code = 4


class OutOfReach(CliError):
    """The controller or something it needs did not answer; trying again may help. Exit code 5."""

    exit_code = 5


class ApiError(CliError):
    """The API refused a call in any other way: `status` is the HTTP status. Exit code 1."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


EXIT_CODES_HELP = (
    "Exit codes: 0 done · 1 failed · 2 the command line is wrong (or a name is ambiguous) · "
    "3 a state is in the way · 4 not found · 5 the controller or a site is out of reach."
)
