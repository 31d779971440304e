"""Every table is complete: each state and event either moves or is refused, and nothing moves on a refusal."""

from enum import Enum
from typing import Any

import pytest

from bilocate.domain.errors import IllegalTransition
from bilocate.domain.group_states import GROUP, SETTLED, GroupEvent, GroupStatus
from bilocate.domain.operation_states import OPERATION, UNFINISHED, OperationStatus
from bilocate.domain.pair_states import PAIR, PairStatus
from bilocate.domain.primary_states import PRIMARY, PrimaryState
from bilocate.domain.secondary_states import SECONDARY, SecondaryState
from bilocate.domain.table import Table
from bilocate.domain.volume_states import VOLUME, VolumeStatus

TABLES: list[Table[Any, Any]] = [GROUP, PAIR, VOLUME, OPERATION, PRIMARY, SECONDARY]
FIRST: dict[str, Enum] = {
    "group": GroupStatus.CREATING,
    "pair": PairStatus.CREATING,
    "volume": VolumeStatus.CREATING,
    "operation": OperationStatus.RUNNING,
    "primary half": PrimaryState.DETACHED,
    "secondary half": SecondaryState.SETTLING,
}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_state_and_event_moves_or_is_refused_by_name(table: Table[Any, Any]) -> None:
    for state in table.states:
        for event in table.events:
            if table.allows(state, event):
                assert table.step(state, event) in table.states
            else:
                with pytest.raises(IllegalTransition) as refused:
                    table.step(state, event, "it")
                assert state.value in str(refused.value)
                assert event.value in str(refused.value)
                assert "it" in str(refused.value)
                assert table.name in str(refused.value)
                for legal in table.moves[state]:
                    assert str(legal.value) in str(refused.value)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_state_is_reached_and_every_event_is_of_use(table: Table[Any, Any]) -> None:
    reached, used = {FIRST[table.name]}, set()
    while True:
        more = {new for state in reached for new in table.moves[state].values()} - reached
        if not more:
            break
        reached |= more
    for state in table.states:
        used |= set(table.moves[state])
    assert reached == set(table.states.__members__.values())
    assert used == set(table.events.__members__.values())


def test_an_ended_operation_never_moves_again() -> None:
    for status in OperationStatus:
        assert bool(OPERATION.moves[status]) == (status in UNFINISHED)


def test_stopping_is_accepted_in_every_settled_state_of_a_group_and_in_no_other() -> None:
    assert {status for status in GroupStatus if GROUP.allows(status, GroupEvent.STOP)} == SETTLED


def test_every_unsettled_group_has_a_way_to_a_settled_state() -> None:
    for status in set(GroupStatus) - SETTLED:
        ends = GROUP.moves[status].values()
        assert all(end in SETTLED for end in ends), status
        assert ends


def test_a_failed_verb_never_looks_available() -> None:
    for state, moves in GROUP.moves.items():
        for event, new in moves.items():
            if event.value.endswith("_failed"):
                assert new.value.startswith("error"), (state, event)


def test_a_table_without_a_row_for_a_state_can_not_be_made() -> None:
    rows = {state: {} for state in PairStatus if state is not PairStatus.ERROR}  # type: ignore[var-annotated]
    with pytest.raises(ValueError, match=r"small: no row for .*ERROR"):
        Table("small", PairStatus, PairStatus, rows)
    whole = Table(
        "small", PairStatus, PairStatus, {**rows, PairStatus.ERROR: {PairStatus.ERROR: PairStatus.AVAILABLE}}
    )
    assert whole.step(PairStatus.ERROR, PairStatus.ERROR) is PairStatus.AVAILABLE
    assert (whole.name, whole.states, whole.events) == ("small", PairStatus, PairStatus)
