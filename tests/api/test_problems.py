"""The table of errors: nothing that an operation can refuse with at the call is answered as a defect."""

import inspect

import pytest

from bilocate.api.codes import EVS_CODES, FAILURE_CODES, NAMES, Problem
from bilocate.api.problems import TABLE, body_of, problem_of
from bilocate.domain import errors_operations as op
from bilocate.domain.errors import BilocateError
from bilocate.domain.failures import Failure
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.observed import Replication

# The root: every class below it says more.
NEVER_AT_A_CALL = {op.OperationError}

ERRORS = [kind for _, kind in inspect.getmembers(op, inspect.isclass) if issubclass(kind, BilocateError)]


@pytest.mark.parametrize("kind", sorted(set(ERRORS) - NEVER_AT_A_CALL - {BilocateError}, key=str))
def test_every_refusal_has_a_status(kind: type[BilocateError]) -> None:
    assert any(base in TABLE for base in kind.__mro__), f"{kind.__name__} would be answered with 500"


def test_every_status_has_a_name_and_a_code_and_codes_differ() -> None:
    assert set(NAMES) == set(EVS_CODES)
    assert len(set(EVS_CODES.values())) == len(EVS_CODES)


def test_every_failure_has_a_number() -> None:
    assert set(FAILURE_CODES) == set(Failure)
    assert all(number.isdecimal() and len(number) == 8 for number in FAILURE_CODES.values())


def test_messages_use_the_apis_words() -> None:
    wrong = op.WrongStatus("group", "g", GroupStatus.FAILED_OVER, [GroupStatus.AVAILABLE], "reprotect it")
    problem = problem_of(wrong, 1)
    assert problem.status == 409
    assert "is failovered, it must be available" in problem.message
    not_in_step = problem_of(op.NotInStep("g", Replication.PAUSED_EQUAL), 1)
    assert "is active-stopped," in not_in_step.message


def test_a_503_says_when_to_come_back() -> None:
    assert problem_of(op.AgentUnavailable("az1", "refused"), 7).headers["Retry-After"] == "7"
    assert "Retry-After" not in problem_of(op.AgentTimeout("az1", 1.0), 7).headers


def test_what_a_client_sent_does_not_fill_the_answer() -> None:
    assert len(body_of(Problem(400, "x" * 10**6))["badRequest"]["message"]) == 1001
    attached = op.HostsAttached("g", [f"volume-{number}" for number in range(1000)])
    assert "volume-2 and 997 more" in str(attached)
    assert str(attached).endswith("to have them disconnected")


def test_the_body_of_an_error() -> None:
    assert body_of(Problem(404, "nothing there")) == {
        "itemNotFound": {"code": 404, "message": "nothing there", "error_code": "EVS.5404"}
    }
