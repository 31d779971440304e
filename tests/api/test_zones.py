"""Zones of several sites, as clients see them: they know zones, and the agents' names only where they ask."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from tests.api.conftest import World, a_world
from tests.api.harness import GROUPS, PAIRS, Api, Json, error_of, group_body, pair_body
from tests.api.test_groups import replicating

from bilocate.domain.geometry import GIB

pytestmark = pytest.mark.anyio
ZONES = {"a1": "az1", "a2": "az1", "b1": "az2", "b2": "az2"}
SITES = {"az1": ("a1", "a2"), "az2": ("b1", "b2")}


@pytest.fixture
async def zones(first_start: Path, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(first_start, tmp_path, ZONES) as opened:
        yield opened


def site_of(world: World, volume: Json) -> str:
    """Whose agent has it."""
    (site,) = (site for site, agent in world.fake.agents.items() if volume["id"] in agent.volumes)
    assert volume["bilocate:site"] == site
    assert volume["availability_zone"] == ZONES[site]
    return site


async def test_a_projects_volumes_are_together_and_may_be_put_elsewhere(zones: World) -> None:
    api = zones.api
    first, second = site_of(zones, await api.volume("az1")), site_of(zones, await api.volume("az1"))
    assert first == second
    assert first in SITES["az1"]
    (other,) = set(SITES["az1"]) - {first}
    placed = await api.volume(other)
    assert site_of(zones, placed) == other
    assert site_of(zones, await api.volume("az1")) == first, "where most are"
    copy = await api.made("volumes", {"volume": {"source_volid": placed["id"], "availability_zone": "az1"}})
    assert site_of(zones, copy) == other, "a copy is where its source is"
    for _ in range(2):
        await api.volume(other)
    assert site_of(zones, await api.volume("az1")) == other, "where most are now"
    refused = await api.call("POST", "volumes", {"volume": {"size": 1, "availability_zone": "az3"}})
    assert "choose one of az1, az2" in error_of(refused)["message"]


async def test_zones_are_told_and_services_tell_sites(zones: World) -> None:
    api = zones.api
    for site in ("a1", "b1", "b2"):
        zones.fake.agents[site].up = False

    async def seen() -> bool:
        told = (await api.call("GET", "os-availability-zone")).json()["availabilityZoneInfo"]
        assert [zone["zoneName"] for zone in told] == ["az1", "az2"]
        return [zone["zoneState"]["available"] for zone in told] == [True, False]

    await api.until(seen)
    services = (await api.call("GET", "os-services")).json()["services"]
    assert [(each["host"], each["zone"], each["state"]) for each in services] == [
        ("a1", "az1", "down"),
        ("a2", "az1", "up"),
        ("b1", "az2", "down"),
        ("b2", "az2", "down"),
    ]


async def test_a_group_is_made_failed_over_and_found_by_zone(zones: World) -> None:
    api = zones.api
    pairs = [await api.pair() for _ in range(2)]
    group = await api.group(pairs)
    assert {found["priority_station"] for found in (*pairs, group)} == {"az1"}
    assert (await api.act(group["id"], "os-sync-replication-consistency-group")).status_code == 200
    for path, key in ((GROUPS, "replication_consistency_groups"), (PAIRS, "replications")):
        for zone, count in (("az1", 1), ("az2", 0), ("az3", 0)):
            listed = (await api.call("GET", f"{path}?priority_station={zone}")).json()[key]
            assert bool(listed) == bool(count), (path, zone)
    volumes = (await api.call("GET", "volumes/detail?availability_zone=az2")).json()["volumes"]
    assert len({site_of(zones, volume) for volume in volumes}) == 1
    site = site_of(zones, volumes[0])
    assert len((await api.call("GET", f"volumes?availability_zone={site}")).json()["volumes"]) == 2
    await replicating(zones, group["id"])
    for name in SITES["az1"]:
        zones.fake.agents[name].up = False
    assert (await api.act(group["id"], "os-failover-replication-consistency-group")).status_code == 200
    after = await api.told(
        f"{GROUPS}/{group['id']}",
        "replication_consistency_group",
        lambda found: bool(found["status"] == "failovered"),
    )
    assert after["priority_station"] == "az2"


async def test_a_pair_is_of_two_zones(zones: World) -> None:
    api = zones.api
    ids = [(await api.volume(site))["id"] for site in ("a1", "a2", "b1")]
    refused = await api.call("POST", PAIRS, pair_body(ids[:2]))
    assert "both volumes are in az1" in error_of(refused)["message"]
    refused = await api.call("POST", PAIRS, pair_body(ids[1:], "a1"))
    assert "must be one of az1, az2" in error_of(refused)["message"]
    pair = await api.made(PAIRS, pair_body(ids[1:], "a2"))
    assert pair["priority_station"] == "az1"


async def test_a_group_has_one_site_in_each_zone(zones: World) -> None:
    api = zones.api
    pairs = []
    for sites in (("a1", "b1"), ("a2", "b1")):
        volumes = [(await api.volume(site))["id"] for site in sites]
        pairs.append((await api.made(PAIRS, pair_body(volumes)))["id"])
    refused = await api.call("POST", GROUPS, group_body(pairs))
    assert refused.status_code == 400
    assert all(site in error_of(refused)["message"] for site in ("a1", "a2", "at one site in each"))


async def test_a_quota_of_groups_is_of_the_zone(zones: World) -> None:
    api = zones.api
    quotas = {"quota_set": {"replication_consistency_groups": 1}}
    assert (await api.call("PUT", f"os-quota-sets/{api.project_id}", quotas)).status_code == 200
    pairs = []
    for sites in (("a1", "b1"), ("a2", "b2")):
        volumes = [(await api.volume(site))["id"] for site in sites]
        pairs.append(await api.made(PAIRS, pair_body(volumes)))
    await api.group(pairs[:1])
    assert await groups_used(api) == 1
    refused = await api.call("POST", GROUPS, group_body([pairs[1]["id"]]))
    assert "az1" in error_of(refused)["message"]


async def groups_used(api: Api) -> int:
    told = (await api.call("GET", f"os-quota-sets/{api.project_id}?usage=true")).json()["quota_set"]
    return int(told["replication_consistency_groups"]["in_use"])


async def test_groups_of_all_sites_of_a_zone_are_counted(zones: World) -> None:
    api = zones.api
    for sites in (("a1", "b1"), ("a2", "b2")):
        volumes = [(await api.volume(site))["id"] for site in sites]
        await api.group([await api.made(PAIRS, pair_body(volumes))])
    assert await groups_used(api) == 2


async def test_a_look_at_a_group_asks_its_own_sites(zones: World, monkeypatch: pytest.MonkeyPatch) -> None:
    api, observer = zones.api, zones.api.parts.operations.observer
    volumes = [(await api.volume(site))["id"] for site in ("a2", "b1")]
    group = await api.group([await api.made(PAIRS, pair_body(volumes))])
    path = f"{GROUPS}/{group['id']}"
    for site in ("a2", "b1"):
        await observer.fresh(site)
    asked: list[str] = []
    freshen = observer.freshen

    async def noted(sites: Iterable[str], max_age: float, seconds: float | None = None) -> None:
        asked.extend(found := list(sites))
        await freshen(found, max_age, seconds)

    monkeypatch.setattr(observer, "freshen", noted)
    assert (await api.call("GET", path)).status_code == 200
    assert sorted(set(asked)) == ["a2", "b1"]


async def test_a_search_by_tags_tells_zones(zones: World) -> None:
    api = zones.api
    volume = await api.volume("a2")
    answer = await api.call("POST", f"os-vendor-tags/volumes/{volume['id']}", {"tags": {"tier": "1"}})
    assert answer.status_code == 200, answer.text
    found = (await api.call("GET", "os-vendor-tags/volumes/resource_instances?tags={'tier': []}")).json()
    assert [each["resource_detail"]["availability_zone"] for each in found["resources"]] == ["az1"]


async def test_a_device_is_adopted_at_the_site_that_has_it(zones: World) -> None:
    api, agent = zones.api, zones.fake.agents["a2"]
    agent.devices["/dev/x"] = GIB
    asked = {"ref": {"source-name": "/dev/x"}, "name": "x", "availability_zone": "az1"}
    refused = await api.call("POST", "os-volume-manage", {"volume": asked})
    assert "a1, a2" in error_of(refused)["message"]
    answer = await api.call("POST", "os-volume-manage", {"volume": {**asked, "host": "a2@backend#pool"}})
    assert answer.status_code == 202, answer.text
    assert site_of(zones, await api.settled(f"volumes/{answer.json()['volume']['id']}", "volume")) == "a2"
