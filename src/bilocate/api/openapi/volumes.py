"""The calls of volumes that both versions of block storage have, and what they tell."""

from bilocate.api import fields, tag_search, tags, volumes, wire_actions, wire_types
from bilocate.api import wire_volumes as wire
from bilocate.api.lists import OFFSET_MAX
from bilocate.api.openapi.calls import AGENT, CHANGES_SINCE, Table, Told, volume_list
from bilocate.api.openapi.shapes import (
    BOOLEAN,
    COUNT,
    EMPTY,
    ID,
    INTEGER,
    NULL,
    SIZE,
    STRING,
    STRINGS,
    TIME,
    Json,
    a_text,
    asked,
    constant,
    list_of,
    maybe_text,
    one_action,
    or_null,
    ref,
    told,
    within,
    words,
)

_LINK = told({"rel": words(("self", "bookmark", "next")), "href": STRING})
_SUMMARY = {"id": ID, "name": STRING, "links": list_of(_LINK)}
_ATTACHED = told(
    {
        "id": ID,
        "volume_id": ID,
        "attachment_id": ID,
        "server_id": or_null(STRING),
        "host_name": or_null(STRING),
        "device": or_null(STRING),
        "attached_at": or_null(TIME),
    }
)
_WAY_IN = {
    "uri": {**STRING, "pattern": "^nbd://"},
    "host": STRING,
    "port": INTEGER,
    "export": {**STRING, "description": "a secret: whoever has it reads and writes the volume"},
    "volume_id": ID,
    "attachment_id": ID,
    "access_mode": words(("rw", "ro")),
    "encrypted": constant(False),
    "discard": BOOLEAN,
}

SCHEMAS: dict[str, Json] = {
    "VolumeSummary": told(_SUMMARY),
    "Volume": told(
        {
            **_SUMMARY,
            "description": STRING,
            "size": {**INTEGER, "description": "in GiB"},
            "status": words(wire.VOLUME_STATUS.values()),
            "availability_zone": STRING,
            "volume_type": STRING,
            "bootable": words(("true", "false")),
            "multiattach": BOOLEAN,
            "encrypted": constant(False),
            "metadata": STRINGS,
            "attachments": list_of(_ATTACHED),
            "bilocate:connections": list_of(
                told({"id": ID, "host": or_null(STRING), "connected_at": or_null(TIME)})
            ),
            "created_at": TIME,
            "updated_at": or_null(TIME),
            "user_id": or_null(STRING),
            "snapshot_id": NULL,
            "source_volid": or_null(ID),
            "consistencygroup_id": NULL,
            "replication_status": NULL,
            "migration_status": NULL,
            "os-vol-tenant-attr:tenant_id": STRING,
            "volume_image_metadata": STRINGS,
            "bilocate:adopted_from": STRING,
            "bilocate:site": STRING,
            "failure_message": STRING,
        },
        optional=["volume_image_metadata", "bilocate:adopted_from", "bilocate:site", "failure_message"],
    ),
    "Connection": told({"driver_volume_type": constant("nbd"), "data": told(_WAY_IN)}),
    "FlatConnection": told({"driver_volume_type": constant("nbd"), **_WAY_IN}),
    "Tag": told({"key": STRING, "value": STRING}),
}

# --- what is asked ---

