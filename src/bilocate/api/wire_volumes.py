"""The words of block storage, and the only file that spells them: what is told, what is asked, and how.

Times have no zone, a volume's size is a number and `bootable` is a text: clients are strict.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bilocate.api import fields, wire_types
from bilocate.api.codes import BAD_ACTION, BAD_BODY, malformed, not_yet
from bilocate.api.wire import Json, failure_message, time
from bilocate.domain.volume_states import VolumeStatus
from bilocate.domain.zones import Zones
from bilocate.operations.quotas import Resource
from bilocate.store.models import (
    READ_ONLY,
    Attachment,
    AttachmentKind,
    AttachmentStatus,
    Volume,
)

VOLUME_KEY, VOLUMES_KEY = "volume", "volumes"
AGENT = "bilocate-site"  # the name of the program, where services are listed
CONNECTOR_BYTES_MAX = 4096  # it is kept with the connection

VOLUME_STATUS: Mapping[VolumeStatus, str] = {
    **{status: status.value for status in VolumeStatus},
    VolumeStatus.IN_USE: "in-use",
}
COPY_SOURCE = "source_volid"
CONNECT, DISCONNECT = "os-initialize_connection", "os-terminate_connection"
SOURCE_BYTES_MAX = 4096  # a path
VOLUME_ACTIONS_NOT_YET = frozenset(
    {
        "os-volume_upload_image", "os-migrate_volume", "revert",
    }
)  # fmt: skip
# Sources of a new volume that this release can't take one from.
VOLUME_SOURCES_NOT_YET = (
    "imageRef",
    "image_id",
    "snapshot_id",
    "source_replica",
    "backup_id",
)


# --- what is told ---


def volume_summary(row: Volume, base_url: str) -> Json:
    """A volume in the short list."""
    return {"id": row.id, "name": row.name, "links": _links(base_url, row.id)}


def new_volume(row: Volume, base_url: str, zones: Zones) -> Json:
    """A volume as the call that makes it answers."""
    return {**volume(row, [], base_url, zones), "status": VOLUME_STATUS[VolumeStatus.CREATING]}


def volume(row: Volume, attachments: Sequence[Attachment], base_url: str, zones: Zones) -> Json:
    """A volume with all that is told of it. No attachment's secret is."""
    attached = [
        each
        for each in attachments
        if each.kind is AttachmentKind.ATTACHMENT and each.status is AttachmentStatus.ATTACHED
    ]
    return {
        **volume_summary(row, base_url),
        "description": row.description,
        "size": row.size_gib,
        "status": VOLUME_STATUS[row.status],
        "availability_zone": zones.of(row.site),
        "volume_type": row.volume_type,
        "bootable": "true" if row.bootable else "false",
        "multiattach": row.multiattach,
        "encrypted": False,
        "metadata": {
            **{str(key): str(value) for key, value in row.user_metadata.items()},
            **_read_only(row, attached),
        },
        # Those whose hosts have attached, as clients expect; all are in the list of attachments.
        "attachments": [_attachment(each) for each in attached],
        "bilocate:connections": [
            _connection(each) for each in attachments if each.kind is AttachmentKind.CONNECTION
        ],
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
        "user_id": row.user_id,
        "snapshot_id": None,
        "source_volid": row.source_volume_id,
        "consistencygroup_id": None,
        "replication_status": None,
        "migration_status": None,
        "os-vol-tenant-attr:tenant_id": row.project_id,
        **({"volume_image_metadata": dict(row.image_metadata)} if row.image_metadata else {}),
        # Beyond block storage, and there only when there is something to tell.
        **({} if row.source is None else {"bilocate:adopted_from": row.source}),
        **({} if row.site == zones.of(row.site) else {"bilocate:site": row.site}),
        **failure_message(row.failure_message),
    }


def _read_only(row: Volume, attached: Sequence[Attachment]) -> dict[str, str]:
    """Block storage tells it among the metadata: what its owner calls so himself gives way."""
    told = {"readonly": "True"} if row.read_only else {}
    if any(each.mode == READ_ONLY for each in attached):
        told["attached_mode"] = READ_ONLY
    return told


