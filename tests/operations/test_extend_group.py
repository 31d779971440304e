"""Growing the pairs of a group that replicates (GROWTH): the order, what is left where a site dies, what is refused."""

from collections.abc import Sequence

import pytest
from tests.operations.place import Place, at_a_place
from tests.operations.trying import Snapshots

from bilocate.domain.errors_operations import (
    AgentUnavailable,
    OperationError,
    Settling,
    TargetBusy,
    WrongStatus,
)
from bilocate.domain.errors_volumes import (
    ExtensionInterrupted,
    ExtensionRefused,
    NotInGroup,
    NotLarger,
    QuotaExceeded,
    ReplicationFailed,
)
from bilocate.domain.geometry import GIB
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.quotas import Resource, set_limits
from bilocate.operations.verbs import extend_group
from bilocate.store.models import Group, Pair, Session, Volume

SUCCEEDED, FAILED = OperationStatus.SUCCEEDED, OperationStatus.FAILED


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extend_group, "PATIENCE_SECONDS", 0.2)


async def pairs_of(place: Place, group_id: str) -> Sequence[str]:
    group = await place.operations.agents.session("az2", group_id)
    assert group is not None
    return [volume["pair_id"] for volume in group["volumes"]]


async def extend(place: Place, group_id: str, size_gib: int = 3) -> OperationStatus:
    sizes = dict.fromkeys(await pairs_of(place, group_id), size_gib)
    return await place.do("extend_group", group_id, sizes_gib=sizes)


