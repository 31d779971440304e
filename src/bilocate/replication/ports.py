"""Every effect the core can have. The site agent, the simulator and the tests each implement `Ports`.

The core calls a port in the order in which the effects must begin; a port only *starts* something and never
calls back into the core from inside the call. What was started ends in an event: a method of the session
(named behind each port). Times are seconds of a monotonic clock, given with the events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bilocate.domain.arbiter import Call
from bilocate.replication.records import Change
from bilocate.replication.requests import Request

Buffer = bytes | bytearray | memoryview

# A payload that is a view of at most so many bytes may be a part of the buffer that the next frames come into: who
# needs it longer than the call that brings it copies it.
TRANSIENT_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class ChunkContent:
    """A chunk as read from a disk: its hash, and its bytes (None for a chunk of zeros)."""

    chunk: int
    digest: bytes
    data: Buffer | None


class Ports(Protocol):
    """The world outside one session."""

    def use_volumes(self, volume_ids: Sequence[str]) -> None:
        """From now on the numbers of volumes mean these, in this order."""

    def give_back(self, request: Request) -> None:
        """Nobody carries this host's request any more: submit it anew to whatever carries its volume next.

        `request.volume` is its number among the volumes in use.
        """

    def write(self, request: Request) -> int | None:
        """Carry out a WRITE or ZERO on this site's volume `request.volume`.

        A view of up to `TRANSIENT_BYTES_MAX` in `request.data` is valid during this call only. Returns its errno
        (0: done) when it is finished now, or None: `on_local_done(request, errno)` follows.
        """

    def read(self, request: Request) -> int | None:
        """Fill `request.data`; answers like `write`."""

    def flush(self, token: int) -> None:
        """Make durable what every volume of the session has finished writing by now. → `on_flushed(token, errno)`."""

    def read_chunks(self, volume: int, chunks: Sequence[int], token: int) -> None:
        """Read and hash chunks of this site's volume. → `on_chunks(token, errno, list[ChunkContent])`.

        Chunks past the end of the volume never occur; a short last chunk has its own length.
        """

    def commit(self, changes: Sequence[Change], token: int, patient: bool = False) -> None:
        """Make the changes durable together, behind all earlier ones. → `on_committed(token)`.

        `patient`: it may wait a few milliseconds for others to come along, unless one that is not comes first.

        There is no failure: a ledger that cannot commit ends the process (the protocol's "crash").
        """

    def ask_arbiter(self, call_id: int, call: Call, epoch: int, version: int) -> None:
        """Ask the controller. → `on_answer(call_id, Row | Refusal | None, now)`; None: outcome unknown."""

    def send(self, header: bytes, payload: Buffer = b"") -> None:
        """Put a frame on the present link, behind all earlier ones. Without a link it is dropped."""

    def send_all(self, frames: Sequence[Buffer]) -> None:
        """`send` for several frames: header and payload of each in turn; a payload may be empty."""

    def want_link(self, wanted: bool) -> None:
        """Primary: keep dialling the peer (with backoff), or stop. → `on_link_up(link, now)`."""

    def close_link(self, reason: str) -> None:
        """Close the present link behind what was sent; nothing from it is to reach the core any more."""

    def disconnect_hosts(self, reason: str) -> None:
        """Close every host connection to the session's volumes. Requests not answered yet never will be."""

    def serve_hosts(self, serving: bool) -> None:
        """Whether hosts may connect to the session's volumes at all (rule 2)."""

    def refuse_old_attachments(self) -> None:
        """Attachments made before the machine crashed are refused from now on, durably (OLD MEMORY)."""

    def new_generation(self) -> str:
        """A new unique id."""

    def log(self, event: str, **fields: object) -> None:
        """Tell what happened, for people. Never a reason to act."""
