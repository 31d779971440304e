"""New volumes that begin as copies of others at this site: made beside, whole, and only then volumes.

    1  a file under a name that no volume can have, with the new volume's size and zeros in it
    2  the source as of one moment is copied into it while hosts write on (`disks/copied.py` says how)
    3  flushed, and renamed to the volume's name, durably
    4  the ledger knows the volume, durably; from here on it is like any other

Nothing serves the file before 4. An agent that ends before 3 finds a file that is nobody's, and removes it at its next
start; one that ends between 3 and 4 makes the copy anew and puts it in the other's place. Of the source nothing is
changed and nothing noted, so there is nothing to put right.

Which moment it is, is said by nobody: one between the call that began the copy (or began it again, at an agent that had
died) and its end. It has to be a moment in which the source may be read:
- a volume in no session: always;
- a session's primary: while it may answer hosts' reads (rule 2), else the caller is told to come again;
- a session's secondary: while its content is of one moment, and known to be: consistent, and without a dirty chunk.
  Its applier keeps the order of what was answered, so what it holds then is what a failover would give.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from bilocate.site.bodies import WantedCopy
from bilocate.site.disks import CopiedDisk, Disk, DiskError, Workers, create_file, delete_file, open_disk
from bilocate.site.errors import (
    BeingCopied,
    ControlError,
    CopyFailed,
    SourceLarger,
    SourceNotConsistent,
    SourceNotServed,
    UnknownVolume,
    VolumeUnusable,
)
from bilocate.site.unfinished import unfinished
from bilocate.site.volume import SiteVolume
from bilocate.site.volumes import Volumes

log = structlog.get_logger(__name__)

# More at once would be no faster, and hosts would wait for the disks.
_COPIES_MAX = 4
# So long hosts' writes wait at most for those under way when a copy is to begin: a disk may hang.
_REST_SECONDS_MAX = 1.0


@dataclass(eq=False)
class _Copy:
    """One that is being made. `error`: why it was not, until somebody has asked for it."""

    volume_id: str
    wanted: WantedCopy
    error: Exception | None = None
    disk: CopiedDisk | None = None
    is_unwanted: bool = False
    task: asyncio.Task[None] = field(init=False)

    def told(self) -> dict[str, Any]:
        left = self.wanted.size_bytes if self.disk is None else self.disk.left_bytes
        return {"done": False, "left_bytes": left}


class Copies:
    """All copies that are being made. Used on the event loop only.

    `put_disk(volume, disk)`: from now on that is the volume's disk, for whoever carries it. `is_secondary(volume)`:
    whether a session has it as its secondary's, and goes on having it.
    """

    def __init__(
        self,
        site: str,
        volumes: Volumes,
        workers: Workers,
        put_disk: Callable[[SiteVolume, Disk], None],
        is_secondary: Callable[[SiteVolume], bool],
    ) -> None:
        self._site = site
        self._volumes = volumes
        self._workers = workers
        self._put_disk = put_disk
        self._is_secondary = is_secondary
        self._copies: dict[str, _Copy] = {}
        self._sources: set[str] = set()  # of which one is being made: one at a time
        self._changed = asyncio.Condition()

    async def ask(self, volume_id: str, wanted: WantedCopy) -> dict[str, Any]:
        """Begin a copy, or tell how far it is. It may be repeated; one that failed is told once and begun anew after.

        :raises ControlError: it can't be made, or could not.
        """
        copy = self._copies.get(volume_id)
        if copy is None:
            if self._volumes.get(volume_id) is not None:
                return {"done": True, "left_bytes": 0}
            self.require_readable(wanted.source_volume_id, wanted.size_bytes)
            copy = self._copies[volume_id] = _Copy(volume_id, wanted)
            copy.task = asyncio.create_task(self._make(copy), name=f"copy {volume_id}")
        elif copy.error is not None:
            del self._copies[volume_id]
            raise copy.error if isinstance(copy.error, ControlError) else CopyFailed(volume_id, copy.error)
        return copy.told()

    def require_readable(self, source_id: str, size_bytes: int | None = None) -> SiteVolume:
        """The source, if a copy of `size_bytes` can be made of what it holds now.

        :raises UnknownVolume, VolumeUnusable, SourceLarger, SourceNotConsistent, SourceNotServed: it can't.
        """
        source = self._volumes.get(source_id)
        if source is None:
            raise UnknownVolume(self._site, source_id)
        if source.error is not None:
            raise VolumeUnusable(source_id, source.error)
        if size_bytes is not None and source.size_bytes > size_bytes:
            raise SourceLarger(source_id, source.size_bytes, size_bytes)
        if source.carrier.undisturbed(source.number, 0, 0):
            return source
        if self._is_secondary(source):
            if not source.marks.record.consistent or not source.marks.clean:
                raise SourceNotConsistent(source_id, self._site)
            return source
        raise SourceNotServed(source_id, self._site)

    def require_not_source(self, volume_id: str) -> None:
        """:raises BeingCopied: a copy of it is being made."""
        if volume_id in self._sources:
            raise BeingCopied(volume_id)

    async def give_up(self, volume_id: str) -> None:
        """The copy is wanted no more; returns when nothing of it is left, or when it has become a volume."""
        copy = self._copies.get(volume_id)
        if copy is None:
            return
        copy.is_unwanted = True
        if copy.disk is not None:
            copy.disk.give_up(errno.ECANCELED, "the copy is not wanted any more")
        async with self._changed:
            self._changed.notify_all()
        await asyncio.wait([copy.task])
        self._copies.pop(volume_id, None)

    def close(self) -> None:
        """Copies end where they are; the next start removes what is left of them."""
        for copy in self._copies.values():
            copy.task.cancel()

    # --- making one ---

    async def _make(self, copy: _Copy) -> None:
        source_id = copy.wanted.source_volume_id
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: copy.is_unwanted or self._may_begin(source_id))
                if copy.is_unwanted:
                    return
                self._sources.add(source_id)
            try:
                await self._fill_and_publish(copy)
            finally:
                self._sources.discard(source_id)
                async with self._changed:
                    self._changed.notify_all()
        except Exception as error:
            if not isinstance(error, ControlError | DiskError):
                log.exception("copy_defect", volume=copy.volume_id, source=source_id)
            log.warning("copy_failed", volume=copy.volume_id, source=source_id, error=str(error))
            copy.error = error
        else:
            self._copies.pop(copy.volume_id, None)

    def _may_begin(self, source_id: str) -> bool:
        return source_id not in self._sources and len(self._sources) < _COPIES_MAX

    async def _fill_and_publish(self, copy: _Copy) -> None:
        path = unfinished(self._volumes.directory, copy.volume_id)
        try:
            target = await asyncio.to_thread(self._new_file, path, copy.wanted.size_bytes)
            try:
                size_bytes = await self._fill(copy, target)
            finally:
                target.close()
            if copy.is_unwanted:
                return
            await self._volumes.take_copy(copy.volume_id, copy.wanted, path)
        finally:
            await asyncio.to_thread(delete_file, path)
        log.info(
            "volume_copied",
            volume=copy.volume_id,
            source=copy.wanted.source_volume_id,
            source_bytes=size_bytes,
            size_bytes=copy.wanted.size_bytes,
        )

    def _new_file(self, path: Path, size_bytes: int) -> Disk:
        """In a thread."""
        delete_file(path)
        create_file(path, size_bytes)
        return open_disk(path, self._workers, self._volumes.faults_file)

    async def _fill(self, copy: _Copy, target: Disk) -> int:
        """Copy the source as of one moment, durably. Returns how many bytes it had."""
        loop = asyncio.get_running_loop()
        wanted = copy.wanted
        source = self.require_readable(wanted.source_volume_id, wanted.size_bytes)
        ended: asyncio.Future[tuple[int, str]] = loop.create_future()
        at_rest: asyncio.Future[None] = loop.create_future()
        disk = source.disk
        # A task that was cancelled waits for neither.
        copied = CopiedDisk(
            disk, target, lambda code, what: None if ended.done() else ended.set_result((code, what))
        )
        self._put_disk(source, copied)
        try:
            disk.when_written(lambda: None if at_rest.done() else at_rest.set_result(None))
            try:
                async with asyncio.timeout(_REST_SECONDS_MAX):
                    await at_rest
            except TimeoutError:
                raise SourceNotServed(wanted.source_volume_id, self._site) from None
            # Looked at anew: this is the moment that counts, and nothing comes between it and the look.
            self.require_readable(wanted.source_volume_id, wanted.size_bytes)
            size_bytes = source.size_bytes
            copied.begin(size_bytes)
            copy.disk = copied
            if copy.is_unwanted:
                copied.give_up(errno.ECANCELED, "the copy is not wanted any more")
            code, what = await ended
        finally:
            copied.give_up(errno.ECANCELED, "it was left")
            if source.disk is copied:
                self._put_disk(source, disk)
        flushed: asyncio.Future[int] = loop.create_future()
        if not code:
            target.flush(lambda code: None if flushed.done() else flushed.set_result(code))
            code, what = await flushed, "flushing the copy"
        if code and not copy.is_unwanted:
            raise CopyFailed(copy.volume_id, f"{what}: {os.strerror(code)}")
        return size_bytes
