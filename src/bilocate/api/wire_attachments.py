"""The words of block storage's attachments: what is told of them, and what is asked."""

import json
from collections.abc import Mapping
from typing import Any

from bilocate.api import fields
from bilocate.api.codes import BAD_ACTION, BAD_VOLUME_ID, malformed
from bilocate.api.wire import Json, time
from bilocate.api.wire_actions import attach_mode
from bilocate.api.wire_volumes import CONNECTOR_BYTES_MAX, connection
from bilocate.operations.exports import Connector
from bilocate.store.models import Attachment, AttachmentStatus

ATTACHMENT_KEY, ATTACHMENTS_KEY = "attachment", "attachments"
COMPLETE = "os-complete"
ATTACHMENT_STATUS: Mapping[AttachmentStatus, str] = {status: status.value for status in AttachmentStatus}


def attachment_summary(row: Attachment) -> Json:
    """An attachment in the short list."""
    return {
        "id": row.id,
        "status": ATTACHMENT_STATUS[row.status],
        "instance": row.instance_uuid,
        "volume_id": row.volume_id,
    }


def attachment(row: Attachment, address: tuple[str, int] | None) -> Json:
    """All of an attachment. With the site's address: also how its host reaches the volume, secret included."""
    info: Json = {}
    if address is not None and row.export_name is not None and row.status is not AttachmentStatus.RESERVED:
        # Flat, unlike a connection's: what clients of attachments read.
        found = connection(row, *address)["connection_info"]
        info = {"driver_volume_type": found["driver_volume_type"], **found["data"]}
    return {
        **attachment_summary(row),
        "attach_mode": row.mode,
        "attached_at": time(row.attached_at),
        "detached_at": None,
        "connection_info": info,
    }


def new_attachment(body: Json) -> tuple[str, Connector, Json | None]:
    """The volume, the server if there is one with what it may do, and the host if it is known.

    :raises Problem: 400.
    """
    asked = fields.inner_object(body, ATTACHMENT_KEY)
    volume_id = fields.identifier("volume_uuid", asked.get("volume_uuid"), BAD_VOLUME_ID)
    instance = fields.text(asked, "instance_uuid", bytes_max=64)
    connector = Connector(instance_uuid=instance, mode=attach_mode("attachment", asked))
    return volume_id, connector, _connector(asked.get("connector"))


def attachment_update(body: Json) -> Json:
    """The host.

    :raises Problem: 400.
    """
    asked = fields.inner_object(body, ATTACHMENT_KEY)
    found = _connector(asked.get("connector"))
    if found is None:
        raise malformed("connector is missing: it says what host is to be attached")
    return found


def is_complete(body: Json) -> None:
    """:raises Problem: 400 unless the action is the only one that there is."""
    action, _ = fields.one_action(body)
    if action != COMPLETE:
        raise malformed(f"{action!r} is no action of an attachment: there is {COMPLETE}", BAD_ACTION)


def _connector(value: Any) -> Json | None:
    if not value and (value is None or value == {}):
        return None
    if not isinstance(value, dict):
        raise malformed("connector must be an object that says what host it is")
    if len(json.dumps(value)) > CONNECTOR_BYTES_MAX:
        raise malformed(f"the connector has more than {CONNECTOR_BYTES_MAX} bytes")
    fields.required_text(value, "host")
    fields.text(value, "mountpoint")
    return value
