"""Every scenario against the real core, by its name; and that one notices when its rule is taken out."""

import pytest
from tests.replication.scenarios.broken import breakages, noticed
from tests.replication.scenarios.format import load, scenarios
from tests.replication.scenarios.play import play


@pytest.mark.parametrize("name", scenarios())
def test_scenario(name: str) -> None:
    scenario = load(scenarios()[name])
    assert len(list(play(scenario))) == len(scenario.rows)


@pytest.mark.parametrize("name", scenarios())
def test_there_is_a_breakage_of_each_scenarios_rule(name: str) -> None:
    assert breakages(name)


def test_a_scenario_notices_when_its_rule_is_taken_out() -> None:
    """One of them; `python -m tests.replication.scenarios --broken` shows it of each."""
    (breakage,) = breakages("race_1_READWAIT")
    said = noticed("race_1_READWAIT", breakage)
    assert said is not None
    assert "race_1_READWAIT.txt, line " in said
    assert "'r1 waits' in column A: it is answered" in said


def test_the_run_of_a_scenario_is_told_row_by_row() -> None:
    told = list(play(load(scenarios()["race_9_SWITCHOVER"]), trace=True))
    happened = {row.strip(): lines for row, lines in told}
    (restart,) = (lines for row, lines in happened.items() if row.endswith("| process restarts"))
    assert any("process starts" in line for line in restart)
    assert any("switch_over of controller: in_sync" in line for lines in happened.values() for line in lines)
