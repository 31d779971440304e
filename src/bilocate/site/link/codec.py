"""Binds the receive buffer to the frames of the core."""

from bilocate.replication.frames import HEADER, Arrival, decode_arrival, put_payload
from bilocate.replication.ports import TRANSIENT_BYTES_MAX
from bilocate.replication.requests import Request
from bilocate.site.link.receiver import FrameReceiver
from bilocate.site.link.settings import LinkSettings


def frame_receiver(settings: LinkSettings, socket_fd: int = -1) -> FrameReceiver[Arrival]:
    """A receiver of the core's frames; what is malformed is decided by `decode_arrival`.

    `socket_fd`: where long payloads may be moved from, -1: nowhere.

    :raises ValueError: for a buffer whose views would be taken for memory that stays.
    """
    if settings.receive_bytes > TRANSIENT_BYTES_MAX:
        raise ValueError(f"the buffer must not be larger than {TRANSIENT_BYTES_MAX} bytes")
    return FrameReceiver(
        HEADER.size,
        decode_arrival,
        put_payload,
        settings.receive_bytes,
        settings.own_payload_bytes,
        _is_write,
        socket_fd,
    )


def _is_write(arrival: Arrival) -> bool:
    """A write's payload is for the disk, and for nobody else."""
    return type(arrival) is Request
