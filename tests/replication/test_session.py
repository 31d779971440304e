"""One session at one site: what is put, and how one half follows another. A is the primary, B the secondary."""

import errno
from dataclasses import replace

import pytest
from tests.replication.scene import SMALL, in_step
from tests.sim.world.disk import Failure
from tests.sim.world.world import SESSION, A, B

from bilocate.replication.records import Role
from bilocate.replication.wanted import MalformedWanted


def test_FAILOVER_a_promotion_that_could_not_flush_says_so_and_may_be_asked_for_again() -> None:
    """Else the session would be "just taking on another state" until its process ends."""
    scene = in_step()
    scene.world.controller.reconciling = False
    scene.world.disk(0, B).failures.append(Failure("flush", errno.EIO))
    wanted = scene.world.controller.wanted(SESSION, B)
    answers: list[object] = []
    for _ in range(2):
        epoch = scene.world.arbiter.next_epoch()
        put = replace(wanted, epoch=epoch, role=Role.PRIMARY, peer_site=A)
        scene.b.put_session(SESSION, put, answers.append)
        scene.run(0.1)
    assert [getattr(answer, "code", "") for answer in answers] == ["flush_failed"] * 2


@pytest.mark.parametrize("what", ["role", "members"])
def test_REV_another_role_or_other_members_within_an_epoch_are_refused(what: str) -> None:
    scene = in_step([SMALL, SMALL])
    scene.world.controller.reconciling = False
    known = scene.world.controller.wanted(SESSION, A)
    other = (
        replace(known, role=Role.SECONDARY) if what == "role" else replace(known, members=known.members[:1])
    )
    answers: list[object] = []
    scene.a.put_session(SESSION, replace(other, revision=known.revision + 1), answers.append)
    assert isinstance(answers.pop(), MalformedWanted)
    scene.check()
