"""The words of the replication API, and the only file that spells them: what is told, what is asked, and how.

Times have no zone and a pair's values are all strings: its clients are strict. Block storage's words are in
wire_volumes.py, the identity service's in identity/views.py.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bilocate.api import fields
from bilocate.api.codes import BAD_ACTION, BAD_VOLUME_ID, FAILURE_CODES, malformed
from bilocate.domain.failures import Failure
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.observed import FaultLevel, Observed, Replication
from bilocate.domain.pair_states import PairStatus
from bilocate.domain.zones import Zones
from bilocate.store.models import Group, Pair

Json = dict[str, Any]

# --- where things are ---

PAIRS = "os-vendor-replications"
GROUPS = "os-vendor-replication-consistency-groups"
PAIR_KEY, PAIRS_KEY = "replication", "replications"
GROUP_KEY, GROUPS_KEY = "replication_consistency_group", "replication_consistency_groups"

# --- the words for states ---

MODEL = "hypermetro"

GROUP_STATUS: Mapping[GroupStatus, str] = {
    **{status: status.value for status in GroupStatus},
    GroupStatus.FAILING_OVER: "failovering",
    GroupStatus.FAILED_OVER: "failovered",
    GroupStatus.ERROR_FAILING_OVER: "error_failovering",
}
PAIR_STATUS: Mapping[PairStatus, str] = {status: status.value for status in PairStatus}
REPLICATION_STATUS: Mapping[Replication, str] = {
    Replication.ACTIVE: "active",
    Replication.PAUSED_EQUAL: "active-stopped",
    Replication.COPYING: "copying",
    Replication.INACTIVE: "inactive",
    Replication.ERROR: "error",
}
FAULT_LEVEL: Mapping[FaultLevel, str] = {
    FaultLevel.NONE: "0",
    FaultLevel.PRODUCTION_LOST: "2",
    FaultLevel.SECONDARY_BEHIND: "5",
}
# What can be told of a session that does not exist yet.
UNOBSERVED = Observed(Replication.INACTIVE, FaultLevel.NONE)

# --- the words for verbs: the action, operations' name of it, and the opt-ins it takes ---

GROUP_ACTIONS: Mapping[str, tuple[str, frozenset[str]]] = {
    "os-sync-replication-consistency-group": ("sync", frozenset({"trust_primary"})),
    "os-stop-replication-consistency-group": ("stop", frozenset()),
    "os-failover-replication-consistency-group": (
        "failover",
        frozenset({"allow_data_loss", "allow_mixed_moments"}),
    ),
    "os-reverse-replication-consistency-group": ("reverse", frozenset({"force"})),
    "os-reprotect-replication-consistency-group": ("reprotect", frozenset({"allow_data_loss"})),
}
EXTEND_VERB = "extend_group"
EXTEND_PAIRS = "os-extend-replication-volumes"  # the one action that takes values instead of opt-ins


def time(value: datetime | None) -> str | None:
    """ISO 8601 with microseconds and without a zone."""
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%S.%f")


# --- what is told ---


def new_pair(pair: Pair, zones: Zones) -> Json:
    """A pair as the call that makes it answers: what it is besides can't be told yet."""
    return {**_pair_head(pair, zones), "status": PAIR_STATUS[PairStatus.CREATING]}


def pair(row: Pair, seen: Observed, zones: Zones) -> Json:
    """A pair with what is true of it now."""
    metadata = {
        "volume_size": row.size_gib,
        "volume_type": row.volume_type,
        "multiattach": row.multiattach,
    }
    failure = row.failure if row.status is PairStatus.ERROR else None
    return {
        **_pair_head(row, zones),
        "replication_model": MODEL,
        "replication_status": REPLICATION_STATUS[seen.replication],
        "progress": None if seen.progress is None else str(seen.progress),
        "failure_detail": _failure(failure),
        "record_metadata": json.dumps(metadata),
        "fault_level": FAULT_LEVEL[seen.fault],
        **failure_message(row.failure_message),
    }


def _pair_head(row: Pair, zones: Zones) -> Json:
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "status": PAIR_STATUS[row.status],
        "replication_consistency_group_id": row.group_id,
        "volume_ids": f"{row.first_volume_id},{row.second_volume_id}",
        "priority_station": zones.of(row.priority_site),
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
    }


