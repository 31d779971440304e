"""The arbiter's rule, whole: every call in every state, and every way in which a call can be out of date."""

from dataclasses import replace
from itertools import product

import pytest

from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState, decide, state_of_successor

ROW = Row("s", epoch=7, primary="az1", secondary="az2", state=RowState.IN_SYNC, version=20)
CHANGES = (Call.FAIL_OVER, Call.SWITCH_OVER)
AGENTS = tuple(call for call in Call if call not in CHANGES)
S, Y, T = RowState.IN_SYNC, RowState.SYNCING, RowState.STALE
# The state after a call, by the state before; what is not there is refused for the state.
AFTER = {
    Call.ATTACH: {S: S, T: T, Y: Y},
    Call.REQUEST_SOLO: {S: T, T: T, Y: Y},
    Call.REQUEST_VOUCHED_SOLO: {S: T, T: T, Y: Y},
    Call.REQUEST_RESYNC: {S: Y, T: Y, Y: Y},
    Call.REPORT_IN_SYNC: {Y: S},
    Call.FAIL_OVER: {S: T},
    Call.SWITCH_OVER: {S: S},
}


def ask(call: Call, **changed: object) -> Ask:
    of_agents = Ask(call, epoch=7, site="az1", version=20)
    asked = of_agents if call in AGENTS else Ask(call, version=20, new_epoch=9)
    return replace(asked, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("call", "state"), list(product(Call, RowState)))
def test_a_call_in_a_state(call: Call, state: RowState) -> None:
    row = replace(ROW, state=state)
    found = decide(row, ask(call))
    if state not in AFTER[call]:
        assert found is Refusal.STATE
    elif call in CHANGES:
        assert found == Row("s", 9, "az2", "az1", AFTER[call][state], 21)
    else:
        assert found == replace(row, state=AFTER[call][state], version=21)


@pytest.mark.parametrize("state", list(RowState))
def test_loss_may_be_allowed_to_a_failover_alone(state: RowState) -> None:
    row = replace(ROW, state=state)
    assert decide(row, ask(Call.FAIL_OVER, allow_data_loss=True)) == Row("s", 9, "az2", "az1", T, 21)
    if state is not S:
        assert decide(row, ask(Call.SWITCH_OVER, allow_data_loss=True)) is Refusal.STATE


@pytest.mark.parametrize("call", AGENTS)
def test_an_agent_of_another_epoch_or_site_is_superseded(call: Call) -> None:
    row = replace(ROW, state=Y)
    for changed in ({"epoch": 6}, {"epoch": 8}, {"site": "az2"}):
        assert decide(row, ask(call, **changed)) is Refusal.SUPERSEDED


@pytest.mark.parametrize("call", [call for call in Call if call is not Call.ATTACH])
def test_CAS_another_version_is_refused(call: Call) -> None:
    for version in (19, 21):
        assert decide(replace(ROW, state=Y), ask(call, version=version)) is Refusal.CHANGED


@pytest.mark.parametrize("epoch", [0, 6, 7])
@pytest.mark.parametrize("call", CHANGES)
def test_an_epoch_that_does_not_rise_is_a_defect(call: Call, epoch: int) -> None:
    with pytest.raises(ValueError, match=f"epoch {epoch} is not above 7"):
        decide(ROW, ask(call, new_epoch=epoch))


def test_MEMBERS_a_session_made_of_others_is_as_bad_as_the_worst() -> None:
    assert [state_of_successor(list(states)) for states in ([], [S], [S, T], [T, Y, S])] == [T, T, T, Y]