def tagged_volume(row: Volume, tags: Mapping[str, str], zones: Zones) -> Json:
    """A volume as looking for tags tells it."""
    return {
        "resource_id": row.id,
        "resource_name": row.name,
        "resource_detail": {
            "id": row.id,
            "name": row.name,
            "description": row.description,
            "status": VOLUME_STATUS[row.status],
            "size": row.size_gib,
            "availability_zone": zones.of(row.site),
            "bootable": "true" if row.bootable else "false",
            "multiattach": row.multiattach,
            "created_at": time(row.created_at),
            "updated_at": time(row.updated_at),
            "snapshot_id": None,
            "source_volid": row.source_volume_id,
        },
        "tags": dict(tags),
    }


def _attachment(row: Attachment) -> Json:
    return {
        "id": row.volume_id,
        "volume_id": row.volume_id,
        "attachment_id": row.id,
        "server_id": row.instance_uuid,
        "host_name": row.host,
        "device": row.mountpoint,
        "attached_at": time(row.attached_at),
    }


def _connection(row: Attachment) -> Json:
    return {"id": row.id, "host": row.host, "connected_at": time(row.attached_at)}


def _links(base_url: str, volume_id: str) -> list[Json]:
    href = f"{base_url}/volumes/{volume_id}"
    # The bookmark is the address without a version.
    root, _, rest = href.partition("/v3/" if "/v3/" in href else "/v2/")
    return [{"rel": "self", "href": href}, {"rel": "bookmark", "href": f"{root}/{rest}"}]


def connection(row: Attachment, host: str, port: int) -> Json:
    """How a host reaches a volume. The export's name is the secret that lets it in."""
    address = f"[{host}]" if ":" in host else host
    data = {
        "uri": f"nbd://{address}:{port}/{row.export_name}",
        "host": host,
        "port": port,
        "export": row.export_name,
        "volume_id": row.volume_id,
        "attachment_id": row.id,
        "access_mode": row.mode,
        "encrypted": False,
        "discard": row.mode != READ_ONLY,
    }
    return {"connection_info": {"driver_volume_type": "nbd", "data": data}}


def zones(told: Sequence[tuple[str, bool]]) -> Json:
    """The zones, and whether each can be used now."""
    found = [{"zoneName": zone, "zoneState": {"available": available}} for zone, available in told]
    return {"availabilityZoneInfo": found}


def services(sites: Sequence[tuple[str, str, bool]]) -> Json:
    """The sites' agents as services: of each its site, its zone, and whether it answers. `host` is what adoption calls
    so too."""
    found = [
        {
            "binary": AGENT,
            "host": site,
            "zone": zone,
            "status": "enabled",
            "state": "up" if answers else "down",
            "updated_at": None,
            "disabled_reason": None,
        }
        for site, zone, answers in sites
    ]
    return {"services": found}


def limits(limit: Mapping[Resource, int], used: Mapping[Resource, int]) -> Json:
    """What a project may have and has. -1 says that there is no limit."""
    absolute = {
        "maxTotalVolumes": limit[Resource.VOLUMES],
        "totalVolumesUsed": used[Resource.VOLUMES],
        "maxTotalVolumeGigabytes": limit[Resource.GIGABYTES],
        "totalGigabytesUsed": used[Resource.GIGABYTES],
        "maxTotalSnapshots": 0,
        "totalSnapshotsUsed": 0,
        "maxTotalBackups": 0,
        "totalBackupsUsed": 0,
        "maxTotalBackupGigabytes": 0,
        "totalBackupGigabytesUsed": 0,
    }
    return {"limits": {"rate": [], "absolute": absolute}}


# --- what is asked: the arguments of operations' verbs ---


def copy_source(body: Json) -> str | None:
    """The id of the volume that a new one is to begin as a copy of; None: it is to begin with zeros.

    :raises Problem: 400.
    """
    return fields.text(fields.inner_object(body, VOLUME_KEY), COPY_SOURCE)


