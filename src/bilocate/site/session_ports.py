"""What one session can do in the world: its `Ports`. Nothing in here calls the session from inside a port call.

What was started answers by the `Answers` it was given, on the event loop, later.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import structlog

from bilocate.domain.arbiter import Call, Refusal, Row
from bilocate.replication.ports import Buffer, ChunkContent
from bilocate.replication.records import Change
from bilocate.replication.requests import Op, Request
from bilocate.site.arbiter_client import ArbiterClient
from bilocate.site.disks import Disk
from bilocate.site.figures import SessionFigures
from bilocate.site.ledger import Ledger
from bilocate.site.link import Link
from bilocate.site.volume import SiteVolume
from bilocate.site.volumes import Volumes

_WRITE = Op.WRITE

# A disk is told to begin writing out once in so much of a resync, so that the flush at its end has little left to do.
WRITE_OUT_BYTES = 8 * 1024 * 1024


class Answers(Protocol):
    """The session's events, with time and aftermath added."""

    def local_done(self, request: Request, errno: int) -> None:
        """A disk finished a request."""

    def flushed(self, token: int, errno: int) -> None:
        """All disks flushed."""

    def chunks(self, token: int, errno: int, contents: Sequence[ChunkContent]) -> None:
        """Chunks were read."""

    def committed(self, token: int) -> None:
        """Changes are durable."""

    def answered(self, call_id: int, answer: Row | Refusal | None) -> None:
        """The arbiter answered, or nobody knows."""


class SessionPorts:
    """See the module. `changed` is set by what the runner has to carry out once the event is over."""

    def __init__(
        self, session_id: str, site: str, ledger: Ledger, arbiter: ArbiterClient, volumes: Volumes
    ) -> None:
        self.volumes: list[SiteVolume] = []  # by their numbers
        self.link: Link | None = None
        self.link_wanted = False
        self.serving = False
        self.changed = False
        self.answers: Answers
        self.figures = SessionFigures()
        self._session_id = session_id
        self._site = site
        self._ledger = ledger
        self._arbiter = arbiter
        self._registry = volumes
        self._disks: list[Disk] = []
        self._copied_bytes = 0  # since a disk was last told to begin writing out
        self._hosts_kept = True
        self._asking: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger(__name__).bind(session=session_id)

    # --- volumes and hosts ---

    def use_volumes(self, volume_ids: Sequence[str]) -> None:
        # Who puts a session sees to it that its volumes are there, and they stay while it has them.
        self.volumes = [volume for each in volume_ids if (volume := self._registry.get(each)) is not None]
        self.use_disks()
        self._hosts_kept = True
        self.changed = True

    def use_disks(self) -> None:
        """The disks of its volumes, as they are reached now."""
        self._disks = [volume.disk for volume in self.volumes]

    def give_back(self, request: Request) -> None:
        # After a demotion nobody waits for it, and later it would undo what others have written.
        if self._hosts_kept:
            self.volumes[request.volume].give_back(request)

    def disconnect_hosts(self, reason: str) -> None:
        self._hosts_kept = False
        for volume in self.volumes:
            if volume.session_id == self._session_id:
                volume.hold()
                volume.disconnect(reason)

    def serve_hosts(self, serving: bool) -> None:
        self.serving = serving
        self.changed = True

    def refuse_old_attachments(self) -> None:
        self._registry.refuse_attachments(self.volumes)

    # --- disks: the hot path ---

    def write(self, request: Request) -> int | None:
        disk = self._disks[request.volume]
        if request.op is _WRITE:
            errno = disk.write_now(request.offset, request.data)
            if errno is None:
                done = partial(self.answers.local_done, request)
                errno = disk.write(request.offset, request.data, done)
            if request.copied:
                self._copied(disk, request.length)
            return errno
        done = partial(self.answers.local_done, request)
        return disk.zero(request.offset, request.length, request.keep_allocated, done)

    def _copied(self, disk: Disk, length: int) -> None:
        """So much of a resync was given to a disk: not all of it must wait in memory for the flush at the end."""
        self._copied_bytes += length
        if self._copied_bytes >= WRITE_OUT_BYTES:
            self._copied_bytes = 0
            disk.begin_write_out()

    def read(self, request: Request) -> int | None:
        disk = self._disks[request.volume]
        found = disk.read_now(request.offset, request.length)
        if found is None:
            found = disk.read(request.offset, request.length, partial(self._read_later, request))
        if found is None or isinstance(found, int):
            return found
        request.data = found
        return 0

    def _read_later(self, request: Request, found: Buffer | int) -> None:
        if isinstance(found, int):
            self.answers.local_done(request, found)
        else:
            request.data = found
            self.answers.local_done(request, 0)

    def flush(self, token: int) -> None:
        left, first_errno = len(self._disks), 0
        if not left:
            asyncio.get_running_loop().call_soon(self.answers.flushed, token, 0)
            return

        def flushed(errno: int) -> None:
            nonlocal left, first_errno
            left -= 1
            first_errno = first_errno or errno
            if not left:
                self.answers.flushed(token, first_errno)

        for disk in self._disks:
            disk.flush(flushed)

    def read_chunks(self, volume: int, chunks: Sequence[int], token: int) -> None:
        size_bytes = self.volumes[volume].size_bytes
        self._disks[volume].read_chunks(chunks, size_bytes, partial(self.answers.chunks, token))

    # --- ledger and arbiter ---

    def commit(self, changes: Sequence[Change], token: int, patient: bool = False) -> None:
        self._ledger.commit(changes, partial(self.answers.committed, token), patient)

    def ask_arbiter(self, call_id: int, call: Call, epoch: int, version: int) -> None:
        task = asyncio.get_running_loop().create_task(
            self._ask(call_id, call, epoch, version), name="arbiter-call"
        )
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, call_id: int, call: Call, epoch: int, version: int) -> None:
        answer = None
        try:
            answer = await self._arbiter.ask(self._session_id, call, epoch, self._site, version)
        except Exception:
            # A defect must not leave the session waiting for ever; what became of the call is unknown (FORGET).
            self._log.exception("arbiter_call_failed", call=call.value)
        self.answers.answered(call_id, answer)

    def give_up_calls(self) -> None:
        """Nobody waits for the arbiter any more."""
        for task in self._asking:
            task.cancel()

    # --- the link ---

    def send(self, header: bytes, payload: Buffer = b"") -> None:
        link = self.link
        if link is not None:
            link.send(header, payload)

    def send_all(self, frames: Sequence[Buffer]) -> None:
        link = self.link
        if link is not None:
            link.send_all(frames)

    def push(self) -> None:
        """Give the kernel what was sent, now."""
        if self.link is not None:
            self.link.flush()

    def want_link(self, wanted: bool) -> None:
        self.link_wanted = wanted
        self.changed = True

    def close_link(self, reason: str) -> None:
        link = self.link
        self.forget_link()
        if link is not None:
            link.close(reason)

    def forget_link(self) -> None:
        """It is no link of the session any more; what it has sent and received stays counted."""
        if self.link is not None:
            self.figures.ended_links_bytes_in += self.link.bytes_in
            self.figures.ended_links_bytes_out += self.link.bytes_out
        self.link = None

    # --- the rest ---

    def new_generation(self) -> str:
        return str(uuid.uuid4())

    def log(self, event: str, **fields: object) -> None:
        if event == "primary_moved":
            self.figures.moved(str(fields["before"]), str(fields["after"]), time.monotonic())
        self._log.info(event, **fields)
