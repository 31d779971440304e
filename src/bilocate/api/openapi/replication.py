"""The calls of replication pairs and consistency groups, and what they tell."""

from bilocate.api import groups, pairs, wire
from bilocate.api.codes import FAILURE_CODES
from bilocate.api.openapi.calls import AGENT, CHANGES_SINCE, STATE, Table, Told, replication_list
from bilocate.api.openapi.shapes import (
    BOOLEAN,
    ID,
    NAMES,
    NULL,
    SIZE,
    STRING,
    TIME,
    Json,
    a_text,
    asked,
    constant,
    list_of,
    one_action,
    only,
    or_null,
    ref,
    told,
    within,
    words,
)

_SITE = {**STRING, "description": "the zone of production"}
_FAILURE = or_null(words(FAILURE_CODES.values()))
_HEAD = {
    "id": ID,
    "name": STRING,
    "description": STRING,
    "priority_station": _SITE,
    "created_at": TIME,
    "updated_at": or_null(TIME),
}
_PAIR_HEAD = {
    **_HEAD,
    "status": words(wire.PAIR_STATUS.values()),
    "replication_consistency_group_id": or_null(ID),
    "volume_ids": {**STRING, "pattern": "^[0-9a-f-]{36},[0-9a-f-]{36}$", "description": "as they were given"},
}
_GROUP_HEAD = {**_HEAD, "status": words(wire.GROUP_STATUS.values())}
_STATE = {
    "replication_model": constant(wire.MODEL),
    "replication_status": words(wire.REPLICATION_STATUS.values()),
    "failure_detail": _FAILURE,
    "fault_level": words(wire.FAULT_LEVEL.values()),
    "failure_message": STRING,
}
_METADATA = {
    **STRING,
    "contentMediaType": "application/json",
    "contentSchema": told(
        {"volume_size": {"type": "integer"}, "volume_type": STRING, "multiattach": BOOLEAN}
    ),
}

SCHEMAS: dict[str, Json] = {
    "NewPair": told(_PAIR_HEAD),
    "Pair": told(
        {
            **_PAIR_HEAD,
            **_STATE,
            "progress": or_null({**STRING, "pattern": "^[0-9]+$", "description": "percent"}),
            "record_metadata": _METADATA,
        },
        optional=["failure_message"],
    ),
    "BegunGroup": told(_GROUP_HEAD),
    "Group": told(
        {
            **_GROUP_HEAD,
            **_STATE,
            "replication_ids": list_of(ID),
            "bilocate:mixed_moments": constant(True),
        },
        optional=["failure_message", "bilocate:mixed_moments"],
    ),
}

_MODEL = constant(wire.MODEL)
_NEW_PAIR = asked(
    {
        "volume_ids": list_of(ID, minItems=2, maxItems=2, uniqueItems=True),
        "priority_station": a_text(least=1),
        "replication_model": _MODEL,
        **NAMES,
    },
    ["volume_ids", "priority_station", "replication_model"],
)
_PAIR_IDS = list_of(ID, uniqueItems=True)
_NEW_GROUP = asked(
    {
        "replication_ids": {**_PAIR_IDS, "minItems": 1},
        "priority_station": a_text(least=1),
        "replication_model": _MODEL,
        **NAMES,
    },
    ["replication_ids", "priority_station", "replication_model"],
)
_GROUP_CHANGES = asked(
    {
        **NAMES,
        "replication_model": or_null(_MODEL),
        "add_replication_ids": or_null(_PAIR_IDS),
        "remove_replication_ids": or_null(_PAIR_IDS),
    }
)
_NEW_SIZE = asked({"id": ID, "new_size": SIZE}, ["id", "new_size"])
_GROUP_ACTION = one_action(
    {
        **{
            action: {"anyOf": [NULL, only({each: or_null(BOOLEAN) for each in sorted(opt_ins)})]}
            for action, (_, opt_ins) in wire.GROUP_ACTIONS.items()
        },
        wire.EXTEND_PAIRS: {
            "oneOf": [
                asked({"replications": list_of(_NEW_SIZE, minItems=1)}, ["replications"]),
                {**_NEW_SIZE, "not": {"required": ["replications"]}},
            ]
        },
    }
)
_NAME = a_text()
_OF_ONE_PAIR = ("showPair", "deletePair")
_OF_ONE_GROUP = ("showGroup", "updateGroup", "deleteGroup", "actOnGroup")

CALLS: Table = {
    wire.PAIRS: {
        "POST": Told(
            "createPair",
            {202: told({wire.PAIR_KEY: ref("NewPair")})},
            body=within(wire.PAIR_KEY, _NEW_PAIR),
            refusals=AGENT | {404},
            leads_to=_OF_ONE_PAIR,
            by={"id": f"/{wire.PAIR_KEY}/id"},
        ),
        "GET": Told(
            "listPairs",
            {200: told({wire.PAIRS_KEY: list_of(ref("Pair"))})},
            query={
                **replication_list(pairs.LISTING.sort_keys),
                "changes-since": CHANGES_SINCE,
                "name": _NAME,
                "status": words(wire.PAIR_STATUS.values()),
                "replication_consistency_group_id": a_text(),
                "volume_id": ID,
                "volume_ids": {
                    **STRING,
                    "description": "ids with commas between, all of which a pair must have",
                },
                "priority_station": a_text(),
            },
            leads_to=_OF_ONE_PAIR,
            by={"id": f"/{wire.PAIRS_KEY}/0/id"},
        ),
    },
    f"{wire.PAIRS}/{{id}}": {
        "GET": Told("showPair", {200: told({wire.PAIR_KEY: ref("Pair")})}),
        "DELETE": Told("deletePair", {202: None}, refusals=AGENT),
    },
    wire.GROUPS: {
        "POST": Told(
            "createGroup",
            {202: told({wire.GROUP_KEY: ref("BegunGroup")})},
            body=within(wire.GROUP_KEY, _NEW_GROUP),
            refusals=AGENT | {404},
            leads_to=_OF_ONE_GROUP,
            by={"id": f"/{wire.GROUP_KEY}/id"},
        ),
        "GET": Told(
            "listGroups",
            {200: told({wire.GROUPS_KEY: list_of(ref("Group"))})},
            query={
                **replication_list(groups.LISTING.sort_keys),
                "changes-since": CHANGES_SINCE,
                "name": _NAME,
                "status": words(wire.GROUP_STATUS.values()),
                "priority_station": a_text(),
            },
            leads_to=_OF_ONE_GROUP,
            by={"id": f"/{wire.GROUPS_KEY}/0/id"},
        ),
    },
    f"{wire.GROUPS}/{{id}}": {
        "GET": Told("showGroup", {200: told({wire.GROUP_KEY: ref("Group")})}),
        "PUT": Told(
            "updateGroup",
            {202: told({wire.GROUP_KEY: ref("BegunGroup")})},
            body={"anyOf": [{"type": "object", "maxProperties": 0}, within(wire.GROUP_KEY, _GROUP_CHANGES)]},
            refusals=AGENT,
            leads_to=_OF_ONE_GROUP,
            by={"id": f"/{wire.GROUP_KEY}/id"},
        ),
        "DELETE": Told("deleteGroup", {202: None}, refusals=STATE | AGENT),
    },
    f"{wire.GROUPS}/{{id}}/action": {
        "POST": Told("actOnGroup", {200: None}, body=_GROUP_ACTION, refusals=AGENT),
    },
}
