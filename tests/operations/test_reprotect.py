"""Reprotect: what it refuses says what to do, and what it overwrites was counted and shown."""

import pytest
from tests.operations.place import Place
from tests.operations.trying import Snapshots

from bilocate.domain.errors_operations import DataWouldBeLost, SiteNotBack, VolumeAttached, WrongStatus
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.exports import Connector
from bilocate.store.models import AttachmentKind, Group, Session

SUCCEEDED = OperationStatus.SUCCEEDED


async def fail_over(place: Place, group_id: str, **args: bool) -> None:
    place.world.agents["az1"].up = False
    assert await place.do("failover", group_id, **args) is SUCCEEDED


def test_it_wants_a_failover_before_it_and_the_site_back(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az1 = place.world.agents["az1"]
        with pytest.raises(WrongStatus, match="fail the group over first"):
            await place.begin("reprotect", group_id, {})
        await fail_over(place, group_id)
        with pytest.raises(SiteNotBack, match="az1"):
            await place.begin("reprotect", group_id, {})
        az1.up = True
        volume_id = (await place.volumes_of(group_id, "az1"))[0]
        kept = az1.volumes.pop(volume_id)
        with pytest.raises(SiteNotBack, match="is missing"):
            await place.begin("reprotect", group_id, {})
        az1.volumes[volume_id] = kept
        await place.settle()
        assert await place.do("reprotect", group_id) is SUCCEEDED
        group = await place.row(Group, group_id)
        assert (group.status, group.priority_site) == (GroupStatus.AVAILABLE, "az2")
        assert place.world.agents["az2"].halves[group_id].in_step

    snapshots.in_step(work)


def test_volumes_that_a_compute_service_holds_there_are_not_overwritten(snapshots: Snapshots) -> None:
    """Bare connections were revoked by the failover; an attachment is its service's to end."""

    async def work(place: Place, group_id: str) -> None:
        one, other = await place.volumes_of(group_id, "az1")
        connect = place.operations.connect
        await connect(one, AttachmentKind.CONNECTION, Connector("h"), project_id="p")
        held = await connect(other, AttachmentKind.ATTACHMENT, Connector("h"), project_id="p")
        await fail_over(place, group_id)
        place.world.agents["az1"].up = True
        await place.settle()
        with pytest.raises(VolumeAttached, match="detach it first") as refused:
            await place.begin("reprotect", group_id, {})
        assert other in str(refused.value)
        await place.operations.disconnect(held.id, project_id="p")
        assert await place.do("reprotect", group_id) is SUCCEEDED

    snapshots.in_step(work)


def test_what_the_old_primary_alone_holds_is_counted_before_it_is_overwritten(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az1 = place.world.agents["az1"]
        assert await place.do("stop", group_id) is SUCCEEDED
        for volume_id in await place.volumes_of(group_id, "az1"):
            assert await place.world.write("az1", volume_id)
        await fail_over(place, group_id, allow_data_loss=True)
        az1.up = True
        await place.settle()
        with pytest.raises(DataWouldBeLost, match="up to 131072 bytes") as refused:
            await place.begin("reprotect", group_id, {})
        assert "allow_data_loss" in str(refused.value)
        assert (await place.row(Group, group_id)).status is GroupStatus.FAILED_OVER
        assert await place.do("reprotect", group_id, allow_data_loss=True) is SUCCEEDED
        assert not (await place.row(Session, group_id)).forced
        assert place.world.agents["az2"].halves[group_id].in_step

    snapshots.in_step(work)
