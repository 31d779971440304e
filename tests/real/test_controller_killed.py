"""Item 12. The controller is killed at every step of every verb, and the operation ends right all the same.

The verbs are collected from the product: a new one fails here until it has a scene. One operation of each is
carried through all of its steps by as many controllers: each dies at the next moment (an injection point in the
runner, no sleep), the next one takes over what it finds.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.real.conftest import LONG, MakeHost
from tests.real.harness.installation import Installation
from tests.real.harness.scenes import Scene, scene_of
from tests.real.harness.waiting import wait_for

from bilocate.cli.errors import CliError
from bilocate.operations.injection import ENVIRONMENT_NAME, Moment
from bilocate.operations.verbs import all_verbs

# The fast tests kill at all three moments; here the one that leaves the most behind: a step whose effects are
# there, and the journal does not know it.
MOMENTS = list(Moment) if LONG else [Moment.IN]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation for all scenes."""
    installation = Installation(tmp_path_factory.mktemp("stage") / "installation")
    try:
        installation.up()
        yield installation
    finally:
        installation.end()


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted(all_verbs()))
def test_an_operation_ends_right_though_each_of_its_steps_kills_the_controller(
    stage: Installation, make_host: MakeHost, verb: str
) -> None:
    """See the module."""
    scene = scene_of(verb, stage, make_host())
    scene.prepare()
    before = {row["id"] for row in operations(stage)}
    moments = [(step.name, moment) for step in all_verbs()[verb].steps for moment in MOMENTS]
    arm(stage, verb, *moments[0])
    call(scene)
    for step, moment in moments[1:]:
        stage.wait_dead("controller")
        stage.start("controller", {ENVIRONMENT_NAME: f"{verb}:{step}:{moment.value}"}, wait=False)
    stage.wait_dead("controller")
    stage.start("controller")
    (operation,) = [row for row in operations(stage) if row["id"] not in before and row["verb"] == verb]
    wait_for("operation's end", lambda: status_of(stage, operation["id"]) not in ("running", "undoing"))
    assert status_of(stage, operation["id"]) == "succeeded", operation_words(stage, operation["id"])
    scene.ended_right(operation["target_id"])
    assert nothing_is_held(stage)


def arm(stage: Installation, verb: str, step: str, moment: Moment) -> None:
    """The controller starts anew, and will die there."""
    stage.stop("controller")
    stage.start("controller", {ENVIRONMENT_NAME: f"{verb}:{step}:{moment.value}"})


def call(scene: Scene) -> None:
    """It may die before it has answered; what it has begun is in the journal then."""
    with contextlib.suppress(CliError, httpx.TransportError):
        scene.call()


def operations(stage: Installation) -> list[dict[str, Any]]:
    try:
        return stage.query("SELECT * FROM operations")
    except sqlite3.OperationalError:
        return []


def status_of(stage: Installation, operation_id: str) -> str:
    (row,) = stage.query("SELECT status FROM operations WHERE id = ?", operation_id)
    return str(row["status"])


def operation_words(stage: Installation, operation_id: str) -> str:
    (row,) = stage.query("SELECT * FROM operations WHERE id = ?", operation_id)
    return str(row)


def nothing_is_held(stage: Installation) -> bool:
    """No target waits for an operation that has ended, no agent for a word that will not come."""
    tables = ("volumes", "pairs", "groups")
    held = [stage.query(f"SELECT id FROM {table} WHERE operation_id IS NOT NULL") for table in tables]
    return not any(held) and not stage.query("SELECT id FROM sessions WHERE held OR quiesced")
