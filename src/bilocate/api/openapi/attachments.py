"""The calls that block storage v3 has alone: attachments, and the summary of all volumes."""

from bilocate.api import attachments
from bilocate.api import wire_attachments as wire
from bilocate.api.openapi.calls import AGENT, STATE, Table, Told, volume_list
from bilocate.api.openapi.shapes import (
    COUNT,
    EMPTY,
    ID,
    NULL,
    STRING,
    TIME,
    Json,
    a_text,
    asked,
    list_of,
    maybe_text,
    one_action,
    or_null,
    ref,
    told,
    within,
    words,
)
from bilocate.api.openapi.volumes import CONNECTOR

_SUMMARY = {
    "id": ID,
    "status": words(wire.ATTACHMENT_STATUS.values()),
    "instance": or_null(STRING),
    "volume_id": ID,
}
SCHEMAS: dict[str, Json] = {
    "AttachmentSummary": told(_SUMMARY),
    "Attachment": told(
        {
            **_SUMMARY,
            "attach_mode": words(("rw", "ro")),
            "attached_at": or_null(TIME),
            "detached_at": NULL,
            "connection_info": {"anyOf": [EMPTY, ref("FlatConnection")]},
        }
    ),
}
_CONNECTOR = {**CONNECTOR, "properties": {**CONNECTOR["properties"], "mountpoint": maybe_text()}}
_NEW = asked(
    {
        "volume_uuid": ID,
        "instance_uuid": maybe_text(64),
        "mode": or_null(words(("", "rw", "ro"))),
        "connector": {"anyOf": [NULL, EMPTY, _CONNECTOR]},
    },
    ["volume_uuid"],
)
_FILTERS: dict[str, Json] = {
    **volume_list(attachments.LISTING.sort_keys),
    "status": STRING,
    "attach_status": STRING,
    "volume_id": a_text(),
    "instance_id": a_text(),
}
_ONE = told({wire.ATTACHMENT_KEY: ref("Attachment")})
_OF_ONE = ("showAttachment", "updateAttachment", "deleteAttachment", "actOnAttachment")
_ANYTHING: Json = {}


def _list(name: str, row: str) -> Told:
    return Told(
        name,
        {200: told({wire.ATTACHMENTS_KEY: list_of(ref(row))})},
        query=_FILTERS,
        refusals=frozenset({404}),
        leads_to=_OF_ONE,
        by={"id": f"/{wire.ATTACHMENTS_KEY}/0/id"},
    )


CALLS: Table = {
    "volumes/summary": {
        "GET": Told(
            "summarizeVolumes",
            {
                200: told(
                    {
                        "volume-summary": told(
                            {
                                "total_count": COUNT,
                                "total_size": COUNT,
                                "metadata": {"type": "object", "additionalProperties": list_of(STRING)},
                            },
                            optional=["metadata"],
                        )
                    }
                )
            },
            refusals=frozenset({404}),
        )
    },
    "attachments": {
        "POST": Told(
            "createAttachment",
            {200: _ONE},
            body=within(wire.ATTACHMENT_KEY, _NEW),
            refusals=AGENT | {404},
            leads_to=_OF_ONE,
            by={"id": f"/{wire.ATTACHMENT_KEY}/id"},
        ),
        "GET": _list("listAttachments", "AttachmentSummary"),
    },
    "attachments/detail": {"GET": _list("listAttachmentsInDetail", "Attachment")},
    "attachments/{id}": {
        "GET": Told("showAttachment", {200: _ONE}),
        "PUT": Told(
            "updateAttachment",
            {200: _ONE},
            body=within(wire.ATTACHMENT_KEY, asked({"connector": _CONNECTOR}, ["connector"])),
            refusals=AGENT,
        ),
        "DELETE": Told(
            "deleteAttachment",
            {200: told({wire.ATTACHMENTS_KEY: list_of(ref("AttachmentSummary"))})},
            refusals=AGENT,
        ),
    },
    "attachments/{id}/action": {
        "POST": Told(
            "actOnAttachment", {204: None}, body=one_action({wire.COMPLETE: _ANYTHING}), refusals=STATE
        )
    },
}
