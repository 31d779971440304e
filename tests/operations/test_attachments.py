"""Attachments and quotas on both databases: what is locked, and what a second one sees."""

import asyncio

import pytest
from tests.operations.place import SETTINGS, Place, at_a_place

from bilocate.domain.errors_operations import NotFound
from bilocate.domain.errors_volumes import AttachedAlready, GroupQuotaExceeded, QuotaExceeded
from bilocate.domain.failures import Failure
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.exports import Connector
from bilocate.operations.quotas import Resource, require_group, set_limits, used_by
from bilocate.store.models import Group, Volume


async def status(place: Place, volume_id: str) -> VolumeStatus:
    async with place.database.reading() as db:
        volume = await db.get(Volume, volume_id)
        assert volume is not None
        return volume.status


def test_of_many_at_once_one_attaches_and_its_end_is_one_end(database_url: str) -> None:
    async def work(place: Place) -> None:
        volume_id = await place.volume("az1")
        attachments = place.operations.attachments
        tries = (attachments.reserve(volume_id, Connector(), "p") for _ in range(4))
        found = await asyncio.gather(*tries, return_exceptions=True)
        ((made),) = [each for each in found if not isinstance(each, BaseException)]
        assert all(isinstance(each, AttachedAlready) for each in found if isinstance(each, BaseException))
        await asyncio.gather(*(attachments.connect(made.id, {"host": "h"}, "p") for _ in range(2)))
        await attachments.complete(made.id, "p")
        assert await status(place, volume_id) is VolumeStatus.IN_USE
        ends = (attachments.end(made.id, "p") for _ in range(3))
        ended = await asyncio.gather(*ends, return_exceptions=True)
        assert sorted(type(each) is NotFound for each in ended) == [False, True, True]
        assert await status(place, volume_id) is VolumeStatus.AVAILABLE
        assert place.world.agents["az1"].volumes[volume_id].exports == []

    at_a_place(database_url, work)


def test_of_many_at_once_only_as_many_as_may_be_are_made(database_url: str) -> None:
    async def work(place: Place) -> None:
        async with place.database.writing() as db:
            await set_limits(db, "p", {Resource.VOLUMES: 2, Resource.GIGABYTES: 100})
            await set_limits(db, "p", {Resource.GIGABYTES: 4})
        found = await asyncio.gather(*(place.volume("az1") for _ in range(4)), return_exceptions=True)
        assert sum(isinstance(each, QuotaExceeded) for each in found) == 2
        made = [each for each in found if isinstance(each, str)]
        # Each alone would fit: what is being added counts too.
        grown = (place.begin("extend_volume", each, {"new_size_gib": 3}) for each in made)
        assert (
            sum(isinstance(e, QuotaExceeded) for e in await asyncio.gather(*grown, return_exceptions=True))
            == 1
        )

    at_a_place(database_url, work)


def test_a_group_counts_in_both_its_zones(database_url: str) -> None:
    async def work(place: Place) -> None:
        async with place.database.writing() as db:
            db.add(Group(project_id="p", priority_site="az2"))
            await set_limits(db, "p", {Resource.GROUPS: 1})
        async with place.database.writing() as db:
            assert (await used_by(db, "p", SETTINGS.zones))[Resource.GROUPS] == 1
            with pytest.raises(GroupQuotaExceeded) as refused:
                await require_group(db, "p", SETTINGS.zones, "az1", "az2")
            assert refused.value.failure is Failure.DR_GROUP_QUOTA

    at_a_place(database_url, work)
