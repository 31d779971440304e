"""Plays a scenario against the real core, in the simulated world, with all checkers."""

from collections.abc import Iterator

from tests.replication.scenarios.format import Scenario
from tests.replication.scenarios.stage import Stage
from tests.replication.scene import EXTENT, SMALL, in_step
from tests.sim.checkers.violation import Violation


class NotSo(AssertionError):
    """A step that could not be taken, or what it expects is not so; or a promise was broken by it."""


def play(scenario: Scenario, trace: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Row by row: the row, and what happened (with `trace`). Both sites are in step at first, hosts connected at A.

    NotSo at the first step that fails: file, line, site, and why.
    """
    size = scenario.extents * EXTENT or SMALL
    try:
        stage = Stage(in_step([size] * scenario.volumes, trace, intents_max=scenario.intents))
    except (AssertionError, Violation) as error:
        raise NotSo(f"{scenario.name}.txt: the sites did not come in step, as it begins: {error}") from error
    lines = stage.scene.world.trace.lines
    lines.clear()
    for row, steps in scenario.rows:
        for step in steps:
            try:
                step.phrase.run(stage, step.site, step.given)
            except Exception as error:
                where = f"{scenario.name}.txt, line {step.line}: {step.text!r} in column {step.column}"
                expected = isinstance(error, AssertionError | Violation) and str(error)
                why = expected or f"the core or its world fails with {type(error).__name__}: {error}"
                raise NotSo(f"{where}: {why}") from error
        yield row, list(lines)
        lines.clear()
