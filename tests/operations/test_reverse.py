"""Switchover (rule 23): taken back when anything moves before the commit, only forward after it."""

from dataclasses import replace
from unittest.mock import patch

import pytest
from tests.operations.fake_agent import FakeAgent
from tests.operations.place import QUICK, SETTINGS, Place
from tests.operations.trying import Snapshots

from bilocate.domain.arbiter import RowState
from bilocate.domain.errors_operations import (
    AgentUnavailable,
    HostsAttached,
    NotInStep,
    SwitchoverOvertaken,
)
from bilocate.domain.failures import Failure
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.exports import Connector
from bilocate.operations.verbs import reverse
from bilocate.store.models import Attachment, AttachmentKind, Group, Session
from bilocate.store.transitions import blame

SUCCEEDED, FAILED = OperationStatus.SUCCEEDED, OperationStatus.FAILED


async def status_of(place: Place, group_id: str) -> GroupStatus:
    group: Group = await place.row(Group, group_id)
    return group.status


def test_attached_hosts_are_disconnected_only_by_force(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        one, other = await place.volumes_of(group_id, "az1")
        connect = place.operations.connect
        bare = await connect(one, AttachmentKind.CONNECTION, Connector("h"), project_id="p")
        attached = await connect(other, AttachmentKind.ATTACHMENT, Connector("h"), project_id="p")
        with pytest.raises(HostsAttached, match="force") as refused:
            await place.begin("reverse", group_id, {})
        assert one in str(refused.value)
        assert other in str(refused.value)
        assert await place.do("reverse", group_id, force=True) is SUCCEEDED
        # What a compute service attached stays until it ends it; neither is exported any more.
        assert (await place.row(Attachment, bare.id)).ended_because == "production moved"
        assert (await place.row(Attachment, attached.id)).ended_at is None
        volumes = place.world.agents["az1"].volumes
        assert volumes[one].exports == volumes[other].exports == []

    snapshots.in_step(work)


def test_a_group_that_is_not_in_step_or_whose_sites_are_away_is_refused(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az2 = place.world.agents["az2"]
        az2.up = False
        with pytest.raises(AgentUnavailable, match="az2"):
            await place.begin("reverse", group_id, {})
        az2.up = True
        assert await place.do("stop", group_id) is SUCCEEDED
        with pytest.raises(NotInStep, match="sync the group"):
            await place.begin("reverse", group_id, {})
        assert await status_of(place, group_id) is GroupStatus.AVAILABLE

    snapshots.in_step(work)


def test_a_trip_in_the_middle_starts_it_again(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az1 = place.world.agents["az1"]
        trips = 2

        async def trip() -> None:
            nonlocal trips
            trips -= 1
            if not trips:
                del az1.refuse["POST quiesce"]

        az1.refuse["POST quiesce"], az1.on_refusal = "lost_link", trip
        assert await place.do("reverse", group_id) is SUCCEEDED
        assert (await place.row(Group, group_id)).priority_site == "az2"

    snapshots.in_step(work)


def test_a_row_that_moved_while_hosts_were_held_takes_it_back(snapshots: Snapshots) -> None:
    """A quiesced primary that lost its link asked for a permit: the secondary lacks what it answers now."""

    async def work(place: Place, group_id: str) -> None:
        before = await place.told()
        operation_id = await place.operations.perform(
            "reverse", group_id, {}, project_id="p", requested_by="t"
        )
        real = place.operations.agents.quiesce

        async def overtaken(site: str, session_id: str, epoch: int, attempt: int) -> int:
            return await real(site, session_id, epoch, attempt) - 1

        with patch.object(place.operations.agents, "quiesce", overtaken):
            assert await place.end_of(operation_id) is FAILED
        operation = await place.operation(operation_id)
        assert operation.error_kind == SwitchoverOvertaken.__name__
        assert "the link was lost meanwhile" in str(operation.error)
        assert await place.told() == before

    snapshots.in_step(work)


def test_a_new_primary_that_dies_after_the_commit_is_failed_over_from(snapshots: Snapshots) -> None:
    """The row says in sync and both copies are equal: nothing stands in the way of going back."""

    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()

        async def die() -> None:
            az2.up = False

        # It dies when the old primary is told, which is after the commit.
        az1.before["PUT sessions"] = die
        assert await place.do("reverse", group_id) is FAILED
        az1.before.clear()
        assert await status_of(place, group_id) is GroupStatus.ERROR_REVERSING
        session: Session = await place.row(Session, group_id)
        assert (session.primary_site, session.state) == ("az2", RowState.IN_SYNC)
        assert await place.do("failover", group_id) is SUCCEEDED
        assert await status_of(place, group_id) is GroupStatus.FAILED_OVER
        assert (await place.row(Group, group_id)).priority_site == "az1"
        assert await place.world.write("az1", (await place.volumes_of(group_id, "az1"))[0])

    with patch.object(reverse, "SILENCE_SECONDS", 0.1):
        snapshots.in_step(work)


async def _fail_after_the_commit(place: Place, group_id: str) -> None:
    """The old primary hangs as it is told, which is after the commit: the reversal ends in an error."""
    az1 = place.world.agents["az1"]

    async def stop_short() -> None:
        az1.hangs = True

    az1.before["PUT sessions"] = stop_short
    assert await place.do("reverse", group_id) is FAILED
    assert await status_of(place, group_id) is GroupStatus.ERROR_REVERSING


def _come_back(agent: FakeAgent) -> None:
    agent.hangs, agent.deaf = False, False
    agent.before.clear()


@pytest.mark.parametrize("by_sync", [False, True])
def test_what_keeps_a_reversal_from_its_end_is_mended(snapshots: Snapshots, by_sync: bool) -> None:
    """A stop meanwhile, by its repetition alone (seed 81026820); by a sync also where both ledgers were lost, and it
    waits for an operator's word (seed 80015680)."""

    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()
        await _fail_after_the_commit(place, group_id)
        _come_back(az1)
        assert await place.do("stop", group_id) is SUCCEEDED
        await place.settle()
        if by_sync:
            why = (await place.row(Group, group_id)).failure_message
            assert why
            assert await place.do("sync", group_id, trust_primary=True) is SUCCEEDED
            assert await status_of(place, group_id) is GroupStatus.ERROR_REVERSING
            assert (await place.row(Group, group_id)).failure_message == why
            session: Session = await place.row(Session, group_id)
            assert not session.paused
            await place.settle()
        assert await place.do("reverse", group_id) is SUCCEEDED
        assert await status_of(place, group_id) is GroupStatus.AVAILABLE
        assert az2.halves[group_id].in_step

    with patch.object(reverse, "SILENCE_SECONDS", 0.1):
        snapshots.in_step(work)


def test_an_old_primary_that_dies_after_the_commit_is_not_waited_for(snapshots: Snapshots) -> None:
    """The new one serves; the reversal ends in an error that says that they are not in step, and can be repeated."""

    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()

        await _fail_after_the_commit(place, group_id)
        assert await place.world.write("az2", (await place.volumes_of(group_id, "az2"))[0])
        _come_back(az1)
        await place.settle()
        assert await place.do("reverse", group_id) is SUCCEEDED
        assert await status_of(place, group_id) is GroupStatus.AVAILABLE
        assert az2.halves[group_id].in_step

    timing = replace(QUICK, agent_call_seconds=60.0)
    snapshots.in_step(work, replace(SETTINGS, timing=timing))


def test_a_sync_forgets_why_an_extension_of_the_group_failed(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        async with place.database.writing() as db:
            group = await db.get(Group, group_id)
            assert group is not None
            blame(group, Failure.PRIMARY_STORAGE_ABNORMAL, "the disk is full")
        assert await place.do("sync", group_id) is SUCCEEDED
        assert (await place.row(Group, group_id)).failure_message is None

    snapshots.in_step(work)
