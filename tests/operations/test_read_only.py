"""A read-only volume on both databases: what sites are told, both of a pair, and what keeps the flag as it is."""

import pytest
from tests.operations.place import Place, at_a_place

from bilocate.domain.errors_operations import AgentUnavailable, SecondaryNotServed
from bilocate.domain.errors_volumes import FlagWhileAttached, OnlyRead
from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.exports import Connector
from bilocate.store.columns import new_id
from bilocate.store.models import AttachmentKind, Volume

HOST = Connector(host="h", properties={"host": "h"})


async def set_flag(place: Place, volume_id: str, read_only: bool = True) -> None:
    await place.operations.set_read_only(volume_id, read_only, project_id="p")


async def flags(place: Place, *volume_ids: str) -> list[bool]:
    return [(await place.row(Volume, each)).read_only for each in volume_ids]


async def connected(place: Place, site: str, volume_id: str) -> tuple[int, int]:
    """How many exports for writing and for reading the site serves once a host has connected."""
    attachment = await place.operations.connect(volume_id, AttachmentKind.CONNECTION, HOST, project_id="p")
    volume = place.world.agents[site].volumes[volume_id]
    found = len(volume.exports), len(volume.read_only_exports)
    await place.operations.disconnect(attachment.id, project_id="p")
    return found


def test_hosts_that_connect_from_then_on_only_read(database_url: str) -> None:
    async def work(place: Place) -> None:
        volume_id = await place.volume("az1")
        attachment = await place.operations.connect(
            volume_id, AttachmentKind.CONNECTION, HOST, project_id="p"
        )
        with pytest.raises(FlagWhileAttached, match="of host h"):
            await set_flag(place, volume_id)
        await place.operations.disconnect(attachment.id, project_id="p")
        await set_flag(place, volume_id)
        assert await connected(place, "az1", volume_id) == (0, 1)
        with pytest.raises(OnlyRead):
            await place.operations.attachments.attach(volume_id, Connector(host="h", mode="rw"), "p")
        await set_flag(place, volume_id, read_only=False)
        assert await connected(place, "az1", volume_id) == (1, 0)

    at_a_place(database_url, work)


def test_a_site_that_does_not_answer_leaves_the_flag_as_it_was(database_url: str) -> None:
    """A host that has just left may still be connected there, and would go on writing."""

    async def work(place: Place) -> None:
        volume_id = await place.volume("az1")
        place.world.agents["az1"].up = False
        with pytest.raises(AgentUnavailable):
            await set_flag(place, volume_id)
        assert await flags(place, volume_id) == [False]

    at_a_place(database_url, work)


def test_both_volumes_of_a_pair_have_the_flag_and_it_holds_at_the_other_site(database_url: str) -> None:
    async def work(place: Place) -> None:
        group_id = await place.active_group()
        (one, _), (other, _) = [await place.volumes_of(group_id, site) for site in ("az1", "az2")]
        with pytest.raises(SecondaryNotServed):
            await set_flag(place, other)
        await set_flag(place, one)
        assert await flags(place, one, other) == [True, True]
        assert await place.do("failover", group_id) is OperationStatus.SUCCEEDED
        assert await connected(place, "az2", other) == (0, 1)
        with pytest.raises(SecondaryNotServed):
            await set_flag(place, one, read_only=False)

    at_a_place(database_url, work)


@pytest.mark.parametrize("production", ["az1", "az2"])
def test_a_new_pair_takes_the_flag_of_production(database_url: str, production: str) -> None:
    async def work(place: Place) -> None:
        volumes = [await place.volume("az1"), await place.volume("az2")]
        await set_flag(place, volumes[0])
        done = await place.do("create_pair", new_id(), volume_ids=volumes, priority_site=production)
        assert done is OperationStatus.SUCCEEDED
        assert await flags(place, *volumes) == [production == "az1"] * 2

    at_a_place(database_url, work)
