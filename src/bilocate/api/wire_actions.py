"""The values of a volume's actions: what is asked, in block storage's words."""

from collections.abc import Mapping
from typing import Any

from bilocate.api import fields
from bilocate.api.codes import BAD_ACTION, malformed
from bilocate.api.wire import Json
from bilocate.api.wire_volumes import VOLUME_STATUS, connector
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.exports import Connector
from bilocate.store.models import READ_ONLY, READ_WRITE

ATTACH_STATUS: Mapping[str, bool] = {"attached": True, "detached": False}


def new_size(value: Any) -> int:
    """What a volume is to grow to, in GiB.

    :raises Problem: 400.
    """
    return fields.size_gib("new_size", _inner("os-extend", value).get("new_size"))


def new_read_only(value: Any) -> bool:
    """Whether hosts may only read.

    :raises Problem: 400.
    """
    return _flag("os-update_readonly_flag", value, "readonly")


def new_bootable(value: Any) -> bool:
    """Whether there is something to start from on the volume, as its owner says.

    :raises Problem: 400.
    """
    return _flag("os-set_bootable", value, "bootable")


def _flag(action: str, value: Any, name: str) -> bool:
    asked = _inner(action, value)
    if asked.get(name) is None:
        raise malformed(f"{action} must hold {name}: true or false", BAD_ACTION)
    return fields.boolean(asked, name)


def attach_request(value: Any) -> Connector:
    """Which server, or which host, has attached the volume, and as what.

    :raises Problem: 400.
    """
    asked = _inner("os-attach", value)
    instance, host = fields.text(asked, "instance_uuid", bytes_max=64), fields.text(asked, "host_name")
    if not instance and not host:
        raise malformed("os-attach must say who has attached: instance_uuid or host_name", BAD_ACTION)
    mode = attach_mode("os-attach", asked, BAD_ACTION)
    return Connector(instance or None, host or None, fields.text(asked, "mountpoint"), mode)


def attach_mode(where: str, asked: Json, code: str | None = None) -> str | None:
    """What a host is to be able to do; None: what the volume allows.

    :raises Problem: 400.
    """
    mode = fields.text(asked, "mode") or None
    if mode not in (None, READ_WRITE, READ_ONLY):
        raise malformed(f"{where}: mode {mode!r} must be 'rw' or 'ro'", code)
    return mode


def detach_request(value: Any) -> str | None:
    """The attachment that is to end, when one is named.

    :raises Problem: 400.
    """
    if value is None:
        return None
    return fields.text(_inner("os-detach", value), "attachment_id", bytes_max=64)


def new_status(value: Any) -> tuple[VolumeStatus | None, bool | None]:
    """The status that is to be told of a volume, and whether anybody is attached; None: not asked for.

    :raises Problem: 400.
    """
    asked = _inner("os-reset_status", value)
    status, attached = fields.text(asked, "status"), fields.text(asked, "attach_status")
    migration = fields.text(asked, "migration_status")
    if status is None and attached is None and migration is None:
        raise malformed("os-reset_status must hold status, attach_status or migration_status", BAD_ACTION)
    if migration not in (None, "none"):
        raise malformed(
            "os-reset_status: migration_status can only be 'none': no volume migrates", BAD_ACTION
        )
    if attached not in (None, *ATTACH_STATUS):
        raise malformed(
            f"os-reset_status: attach_status must be one of {', '.join(ATTACH_STATUS)}", BAD_ACTION
        )
    known = {word: each for each, word in VOLUME_STATUS.items()}
    if status is not None and status not in known:
        raise malformed(f"os-reset_status: status must be one of {', '.join(sorted(known))}", BAD_ACTION)
    return (
        None if status is None else known[status],
        None if attached is None else ATTACH_STATUS[attached],
    )


def force_detach_request(value: Any) -> tuple[str | None, str | None]:
    """The attachment that is to end, and the host that is missing, as far as they are named.

    :raises Problem: 400.
    """
    asked = {} if value is None else _inner("os-force_detach", value)
    attachment_id = fields.text(asked, "attachment_id", bytes_max=64)
    if asked.get("connector") is None:
        return attachment_id, None
    return attachment_id, fields.required_text(connector("os-force_detach", asked), "host")


def _inner(action: str, value: Any) -> Json:
    if not isinstance(value, dict):
        raise malformed(f"the value of {action} must be an object", BAD_ACTION)
    return value
