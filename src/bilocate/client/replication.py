"""The calls of pairs and groups."""

from collections.abc import Mapping
from typing import Any

from bilocate.client.exchange import Json, Request, Steps, ask
from bilocate.client.listing import every
from bilocate.client.resources import Group, Pair

PAIRS = "os-vendor-replications"
GROUPS = "os-vendor-replication-consistency-groups"
MODEL = "hypermetro"


def create_pair(name: str, volume_ids: list[str], primary_site: str, description: str = "") -> Steps[Pair]:
    """Pair two volumes; the one at `primary_site` is production."""
    body = {
        "name": name,
        "description": description,
        "volume_ids": volume_ids,
        "priority_station": primary_site,
        "replication_model": MODEL,
    }
    answer = yield from ask(Request("POST", PAIRS, {"replication": body}))
    return Pair.of(answer["replication"])


def pair(pair_id: str) -> Steps[Pair]:
    """One pair."""
    answer = yield from ask(Request("GET", f"{PAIRS}/{pair_id}"))
    return Pair.of(answer["replication"])


def pairs(**filters: str) -> Steps[list[Pair]]:
    """All pairs, or those that match, such as `replication_consistency_group_id=...`."""
    return (yield from every(PAIRS, "replications", Pair.of, filters))


def delete_pair(pair_id: str) -> Steps[None]:
    """End a pair; both volumes stay."""
    yield from ask(Request("DELETE", f"{PAIRS}/{pair_id}"))


def create_group(name: str, pair_ids: list[str], primary_site: str, description: str = "") -> Steps[Group]:
    """Make a group of pairs that fail over together."""
    body = {
        "name": name,
        "description": description,
        "replication_ids": pair_ids,
        "priority_station": primary_site,
        "replication_model": MODEL,
    }
    answer = yield from ask(Request("POST", GROUPS, {"replication_consistency_group": body}))
    return Group.of(answer["replication_consistency_group"])


def group(group_id: str) -> Steps[Group]:
    """One group."""
    answer = yield from ask(Request("GET", f"{GROUPS}/{group_id}"))
    return Group.of(answer["replication_consistency_group"])


def groups(**filters: str) -> Steps[list[Group]]:
    """All groups, or those that match."""
    return (yield from every(GROUPS, "replication_consistency_groups", Group.of, filters))


def update_group(group_id: str, changes: Mapping[str, Any]) -> Steps[Group]:
    """Change `name`, `description`, or members: `add_replication_ids`, `remove_replication_ids`."""
    body = {"replication_consistency_group": dict(changes)}
    answer = yield from ask(Request("PUT", f"{GROUPS}/{group_id}", body))
    return Group.of(answer["replication_consistency_group"])


def delete_group(group_id: str) -> Steps[None]:
    """Delete an empty group."""
    yield from ask(Request("DELETE", f"{GROUPS}/{group_id}"))


def act(group_id: str, verb: str, value: Mapping[str, bool] | None = None) -> Steps[None]:
    """Start one of sync, stop, failover, reverse, reprotect, with its opt-ins. It is accepted when this returns."""
    yield from _action(group_id, f"os-{verb}-replication-consistency-group", value)


def extend_group(group_id: str, sizes_gib: Mapping[str, int]) -> Steps[None]:
    """Grow both volumes of each of these pairs, all to a size in GiB, while they are replicated."""
    asked = [{"id": pair_id, "new_size": size} for pair_id, size in sizes_gib.items()]
    yield from _action(group_id, "os-extend-replication-volumes", {"replications": asked})


def _action(group_id: str, action: str, value: Mapping[str, Any] | None) -> Steps[Json]:
    return ask(Request("POST", f"{GROUPS}/{group_id}/action", {action: value}))