_TEXTS: Json = {
    "type": "object",
    "maxProperties": fields.MAP_ENTRIES_MAX,
    "propertyNames": a_text(least=1),
    "additionalProperties": a_text(),
}
_NAMED = {key: maybe_text() for key in ("name", "description", "display_name", "display_description")}
_KINDS = [word for kind in wire_types.TYPES for word in (kind.name, kind.id)]
_TYPE = or_null(words(("", *_KINDS)))
_MADE = {
    "availability_zone": maybe_text(),
    "volume_type": _TYPE,
    "multiattach": or_null(BOOLEAN),
    "metadata": or_null(_TEXTS),
    **_NAMED,
    **dict.fromkeys(wire.VOLUME_SOURCES_NOT_YET, NULL),
}
# Of zeros, or a copy, which has its source's size where none is named.
_NEW_VOLUME = {
    "anyOf": [
        asked({"size": SIZE, wire.COPY_SOURCE: NULL, **_MADE}, ["size"]),
        asked({"size": or_null(SIZE), wire.COPY_SOURCE: ID, **_MADE}, [wire.COPY_SOURCE]),
    ]
}
_PATH = a_text(wire.SOURCE_BYTES_MAX, least=1)
_ADOPTION = asked(
    {
        "host": maybe_text(),
        "availability_zone": maybe_text(),
        "ref": {"anyOf": [asked({key: _PATH}, [key]) for key in ("source-name", "source-id")]},
        "volume_type": _TYPE,
        "bootable": or_null(BOOLEAN),
        "metadata": or_null(_TEXTS),
        "name": maybe_text(),
        "description": maybe_text(),
    },
    ["ref"],
)
CONNECTOR = asked({"host": a_text(least=1)}, ["host"])
_WITH_CONNECTOR = asked({"connector": CONNECTOR}, ["connector"])
_ANYTHING: Json = {}
_ATTACH = {
    "instance_uuid": maybe_text(64),
    "host_name": maybe_text(),
    "mountpoint": maybe_text(),
    "mode": or_null(words(("", "rw", "ro"))),
}
_RESETS = {
    "status": or_null(words(wire.VOLUME_STATUS.values())),
    "attach_status": or_null(words(wire_actions.ATTACH_STATUS)),
    "migration_status": or_null(constant("none")),
}
_ACTION = one_action(
    {
        wire.CONNECT: _WITH_CONNECTOR,
        wire.DISCONNECT: _WITH_CONNECTOR,
        "os-extend": asked({"new_size": SIZE}, ["new_size"]),
        "os-set_bootable": asked({"bootable": BOOLEAN}, ["bootable"]),
        "os-update_readonly_flag": asked({"readonly": BOOLEAN}, ["readonly"]),
        "os-retype": asked(
            {"new_type": words(_KINDS), "migration_policy": or_null(words(wire_types.POLICIES))}, ["new_type"]
        ),
        "os-set_image_metadata": asked({"metadata": _TEXTS}, ["metadata"]),
        "os-unset_image_metadata": asked({"key": a_text(least=1)}, ["key"]),
        "os-show_image_metadata": _ANYTHING,
        "os-reset_status": {
            "anyOf": [asked({**_RESETS, key: _RESETS[key]["anyOf"][0]}, [key]) for key in _RESETS]
        },
        "os-force_delete": _ANYTHING,
        "os-force_detach": or_null(asked({"attachment_id": maybe_text(64), "connector": or_null(CONNECTOR)})),
        "os-unmanage": _ANYTHING,
        "os-reserve": _ANYTHING,
        "os-unreserve": _ANYTHING,
        "os-begin_detaching": _ANYTHING,
        "os-roll_detaching": _ANYTHING,
        "os-attach": {
            "anyOf": [
                asked({**_ATTACH, key: a_text(most, least=1)}, [key])
                for key, most in (("instance_uuid", 64), ("host_name", fields.TEXT_BYTES_MAX))
            ]
        },
        "os-detach": or_null(asked({"attachment_id": maybe_text(64)})),
    }
)
_TAG_KEY = {"type": "string", "minLength": 1, "maxLength": tags.KEY_CHARACTERS_MAX}
_TAG_VALUE = {"type": "string", "maxLength": tags.VALUE_CHARACTERS_MAX}
_NEW_TAG = asked({"key": _TAG_KEY, "value": _TAG_VALUE}, ["key", "value"])
_TAG_MAP = {"type": "object", "propertyNames": _TAG_KEY, "additionalProperties": _TAG_VALUE}
_NEW_TAGS = asked({"tags": {"anyOf": [list_of(_NEW_TAG), _TAG_MAP]}}, ["tags"])
_TAG_ACTION: Json = {
    "anyOf": [
        asked(
            {"action": constant("create"), "tags": {"anyOf": [list_of(_NEW_TAG), _TAG_MAP]}},
            ["action", "tags"],
        ),
        asked(
            {
                "action": constant("delete"),
                "tags": list_of(asked({"key": _TAG_KEY, "value": _TAG_VALUE}, ["key"])),
            },
            ["action", "tags"],
        ),
    ]
}
_FILTERS: dict[str, Json] = {
    **volume_list(volumes.LISTING.sort_keys),
    "changes-since": CHANGES_SINCE,
    "name": a_text(),
    "status": STRING,
    "availability_zone": a_text(),
}


