"""The calls of volumes, attachments and quotas."""

from collections.abc import Mapping
from typing import Any

from bilocate.client.exchange import Json, Place, Request, Steps, ask
from bilocate.client.listing import every
from bilocate.client.resources import Attachment, Quotas, Volume

ATTACHMENTS_SINCE = "3.44"


def create_volume(
    name: str,
    size_gib: int,
    site: str,
    description: str = "",
    metadata: Mapping[str, str] | None = None,
    multiattach: bool = False,
) -> Steps[Volume]:
    """Ask for a volume of `size_gib` GiB at `site`; it is `creating` at first."""
    body: Json = {"name": name, "size": size_gib, "availability_zone": site, "description": description}
    if metadata:
        body["metadata"] = dict(metadata)
    if multiattach:
        body["multiattach"] = True
    answer = yield from ask(Request("POST", "volumes", {"volume": body}))
    return Volume.of(answer["volume"])


def copy_volume(
    name: str,
    source_id: str,
    size_gib: int | None = None,
    description: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Steps[Volume]:
    """Ask for a volume that begins as a copy of another one, as of one moment, at the same site; it is `creating` at
    first. `size_gib`: the source's, or a larger one."""
    body: Json = {"name": name, "source_volid": source_id, "description": description}
    if size_gib is not None:
        body["size"] = size_gib
    if metadata:
        body["metadata"] = dict(metadata)
    answer = yield from ask(Request("POST", "volumes", {"volume": body}))
    return Volume.of(answer["volume"])


def volume(volume_id: str) -> Steps[Volume]:
    """One volume."""
    answer = yield from ask(Request("GET", f"volumes/{volume_id}"))
    return Volume.of(answer["volume"])


def volumes(**filters: str) -> Steps[list[Volume]]:
    """All volumes of the project, or those that match, such as `name=...`."""
    return (yield from every("volumes/detail", "volumes", Volume.of, filters))


def update_volume(volume_id: str, **changes: Any) -> Steps[Volume]:
    """Change `name`, `description` or `metadata`."""
    answer = yield from ask(Request("PUT", f"volumes/{volume_id}", {"volume": changes}))
    return Volume.of(answer["volume"])


def delete_volume(volume_id: str) -> Steps[None]:
    """Delete a volume and its data."""
    yield from ask(Request("DELETE", f"volumes/{volume_id}"))


def extend_volume(volume_id: str, size_gib: int) -> Steps[None]:
    """Grow a volume to `size_gib` GiB; it is `extending` at first."""
    yield from _act(volume_id, "os-extend", {"new_size": size_gib})


def adopt_volume(name: str, site: str, path: str, description: str = "") -> Steps[Volume]:
    """Make a volume of the device or file `path` at `site`, as it is (admins only); it is `creating` at first."""
    body = {"name": name, "host": site, "ref": {"source-name": path}, "description": description}
    answer = yield from ask(Request("POST", "os-volume-manage", {"volume": body}))
    return Volume.of(answer["volume"])


def give_volume_back(volume_id: str) -> Steps[None]:
    """End an adopted volume (admins only); its device or file stays as it is."""
    yield from _act(volume_id, "os-unmanage", None)


def connect_volume(volume_id: str, host: str) -> Steps[Json]:
    """Open a connection for `host`: the answer holds the NBD address, whose export name is a secret."""
    answer = yield from _act(volume_id, "os-initialize_connection", {"connector": {"host": host}})
    told: Json = answer["connection_info"]
    return told


def disconnect_volume(volume_id: str, host: str) -> Steps[None]:
    """End the connections of `host`."""
    yield from _act(volume_id, "os-terminate_connection", {"connector": {"host": host}})


def _act(volume_id: str, action: str, value: Json | None) -> Steps[Json]:
    return ask(Request("POST", f"volumes/{volume_id}/action", {action: value}))


# --- attachments, of block storage v3 ---


def create_attachment(volume_id: str, host: str = "", instance: str | None = None) -> Steps[Attachment]:
    """Reserve a volume for a host; where `host` is given, the way in is opened at once."""
    connector = {"connector": {"host": host}} if host else {}
    body = {"attachment": {"volume_uuid": volume_id, "instance_uuid": instance, **connector}}
    return (yield from _attachment(Request("POST", "attachments", body)))


def attachment(attachment_id: str) -> Steps[Attachment]:
    """One attachment."""
    return (yield from _attachment(Request("GET", f"attachments/{attachment_id}")))


def attachments(**filters: str) -> Steps[list[Attachment]]:
    """All attachments, or those that match, such as `volume_id=...`."""
    return (
        yield from every(
            "attachments/detail", "attachments", Attachment.of, filters, Place.V3, ATTACHMENTS_SINCE
        )
    )


def update_attachment(attachment_id: str, host: str) -> Steps[Attachment]:
    """Open the way in for `host`; answers when its site serves it."""
    body = {"attachment": {"connector": {"host": host}}}
    return (yield from _attachment(Request("PUT", f"attachments/{attachment_id}", body)))


def complete_attachment(attachment_id: str) -> Steps[None]:
    """Tell that the host has attached: the volume is `in-use`."""
    yield from ask(_v3(Request("POST", f"attachments/{attachment_id}/action", {"os-complete": None})))


def delete_attachment(attachment_id: str) -> Steps[None]:
    """End an attachment; its way in is closed."""
    yield from ask(_v3(Request("DELETE", f"attachments/{attachment_id}")))


def _attachment(request: Request) -> Steps[Attachment]:
    answer = yield from ask(_v3(request))
    return Attachment.of(answer["attachment"])


def _v3(request: Request) -> Request:
    return Request(request.method, request.path, request.body, None, Place.V3, ATTACHMENTS_SINCE)


# --- quotas ---


def quotas(project_id: str) -> Steps[Quotas]:
    """What a project may have."""
    answer = yield from ask(Request("GET", f"os-quota-sets/{project_id}"))
    return Quotas.of(answer["quota_set"])


def set_quotas(project_id: str, **limits: int) -> Steps[Quotas]:
    """Change a project's quotas (admins only): `volumes`, `gigabytes`, `replication_consistency_groups`."""
    answer = yield from ask(Request("PUT", f"os-quota-sets/{project_id}", {"quota_set": limits}))
    return Quotas.of(answer["quota_set"])


def reset_quotas(project_id: str) -> Steps[None]:
    """Take all of a project's quotas back (admins only)."""
    yield from ask(Request("DELETE", f"os-quota-sets/{project_id}"))
