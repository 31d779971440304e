"""Zones and their sites: what a name means, and where a new volume goes."""

from bilocate.domain.zones import Zones

ALONE = Zones({"az1": "az1", "az2": "az2"})
SEVERAL = Zones({"az1": "az1", "az1-2": "az1", "az1-3": "az1", "b1": "az2", "b2": "az2"})


def test_a_zone_with_one_site_is_that_site() -> None:
    assert ALONE.names == ["az1", "az2"]
    assert (ALONE.of("az1"), ALONE.sites("az1"), ALONE.place("az1", "anyone", {})) == ("az1", ["az1"], "az1")


def test_names_of_zones_and_of_sites() -> None:
    assert SEVERAL.names == ["az1", "az2"]
    assert SEVERAL.sites("az2") == ["b1", "b2"]
    assert SEVERAL.sites("b2") == ["b2"]
    assert SEVERAL.sites("az1") == ["az1", "az1-2", "az1-3"], "where a name is both, the zone is meant"
    assert SEVERAL.sites("az3") == []
    assert (SEVERAL.of("b1"), SEVERAL.of("gone")) == ("az2", "gone")


def test_which_of_two_sites_is_meant() -> None:
    assert SEVERAL.named("az2", ["az1-3", "b2"]) == "b2"
    assert SEVERAL.named("az1", ["az1-3", "b2"]) == "az1-3"
    assert SEVERAL.named("az1-3", ["az1-3", "b2"]) == "az1-3"
    assert SEVERAL.named("az1-2", ["az1-3", "b2"]) is None
    assert SEVERAL.named("gone", ["gone", "b2"]) == "gone", "a site that is not configured any more"


def test_an_owners_volumes_are_together() -> None:
    first = SEVERAL.place("az1", "one", {})
    assert all(SEVERAL.place("az1", "one", {first: count}) == first for count in range(3))
    assert SEVERAL.place("az1", "one", {"az1-2": 1, "az1-3": 2}) == "az1-3", "with most of them"
    assert SEVERAL.place("b1", "one", {"b2": 7}) == "b1", "a site that is named"
    assert SEVERAL.place("az3", "one", {}) == "az3"


def test_owners_are_spread_and_few_move_when_a_site_comes() -> None:
    owners = [f"owner {number}" for number in range(300)]
    sites = SEVERAL.sites("az1")
    before = {owner: SEVERAL.place("az1", owner, {}) for owner in owners}
    assert all(60 < list(before.values()).count(site) < 140 for site in sites)
    more = Zones({**SEVERAL.by_site, "az1-4": "az1"})
    after = {owner: more.place("az1", owner, {}) for owner in owners}
    assert {after[owner] for owner in owners if after[owner] != before[owner]} == {"az1-4"}
