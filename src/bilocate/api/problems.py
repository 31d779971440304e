"""What went wrong, as HTTP says it: one table from error classes to status codes.

Handlers raise `Problem` for what is wrong with a request, and let everything from below pass: the most
specific class in `TABLE` decides. What is not in it is a defect: 500, without its message, which is logged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

from bilocate.api.codes import FAILURE_CODES, NAMES, NOT_LARGER, Problem
from bilocate.api.wire import GROUP_STATUS, PAIR_STATUS, REPLICATION_STATUS
from bilocate.api.wire_volumes import VOLUME_STATUS
from bilocate.domain import errors_operations as op
from bilocate.domain import errors_volumes as vol
from bilocate.domain.errors import IllegalTransition
from bilocate.domain.failures import Failure
from bilocate.store.database import DatabaseUnavailable

# The API's words for states: the domain's own must not reach a client.
_TABLES: Sequence[Mapping[Any, str]] = (GROUP_STATUS, PAIR_STATUS, VOLUME_STATUS, REPLICATION_STATUS)
WORDS: Mapping[Enum, str] = {state: word for table in _TABLES for state, word in table.items()}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    # The failure's number goes into the message: where clients of the documented API look for it.
    tell_failure: bool = False
    code: str | None = None  # where the error has an EVS code of its own


TABLE: Mapping[type[BaseException], _Answer] = {
    op.Invalid: _Answer(400),
    op.SizesDiffer: _Answer(400, tell_failure=True),
    vol.NotLarger: _Answer(400, code=NOT_LARGER),
    op.NotFound: _Answer(404),
    op.Conflict: _Answer(409),
    op.VolumePaired: _Answer(409, tell_failure=True),
    op.VolumeAttached: _Answer(409, tell_failure=True),
    op.TargetBusy: _Answer(409, tell_failure=True),
    op.SecondaryInconsistent: _Answer(409, tell_failure=True),
    op.SiteNotBack: _Answer(409, tell_failure=True),
    op.OverLimit: _Answer(413),
    vol.GroupQuotaExceeded: _Answer(413, tell_failure=True),
    IllegalTransition: _Answer(409),
    op.OutOfReach: _Answer(503),
    op.AgentUnavailable: _Answer(503, tell_failure=True),
    op.AgentTimeout: _Answer(504, tell_failure=True),
    op.AgentNonsense: _Answer(502),
    op.AgentRefused: _Answer(502),
    DatabaseUnavailable: _Answer(503),
}


def problem_of(error: BaseException, retry_after_seconds: int) -> Problem:
    """The answer to an error. Every 503 says when to try again."""
    problem = error if isinstance(error, Problem) else _from_table(error)
    if problem.status == 503:
        problem.headers.setdefault("Retry-After", str(retry_after_seconds))
    return problem


def body_of(problem: Problem) -> dict[str, Any]:
    """The JSON of an error."""
    return {
        NAMES[problem.status]: {
            "code": problem.status,
            "message": problem.message,
            "error_code": problem.code,
        }
    }


def identity_body_of(problem: Problem) -> dict[str, Any]:
    """The JSON of an error of the identity service, whose clients expect another shape."""
    title = HTTPStatus(problem.status).phrase
    return {"error": {"code": problem.status, "message": problem.message, "title": title}}


def _from_table(error: BaseException) -> Problem:
    for kind in type(error).__mro__:
        answer = TABLE.get(kind)
        if answer is not None:
            message = _message(error)
            failure = getattr(error, "failure", None)
            if answer.tell_failure and isinstance(failure, Failure):
                message = f"{message} ({FAILURE_CODES[failure]})"
            return Problem(answer.status, message, answer.code)
    return Problem(
        500, "something went wrong inside the controller: its log tells what, under this request id"
    )


def _message(error: BaseException) -> str:
    if isinstance(error, op.WrongStatus):
        needed = " or ".join(WORDS.get(each, str(each.value)) for each in error.needed)
        is_now = WORDS.get(error.status, str(error.status.value))
        return (
            f"the status of {error.kind} {error.target_id} is {is_now}, it must be {needed}: {error.remedy}"
        )
    if isinstance(error, op.NotInStep):
        return str(error).replace(f" is {error.status.value},", f" is {WORDS[error.status]},")
    return str(error)
