"""What a session tells of itself: every fact, in the states in which it means something."""

import errno
from dataclasses import replace
from typing import Any

import pytest
from tests.replication.scene import SMALL, Scene, in_step, solo
from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, SESSION, A, B

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.session import Session
from bilocate.replication.told import told_of

SIZES = [SMALL, 640 * KIB]


def volumes(scene: Scene, site: str, **first: Any) -> list[dict[str, Any]]:
    """Both volumes at rest, but for these facts of the first."""
    at_rest = {
        "generation": scene.durable(site).generation,
        "consistent": True,
        "blank": False,
        "dirty_bytes": 0,
        "dirty_chunks": 0,
        "intent_extents": 0,
        "failed_bytes": 0,
    }
    return [
        {
            "pair_id": f"pair{number}",
            "volume_id": scene.world.volume_id(number, site),
            "size_bytes": size,
            **at_rest,
            **({} if number else first),
        }
        for number, size in enumerate(SIZES)
    ]


def row(scene: Scene) -> dict[str, Any]:
    """The arbiter's row, as a primary tells it."""
    found = scene.world.arbiter.rows[SESSION]
    return {"epoch": found.epoch, "state": found.state.value, "version": found.version}


def test_in_step_each_site_tells_its_half() -> None:
    scene = in_step(SIZES)
    common = {
        "session_id": SESSION,
        "epoch": 1,
        "revision": scene.world.controller.wanted(SESSION, A).revision,
        "in_step": True,
        "quiesced": False,
        "holds_hello": False,
        "refusal": None,
        "permit": False,
        "link": {"up": True},
        "unanswered": {"writes": 0, "bytes": 0},
        "resync": None,
    }
    primary = scene.told(A)
    assert primary.pop("last_resync")["done_bytes"] == sum(SIZES)
    assert primary == common | {
        "role": "primary",
        "state": "in_step",
        "serving": True,
        "row": row(scene),
        "volumes": volumes(scene, A),
    }
    assert scene.told(B) == common | {
        "role": "secondary",
        "state": "following",
        "serving": False,
        "row": None,
        "last_resync": None,
        "volumes": volumes(scene, B),
    }


def test_alone_each_site_tells_what_it_lacks_and_what_it_may_do() -> None:
    scene = solo(SIZES)
    scene.until_answered(scene.host.write(5 * 128))  # in a short last chunk
    primary, secondary = scene.told(A), scene.told(B)
    assert (primary["in_step"], primary["permit"], primary["link"]) == (False, True, {"up": False})
    assert primary["row"] == row(scene)
    assert primary["row"]["state"] == "stale"
    assert primary["volumes"] == volumes(scene, A, dirty_bytes=512, dirty_chunks=1, intent_extents=1)
    assert (secondary["in_step"], secondary["link"], secondary["state"]) == (False, {"up": False}, "alone")


def test_what_is_not_answered_is_told() -> None:
    scene = in_step(SIZES)
    with scene.holding(Kind.FRAME, A, "CONFIRM"):
        scene.host.write(0)
        scene.hosts[1].write(0, 4)
        scene.run(0.02)
        assert scene.told(A)["unanswered"] == {"writes": 2, "bytes": 5 * 512}


def test_a_failed_write_is_told() -> None:
    scene = in_step(SIZES)
    scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, 512))
    scene.host.write(0)
    scene.run(0.02)
    assert scene.told(A)["volumes"][0]["failed_bytes"] == SMALL


def test_a_ledger_that_is_new_is_told() -> None:
    scene = in_step(SIZES)
    record = scene.b.sessions[SESSION].volumes[0].marks.record
    record.blank, record.consistent = True, False
    found = volumes(scene, B, blank=True, consistent=False, dirty_bytes=SMALL)
    assert scene.told(B)["volumes"] == found


def test_a_resync_is_told_while_it_runs_and_when_it_has_ended() -> None:
    scene = solo(SIZES)
    for chunk in (0, 2, 4):
        scene.until_answered(scene.host.write(chunk * 128))
    before = scene.told(A)["last_resync"]
    with scene.holding(Kind.FRAME, A, "HASHES"):
        scene.join()
        scene.wait(A, "copying")
        scene.run(0.1)
        running = scene.told(A)
        seconds = running["resync"]["seconds"]
        scene.run(0.1)
        assert scene.told(A)["resync"]["seconds"] == round(seconds + 0.1, 3)
    assert running["last_resync"] == before
    known = {"total_bytes": 3 * CHUNK_BYTES, "done_bytes": 0, "differing_bytes": 0}
    assert {name: running["resync"][name] for name in known} == known
    assert 0.1 <= seconds < 0.2
    scene.until_in_step()
    ended = scene.told(A)
    known = {
        "total_bytes": 3 * CHUNK_BYTES,
        "done_bytes": 3 * CHUNK_BYTES,
        "differing_bytes": 3 * CHUNK_BYTES,
    }
    assert {name: ended["last_resync"][name] for name in known} == known
    assert ended["last_resync"]["link_bytes"] > 3 * CHUNK_BYTES > running["resync"]["link_bytes"] > 0
    assert 0.2 <= ended["last_resync"]["seconds"] < 0.4
    scene.run(0.1)
    assert scene.told(A) == ended
    assert ended["resync"] is None


def test_a_change_of_roles_that_is_under_way_is_told() -> None:
    scene = in_step(SIZES)
    scene.world.controller.reconciling = False
    scene.ask(A, "quiesce")
    scene.wait(A, "quiesced")
    assert (scene.told(A)["quiesced"], scene.told(B)["holds_hello"]) == (True, False)
    scene = in_step(SIZES)
    scene.a.controller_in_reach = False
    scene.ask(B, "precheck")
    scene.wait(B, "holding")
    assert (scene.told(A)["quiesced"], scene.told(B)["holds_hello"]) == (False, True)


def test_why_a_primary_has_no_secondary_is_told() -> None:
    scene = in_step(SIZES)
    scene.world.controller.reconciling = False
    newer = replace(scene.world.controller.wanted(SESSION, B), epoch=2)
    scene.b.put_session(SESSION, newer, lambda error: None)
    scene.run(0.2)
    assert "this secondary is of epoch 2" in scene.told(A)["refusal"]


def test_a_session_whose_volumes_a_later_one_has_is_told_as_stopped() -> None:
    scene = in_step(SIZES)
    scene.world.controller.reconciling = False
    scene.b.ledger.volumes[scene.world.volume_id(0, B)].max_epoch = 5
    scene.restart(B)
    told = scene.told(B)
    assert told["volumes"][0]["pair_id"] == "pair0"
    names = ("state", "in_step", "link", "refusal", "row", "permit", "serving", "quiesced", "holds_hello")
    assert [told[name] for name in names] == [
        "stopped",
        False,
        {"up": False},
        None,
        None,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("left", [0, 1])
def test_a_session_that_has_lost_a_volume_is_told_without_it(left: int) -> None:
    """At a start whose ledger knows one of two: all sessions are asked for at once, and this one must not end that."""
    scene = in_step(SIZES)
    ports = scene.b.sessions[SESSION]
    session = Session(SESSION, B, "process", "boot", ports, scene.world.limits)
    marks = ports.session.marks[left : left + 1]
    session.restore(scene.b.ledger.sessions[SESSION], marks, scene.world.scheduler.now)
    told = told_of(session, scene.world.scheduler.now)
    assert (told["state"], told["volumes"]) == ("stopped", volumes(scene, B)[left : left + 1])