def volume_request(body: Json, default_zone: str, source: Volume | None = None) -> Json:
    """`source`: the volume that it is a copy of, which gives what the request leaves out. `site`, in what is returned,
    is a zone or a site as it was asked for.

    :raises Problem: 400, 404 for an unknown type, 501 for a volume made of something else.
    """
    asked = fields.inner_object(body, VOLUME_KEY)
    for other in VOLUME_SOURCES_NOT_YET:
        if asked.get(other) is not None:
            raise not_yet(f"a volume made from {other}")
    names = _names(asked)
    request: Json = {
        "site": fields.text(asked, "availability_zone") or (default_zone if source is None else source.site),
        "metadata": fields.text_map(asked, "metadata"),
        "name": names["name"] or names["display_name"] or "",
        "description": names["description"] or names["display_description"] or "",
    }
    multiattach = fields.boolean(asked, "multiattach")
    if source is None or fields.text(asked, "volume_type"):
        kind = wire_types.asked(asked)
        request |= {"volume_type": kind.name, "multiattach": multiattach or kind.multiattach}
    else:
        request |= {
            "volume_type": source.volume_type,
            "multiattach": multiattach or source.multiattach,
        }
    if source is None:
        return {**request, "size_gib": fields.size_gib("size", asked.get("size"))}
    size = asked.get("size")
    return {
        **request,
        "size_gib": source.size_gib if size is None else fields.size_gib("size", size),
        "bootable": source.bootable,
        "source_volume_id": source.id,
    }


def adoption_request(body: Json, zones: Zones) -> Json:
    """What a device or file is to become, where, and its path: block storage's words for it.

    :raises Problem: 400.
    """
    asked = fields.inner_object(body, VOLUME_KEY)
    ref = asked.get("ref")
    if not isinstance(ref, dict):
        raise malformed('ref must be an object: {"source-name": the path of a device or file}', BAD_BODY)
    path = fields.text(ref, "source-name", SOURCE_BYTES_MAX) or fields.text(
        ref, "source-id", SOURCE_BYTES_MAX
    )
    if not path:
        raise malformed("ref must name the path of a device or file as its source-name")
    # Of "host@backend#pool" the host is the site. A zone, where one is named, is said more clearly; which of its sites
    # has the device, the host says.
    host = (fields.text(asked, "host") or "").partition("@")[0].partition("#")[0]
    zone = fields.text(asked, "availability_zone")
    site = zone if zone and host not in zones.sites(zone) else host
    if not site:
        raise malformed("host, or availability_zone, must name the site that has the device or file")
    kind = wire_types.asked(asked)
    return {
        "site": site,
        "source": path,
        "volume_type": kind.name,
        "multiattach": kind.multiattach,
        "bootable": fields.boolean(asked, "bootable"),
        "metadata": fields.text_map(asked, "metadata"),
        "name": fields.text(asked, "name") or "",
        "description": fields.text(asked, "description") or "",
    }


def volume_update(body: Json) -> Json:
    """The columns that change.

    :raises Problem: 400.
    """
    asked = fields.inner_object(body, VOLUME_KEY)
    names = _names(asked)
    name = names["name" if "name" in asked else "display_name"]
    described = "description" if "description" in asked else "display_description"
    changes: Json = {"name": name, "description": names[described]}
    if asked.get("metadata") is not None:
        changes["user_metadata"] = fields.text_map(asked, "metadata")
    return {key: value for key, value in changes.items() if value is not None}


def connector(action: str, value: Any) -> Json:
    """What a host says of itself when it connects or disconnects.

    :raises Problem: 400.
    """
    asked = value.get("connector") if isinstance(value, dict) else None
    if not isinstance(asked, dict):
        raise malformed(f"{action} must hold the object 'connector', which says what host it is", BAD_ACTION)
    if len(json.dumps(asked)) > CONNECTOR_BYTES_MAX:
        raise malformed(f"{action}: the connector has more than {CONNECTOR_BYTES_MAX} bytes")
    fields.required_text(asked, "host")
    return asked


def _names(asked: Json) -> dict[str, str | None]:
    """Under the words of both versions; what the other one's word comes before is checked all the same."""
    words = ("name", "display_name", "description", "display_description")
    return {word: fields.text(asked, word) for word in words}
