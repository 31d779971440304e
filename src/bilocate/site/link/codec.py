"""Binds the receive buffer to the frames of the core."""

from bilocate.replication.frames import HEADER, Frame, decode_header
from bilocate.site.link.receiver import Buffer, FrameReceiver
from bilocate.site.link.settings import LinkSettings


def frame_receiver(settings: LinkSettings) -> FrameReceiver[Frame]:
    """A receiver of the core's frames; what is malformed is decided by `decode_header`."""
    return FrameReceiver(
        HEADER.size, decode_header, _set_payload, settings.receive_bytes, settings.own_payload_bytes
    )


def _set_payload(frame: Frame, payload: Buffer) -> Frame:
    frame.payload = payload
    return frame