async def sizes(place: Place, group_id: str) -> dict[str, set[int]]:
    """In GiB: of the rows of volumes and pairs, and at the sites."""
    found: dict[str, set[int]] = {"pairs": set()}
    for pair_id in await pairs_of(place, group_id):
        pair: Pair = await place.row(Pair, pair_id)
        found["pairs"].add(pair.size_gib)
        for site in ("az1", "az2"):
            volume: Volume = await place.row(Volume, pair.volume_at(site))
            found.setdefault(site, set()).add(volume.size_gib)
            there = place.world.agents[site].volumes[volume.id]
            found.setdefault(f"at {site}", set()).add(there.size_bytes // GIB)
    return found


def all_are(size_gib: int) -> dict[str, set[int]]:
    return {where: {size_gib} for where in ("pairs", "az1", "az2", "at az1", "at az2")}


def test_a_group_grows_in_step_and_keeps_its_status(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        generations = place.world.next_generation
        assert await extend(place, group_id) is SUCCEEDED
        assert await sizes(place, group_id) == all_are(3)
        group: Group = await place.row(Group, group_id)
        assert (group.status, group.failure, group.operation_id) == (GroupStatus.AVAILABLE, None, None)
        half = place.world.agents["az1"].halves[group_id]
        assert half.in_step
        assert place.world.next_generation == generations  # nothing was compared anew
        # The disks of both sites first, then the secondary's half, then the primary's (the agents assert that, too).
        calls = {site: agent.calls for site, agent in place.world.agents.items()}
        for site in calls:
            volume_id = (await place.volumes_of(group_id, site))[0]
            assert f"PUT volumes/{volume_id}" in calls[site]

    snapshots.in_step(work)


def test_one_pair_grows_alone_and_the_others_stay(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        first, second = await pairs_of(place, group_id)
        assert await place.do("extend_group", group_id, sizes_gib={first: 5}) is SUCCEEDED
        assert (await place.row(Pair, first)).size_gib == 5
        assert (await place.row(Pair, second)).size_gib == 1

    snapshots.in_step(work)


def test_a_paused_group_grows_too(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        group_id = await place.group()
        assert await extend(place, group_id) is SUCCEEDED
        assert await sizes(place, group_id) == all_are(3)
        assert await place.do("sync", group_id) is SUCCEEDED
        await place.settle()
        assert place.world.agents["az1"].halves[group_id].in_step

    at_a_place(sqlite_url, work)


@pytest.mark.parametrize("site", ["az1", "az2"])
def test_a_disk_without_room_takes_it_back(snapshots: Snapshots, site: str) -> None:
    async def work(place: Place, group_id: str) -> None:
        place.world.agents[site].refuse["PUT volumes"] = "volume_unusable"
        sizes_gib = dict.fromkeys(await pairs_of(place, group_id), 3)
        operation_id = await place.begin("extend_group", group_id, {"sizes_gib": sizes_gib})
        with pytest.raises(ExtensionRefused, match=f"can't grow at site {site}"):
            await place.operations.extended(operation_id, group_id)
        del place.world.agents[site].refuse["PUT volumes"]
        assert await sizes(place, group_id) == all_are(1)
        assert (await place.row(Group, group_id)).status is GroupStatus.AVAILABLE
        assert await extend(place, group_id) is SUCCEEDED

    snapshots.in_step(work)


@pytest.mark.parametrize("site", ["az1", "az2"])
def test_a_site_that_dies_behind_the_point_of_no_return_follows_when_it_is_asked_again(
    snapshots: Snapshots, site: str
) -> None:
    async def work(place: Place, group_id: str) -> None:
        agent = place.world.agents[site]

        async def die() -> None:
            agent.up, agent.deaf = False, True  # what it was just told is not answered either

        agent.before["PUT sessions"] = die
        sizes_gib = dict.fromkeys(await pairs_of(place, group_id), 3)
        operation_id = await place.begin("extend_group", group_id, {"sizes_gib": sizes_gib})
        with pytest.raises(ExtensionInterrupted, match="repeat the call"):
            await place.operations.extended(operation_id, group_id)
        group: Group = await place.row(Group, group_id)
        assert group.status is GroupStatus.AVAILABLE
        assert group.failure_message
        agent.before.clear()
        agent.up, agent.deaf = True, False
        await place.settle()
        assert (await sizes(place, group_id))["pairs"] == {1}
        assert await extend(place, group_id, 2) is SUCCEEDED
        # Not less than what the secondary has already.
        assert await sizes(place, group_id) == all_are(3)
        assert (await place.row(Group, group_id)).failure_message is None

    snapshots.in_step(work)


def test_after_a_failover_to_a_secondary_that_is_ahead_the_other_site_follows(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        primary = place.world.agents["az1"]

        async def die() -> None:
            primary.up = False

        # It dies between the secondary's growth and its own.
        place.world.agents["az2"].before["PUT sessions"] = die
        assert await extend(place, group_id) is FAILED
        place.world.agents["az2"].before.clear()
        assert await place.do("failover", group_id) is SUCCEEDED
        primary.up = True
        await place.settle()
        assert await sizes(place, group_id) == all_are(3)
        assert await place.do("reprotect", group_id) is SUCCEEDED
        await place.settle()
        assert place.world.agents["az2"].halves[group_id].in_step

    snapshots.in_step(work)


def test_what_does_not_fit_is_refused_and_nothing_changes(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        first, _ = await pairs_of(place, group_id)
        other = await place.pair()

        async def refused(kind: type[OperationError], sizes_gib: dict[str, int], match: str) -> None:
            with pytest.raises(kind, match=match):
                await place.begin("extend_group", group_id, {"sizes_gib": sizes_gib})

        await refused(NotLarger, {first: 1}, "must be larger")
        await refused(NotInGroup, {other: 2}, "not in group")
        place.world.agents["az1"].up = False
        await refused(AgentUnavailable, {first: 2}, "az1")
        place.world.agents["az1"].up = True
        async with place.database.writing() as db:
            await set_limits(db, "p", {Resource.GIGABYTES: 9})  # six are there, in six volumes
        await refused(QuotaExceeded, {first: 3}, "9 gigabytes")
        async with place.database.writing() as db:
            await set_limits(db, "p", {Resource.GIGABYTES: 10})
        broken = place.world.agents["az2"].volumes[(await place.volumes_of(group_id, "az2"))[0]]
        broken.failed = 4096
        await place.operations.observer.fresh("az2")
        await refused(ReplicationFailed, {first: 3}, "is error")
        broken.failed = 0
        await place.operations.observer.fresh("az2")
        async with place.database.writing() as db:
            session = await db.get(Session, group_id)
            assert session is not None
            session.held = True
        await refused(Settling, {first: 3}, "taken back")
        await place.settle()
        assert await sizes(place, group_id) == all_are(1)
        assert await place.do("extend_group", group_id, sizes_gib={first: 3}) is SUCCEEDED

    snapshots.in_step(work)


def test_a_group_that_was_failed_over_is_reprotected_first(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        assert await place.do("failover", group_id) is SUCCEEDED
        with pytest.raises(WrongStatus, match="must be available"):
            await extend(place, group_id)

    snapshots.in_step(work)


def test_what_an_extension_under_way_will_add_counts_for_quotas(snapshots: Snapshots) -> None:
    """Two groups of one project at once: the second sees what the first is about to take."""

    async def work(place: Place, group_id: str) -> None:
        async with place.database.writing() as db:
            await set_limits(db, "p", {Resource.GIGABYTES: 9})  # four are there
        first, second = await pairs_of(place, group_id)
        await _begun(place, group_id, {first: 3})
        with pytest.raises(QuotaExceeded):
            await place.begin("create_volume", second, {"size_gib": 2, "volume_type": "fast", "site": "az1"})
        with pytest.raises(TargetBusy):
            await _begun(place, group_id, {second: 2})

    snapshots.in_step(work)


async def _begun(place: Place, group_id: str, sizes_gib: dict[str, int]) -> None:
    """Journalled, and not carried on: as if the sites were slow."""
    verb = extend_group.ExtendGroup()
    await verb.begin(place.operations.context, group_id, {"sizes_gib": sizes_gib}, "p", "tester")