def begun_group(row: Group, status: GroupStatus, zones: Zones) -> Json:
    """A group as the calls that make and update it answer: in the status that the call put it into."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "status": GROUP_STATUS[status],
        "priority_station": zones.of(row.priority_site),
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
    }


def group(row: Group, pair_ids: Sequence[str], seen: Observed, zones: Zones) -> Json:
    """A group with what is true of it now."""
    return {
        **begun_group(row, row.status, zones),
        "replication_model": MODEL,
        "replication_status": REPLICATION_STATUS[seen.replication],
        "replication_ids": list(pair_ids),
        "failure_detail": _failure(row.failure or seen.failure),
        "fault_level": FAULT_LEVEL[seen.fault],
        **failure_message(row.failure_message or seen.message),
        # Beyond the documented API, and there only when it is so.
        **({"bilocate:mixed_moments": True} if seen.mixed_moments else {}),
    }


def group_state(row: Group, seen: Observed) -> tuple[str, str, str, str]:
    """A group's id, status, replication status and fault level, for the figures."""
    return row.id, GROUP_STATUS[row.status], REPLICATION_STATUS[seen.replication], FAULT_LEVEL[seen.fault]


def _failure(failure: Failure | None) -> str | None:
    return None if failure is None else FAILURE_CODES[failure]


def failure_message(message: str | None) -> Json:
    """The sentence behind a failure's number: beyond the documented API, so there only when there is one."""
    return {} if message is None else {"failure_message": message}


# --- what is asked: the arguments of operations' verbs ---


def pair_request(body: Json) -> Json:
    """:raises Problem: 400."""
    asked = fields.inner_object(body, PAIR_KEY)
    volume_ids = fields.identifiers(asked, "volume_ids", BAD_VOLUME_ID)
    if len(volume_ids) != 2:
        raise malformed(f"volume_ids has {len(volume_ids)} ids: a pair is made of two", BAD_VOLUME_ID)
    _check_model(asked)
    return {
        "volume_ids": volume_ids,
        "priority_site": fields.required_text(asked, "priority_station"),
        **_names(asked),
    }


def group_request(body: Json) -> Json:
    """:raises Problem: 400."""
    asked = fields.inner_object(body, GROUP_KEY)
    pair_ids = fields.identifiers(asked, "replication_ids")
    if not pair_ids:
        raise malformed("replication_ids is empty: a group is made of at least one pair")
    _check_model(asked)
    return {
        "pair_ids": pair_ids,
        "priority_site": fields.required_text(asked, "priority_station"),
        **_names(asked),
    }


def group_update(body: Json) -> Json:
    """:raises Problem: 400."""
    asked = fields.inner_object(body, GROUP_KEY) if body else {}
    if asked.get("replication_model") is not None:
        _check_model(asked)
    add = fields.identifiers(asked, "add_replication_ids")
    remove = fields.identifiers(asked, "remove_replication_ids")
    if set(add) & set(remove):
        raise malformed("add_replication_ids and remove_replication_ids name the same pair")
    changes = {
        "add": add,
        "remove": remove,
        **{key: fields.text(asked, key) for key in ("name", "description")},
    }
    return {key: value for key, value in changes.items() if value not in (None, [])}


def group_action(body: Json) -> tuple[str, Json]:
    """The verb and its opt-ins.

    :raises Problem: 400 when it is not exactly one known action.
    """
    action, value = fields.one_action(body)
    if action == EXTEND_PAIRS:
        return EXTEND_VERB, {"sizes_gib": _new_sizes(value)}
    if action not in GROUP_ACTIONS:
        offered = ", ".join(sorted((*GROUP_ACTIONS, EXTEND_PAIRS)))
        raise malformed(f"{action!r} is no action: there is {offered}", BAD_ACTION)
    verb, known = GROUP_ACTIONS[action]
    if value is not None and not isinstance(value, dict):
        raise malformed(f"{action}: the value must be null or an object of opt-ins", BAD_ACTION)
    asked: Json = value or {}
    fields.only(asked, action, known)
    return verb, {key: True for key in known if fields.boolean(asked, key)}


def _new_sizes(value: Any) -> dict[str, int]:
    """By pair, in GiB: a list of pairs, or one pair alone."""
    asked = value.get("replications", [value]) if isinstance(value, dict) else None
    if not isinstance(asked, list) or not asked or not all(isinstance(each, dict) for each in asked):
        raise malformed(
            f'{EXTEND_PAIRS} takes {{"replications": [{{"id", "new_size"}}, ...]}}, or one {{"id", "new_size"}}',
            BAD_ACTION,
        )
    sizes: dict[str, int] = {}
    for each in asked:
        pair_id = fields.identifier("id", each.get("id"))
        if pair_id in sizes:
            raise malformed(f"{EXTEND_PAIRS} names pair {pair_id} twice", BAD_ACTION)
        sizes[pair_id] = fields.size_gib("new_size", each.get("new_size"))
    return sizes


def _check_model(asked: Json) -> None:
    model = fields.required_text(asked, "replication_model")
    if model != MODEL:
        raise malformed(f"replication_model {model!r} is not known: it must be {MODEL!r}")


def _names(asked: Json) -> Json:
    return {key: fields.text(asked, key) or "" for key in ("name", "description")}