def _list(name: str, row: str) -> Told:
    next_page = list_of(_LINK, minItems=1, maxItems=1)
    return Told(
        name,
        {
            200: told(
                {wire.VOLUMES_KEY: list_of(ref(row)), "volumes_links": next_page}, optional=["volumes_links"]
            )
        },
        query=_FILTERS,
        leads_to=OF_ONE_VOLUME,
        by={"id": f"/{wire.VOLUMES_KEY}/0/id"},
    )


OF_ONE_VOLUME = (
    "showVolume", "updateVolume", "deleteVolume", "actOnVolume", "showMetadata", "addMetadata", "replaceMetadata",
    "listTags", "addTags", "replaceTags", "actOnTags", "listOldTags", "addOldTags", "replaceOldTags",
)  # fmt: skip
_ONE_VOLUME = told({wire.VOLUME_KEY: ref("Volume")})
_OF_ONE_TAG, _FIRST_TAG = ("showTag", "setTag", "deleteTag"), {"key": "/tags/0/key"}
_METADATA, _META = (
    told({"metadata": STRINGS}),
    told({"meta": {**STRINGS, "minProperties": 1, "maxProperties": 1}}),
)
_TAGS, _TAG = told({"tags": list_of(ref("Tag"))}), told({"tag": ref("Tag")})
_OLD_TAGS, _OLD_TAG = (
    told({"tags": STRINGS}),
    told({"tag": {**STRINGS, "minProperties": 1, "maxProperties": 1}}),
)
_ALL_TAGS = told({"tags": {"type": "object", "additionalProperties": list_of(STRING, minItems=1)}})
_TAG_FILTER = {
    **STRING,
    "maxLength": tag_search.FILTER_CHARACTERS_MAX,
    "description": "an object of keys and lists of values",
    "examples": ["{'a': ['b', 'c']}"],
}
_TAGGED = told(
    {
        "resource_id": ID,
        "resource_name": STRING,
        "resource_detail": told(
            {
                "id": ID,
                "name": STRING,
                "description": STRING,
                "status": words(wire.VOLUME_STATUS.values()),
                "size": INTEGER,
                "availability_zone": STRING,
                "bootable": words(("true", "false")),
                "multiattach": BOOLEAN,
                "created_at": TIME,
                "updated_at": or_null(TIME),
                "snapshot_id": NULL,
                "source_volid": or_null(ID),
            }
        ),
        "tags": STRINGS,
    }
)

