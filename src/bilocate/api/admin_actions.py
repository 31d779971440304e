"""What an admin does with a volume that is stuck. None of it makes a site answer that did not."""

from typing import Any

from starlette.responses import Response

from bilocate.api import wire_actions as asked
from bilocate.api.audit import note
from bilocate.api.context import Call
from bilocate.api.identity.access import require_admin
from bilocate.store.models import Volume


async def reset_status(call: Call, volume: Volume, value: Any) -> Response:
    """Set the status that is told, where it is true."""
    require_admin(call.caller)
    status, attached = asked.new_status(value)
    note(call.request, status=None if status is None else status.value, attached=attached)
    operations = call.parts.operations
    if attached is not None:
        await operations.require_attached(volume.id, attached, project_id=call.project_id)
    if status is not None:
        await operations.reset_status(volume.id, status, project_id=call.project_id)
    return Response(status_code=202)


async def force_delete(call: Call, volume: Volume, value: Any) -> Response:
    """Delete it, also where a compute service has left it half attached."""
    require_admin(call.caller)
    await call.parts.operations.perform(
        "delete_volume",
        volume.id,
        {"force": True},
        project_id=call.project_id,
        requested_by=call.requested_by,
    )
    return Response(status_code=202)


async def force_detach(call: Call, volume: Volume, value: Any) -> Response:
    """End an attachment whose host is missing, and that host's connections."""
    require_admin(call.caller)
    attachment_id, host = asked.force_detach_request(value)
    attachments = call.parts.operations.attachments
    ended = await attachments.force_detach(volume.id, attachment_id, host, call.project_id)
    note(call.request, host=host, attachment_ids=ended)
    return Response(status_code=202)