CALLS: Table = {
    "volumes": {
        "POST": Told(
            "createVolume",
            {202: _ONE_VOLUME},
            body=within(wire.VOLUME_KEY, _NEW_VOLUME),
            refusals=AGENT | {404, 501},
            leads_to=OF_ONE_VOLUME,
            by={"id": f"/{wire.VOLUME_KEY}/id"},
        ),
        "GET": _list("listVolumes", "VolumeSummary"),
    },
    "volumes/detail": {"GET": _list("listVolumesInDetail", "Volume")},
    "volumes/{id}": {
        "GET": Told("showVolume", {200: _ONE_VOLUME}),
        "PUT": Told(
            "updateVolume",
            {200: _ONE_VOLUME},
            body=within(wire.VOLUME_KEY, asked({**_NAMED, "metadata": or_null(_TEXTS)})),
        ),
        "DELETE": Told("deleteVolume", {202: None}, refusals=AGENT),
    },
    "volumes/{id}/action": {
        "POST": Told(
            "actOnVolume",
            {
                200: {
                    "anyOf": [
                        told({"connection_info": ref("Connection")}),
                        told({"metadata": STRINGS}),
                        EMPTY,
                    ]
                },
                202: None,
            },
            body=_ACTION,
            refusals=AGENT | {501},
        )
    },
    "volumes/{id}/encryption": {"GET": Told("showEncryption", {200: told({"encryption_key_id": NULL})})},
    "os-volume-manage": {
        "POST": Told(
            "adoptVolume",
            {202: _ONE_VOLUME},
            body=within(wire.VOLUME_KEY, _ADOPTION),
            refusals=AGENT | {404},
            leads_to=OF_ONE_VOLUME,
            by={"id": f"/{wire.VOLUME_KEY}/id"},
        )
    },
    "volumes/{id}/metadata": {
        "GET": Told("showMetadata", {200: _METADATA}),
        "POST": Told("addMetadata", {200: _METADATA}, body=within("metadata", _TEXTS)),
        "PUT": Told("replaceMetadata", {200: _METADATA}, body=within("metadata", _TEXTS)),
    },
    "volumes/{id}/metadata/{key}": {
        "GET": Told("showMetadataItem", {200: _META}),
        "PUT": Told(
            "setMetadataItem",
            {200: _META},
            body=within("meta", {**_TEXTS, "minProperties": 1, "maxProperties": 1}),
        ),
        "DELETE": Told("deleteMetadataItem", {200: None}),
    },
    "os-vendor-volumes/{id}/tags": {
        "GET": Told("listTags", {200: _TAGS}),
        "POST": Told("addTags", {200: _TAGS}, body=_NEW_TAGS, leads_to=_OF_ONE_TAG, by=_FIRST_TAG),
        "PUT": Told("replaceTags", {200: _TAGS}, body=_NEW_TAGS),
    },
    "os-vendor-volumes/{id}/tags/action": {"POST": Told("actOnTags", {204: None}, body=_TAG_ACTION)},
    "os-vendor-volumes/{id}/tags/{key}": {
        "GET": Told("showTag", {200: _TAG}),
        "PUT": Told(
            "setTag",
            {200: _TAG},
            body=within("tag", asked({"key": _TAG_KEY, "value": _TAG_VALUE}, ["value"])),
        ),
        "DELETE": Told("deleteTag", {204: None}),
    },
    "os-vendor-volumes/tags": {"GET": Told("listAllTags", {200: _ALL_TAGS})},
    "os-vendor-tags/volumes": {"GET": Told("listAllOldTags", {200: _ALL_TAGS})},
    "os-vendor-tags/volumes/resource_instances": {
        "GET": Told(
            "findByTags",
            {200: told({"total_count": COUNT, "resources": list_of(_TAGGED)})},
            query={
                **dict.fromkeys(tag_search.FILTERS, _TAG_FILTER),
                "limit": {**COUNT, "maximum": OFFSET_MAX},
                "offset": {**COUNT, "maximum": OFFSET_MAX},
            },
        )
    },
    "os-vendor-tags/volumes/{id}": {
        "GET": Told("listOldTags", {200: _OLD_TAGS}),
        "POST": Told("addOldTags", {200: _OLD_TAGS}, body=_NEW_TAGS),
        "PUT": Told("replaceOldTags", {200: _OLD_TAGS}, body=_NEW_TAGS),
    },
    "os-vendor-tags/volumes/{id}/action": {"POST": Told("actOnOldTags", {204: None}, body=_TAG_ACTION)},
    "os-vendor-tags/volumes/{id}/{key}": {
        "GET": Told("showOldTag", {200: _OLD_TAG}),
        "PUT": Told(
            "setOldTag",
            {200: _OLD_TAG},
            body=within("tag", {**_TAG_MAP, "minProperties": 1, "maxProperties": 1}),
        ),
        "DELETE": Told("deleteOldTag", {204: None}),
    },
}
