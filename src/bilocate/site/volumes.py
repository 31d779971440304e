"""The volumes of this site: made, adopted, opened, exported and deleted."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from bilocate.replication.marks import Marks
from bilocate.replication.records import Change, DropVolume, PutSiteItem, VolumeRecord
from bilocate.site.adoption import Adoptable
from bilocate.site.bodies import WantedCopy, WantedVolume
from bilocate.site.disks import (
    Disk,
    DiskError,
    DiskInUse,
    MissingDisk,
    Workers,
    create_file,
    delete_file,
    open_disk,
    publish_file,
)
from bilocate.site.errors import (
    ExportTaken,
    InSession,
    OlderRevision,
    SourceInUse,
    SourceRefused,
    VolumeMissing,
    VolumeUnusable,
)
from bilocate.site.ledger import Ledger, LedgerState
from bilocate.site.unfinished import remove_unfinished
from bilocate.site.volume import Export, SiteVolume
from bilocate.site.wish import WantedExport, exports_of_wish, exports_to_wish

log = structlog.get_logger(__name__)

_WISH = "volume/"  # + volume id: exports, revision, awaits_session
_REFUSED = "refused/"  # + volume id: attachments from before a crash
# A disk that hangs must not keep the agent from ending; answered flushes are durable without this one.
_LAST_FLUSH_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class VolumeSettings:
    """Where volumes are, and their bounds."""

    site: str
    directory: Path
    unanswered_bytes_max: int
    list_exports: bool = False
    faults_file: Path | None = None
    adoptable: Adoptable = field(default_factory=lambda: Adoptable((), Path("/")))


class Volumes:
    """The registry, and where the NBD server finds exports. Used on the event loop only.

    Who calls `put` or `delete` sees to it that no other call changes the same volume meanwhile.
    """

    def __init__(self, settings: VolumeSettings, ledger: Ledger, workers: Workers, fresh: bool) -> None:
        """`fresh`: the ledger was begun anew, so nothing is known of what is found (rule 17)."""
        self._settings = settings
        self._ledger = ledger
        self._workers = workers
        self._fresh = fresh
        self._volumes: dict[str, SiteVolume] = {}
        self._exports: dict[str, Export] = {}

    async def restore(self, state: LedgerState) -> None:
        """Open all volumes that the ledger knows. They are held: sessions take theirs first."""
        await asyncio.to_thread(self._settings.directory.mkdir, 0o700, exist_ok=True)
        await asyncio.to_thread(remove_unfinished, self._settings.directory)
        for record in state.volumes.values():
            wish = json.loads(state.items.get(_WISH + record.volume_id, "{}"))
            source = wish.get("source")
            disk, error = await asyncio.to_thread(self._open, record, source)
            volume = self._enter(record, disk, error, source)
            volume.awaits_session = bool(wish.get("awaits_session", False))
            volume.exports_revision = int(wish.get("revision", -1))
            volume.refused = set(json.loads(state.items.get(_REFUSED + volume.volume_id, "[]")))
            self._put_exports(volume, exports_of_wish(wish))

    def serve_bare_ones(self) -> None:
        """After the sessions have taken theirs: the others are served from their disks."""
        for volume in self._volumes.values():
            if volume.session_id is None and not volume.awaits_session:
                volume.serve_bare()

    @property
    def directory(self) -> Path:
        """Where the files of volumes are."""
        return self._settings.directory

    @property
    def faults_file(self) -> Path | None:
        """Faults to inject into disks, in tests."""
        return self._settings.faults_file

    def get(self, volume_id: str) -> SiteVolume | None:
        """A volume, if it is known."""
        return self._volumes.get(volume_id)

    def all(self) -> Iterable[SiteVolume]:
        """All volumes."""
        return self._volumes.values()

    # --- the controller's wishes ---

    async def put(self, volume_id: str, wanted: WantedVolume) -> SiteVolume:
        """Make the volume what is wanted; returns once that is durable.

        :raises ControlError: it can't be; nothing changed.
        """
        volume = self._volumes.get(volume_id)
        if volume is not None and wanted.revision < volume.exports_revision:
            raise OlderRevision(volume_id, wanted.revision, volume.exports_revision)
        for name, _, _ in wanted.exports:
            taken = self._exports.get(name)
            if taken is not None and taken.volume is not volume:
                raise ExportTaken(volume_id, taken.volume.volume_id)
        if volume is None:
            volume = await self._adopt(volume_id, wanted)
        else:
            await self._change(volume, wanted)
        volume.exports_revision = wanted.revision
        self._put_exports(volume, wanted.exports)
        if volume.session_id is None and not volume.awaits_session:
            volume.serve_bare()
        return volume

    async def delete(self, volume_id: str) -> None:
        """The volume and its data go, durably. One that is gone already is fine. Of an adopted one nothing is touched.

        :raises ControlError: a session has it, or its file can't be removed.
        """
        volume = self._volumes.get(volume_id)
        if volume is not None:
            if volume.session_id is not None:
                raise InSession(volume_id, volume.session_id)
            self._put_exports(volume, ())
            volume.hold()
            volume.disconnect("the volume was deleted")
            await volume.bare_idle()
            volume.disk.close()
        try:
            # Never where an adopted one is: this is the agent's own place for the volume.
            await asyncio.to_thread(delete_file, self._settings.directory / volume_id)
        except DiskError as error:
            raise VolumeUnusable(volume_id, error) from error
        if volume is not None:
            await self._commit(
                [
                    DropVolume(volume_id),
                    PutSiteItem(_WISH + volume_id, ""),
                    PutSiteItem(_REFUSED + volume_id, ""),
                ]
            )
            del self._volumes[volume_id]
            log.info("volume_deleted", volume=volume_id)

    async def take_copy(self, volume_id: str, wanted: WantedCopy, path: Path) -> None:
        """A file that is whole and flushed, and that nobody has open, becomes this new volume; returns once that is
        durable.

        :raises DiskError: it can't be.
        """
        place = self._path(volume_id, None)
        await asyncio.to_thread(publish_file, path, place)
        disk = await asyncio.to_thread(open_disk, place, self._workers, self._settings.faults_file)
        volume = self._enter(VolumeRecord(volume_id, wanted.size_bytes), disk, None, None)
        volume.exports_revision = wanted.revision
        await self._commit([volume.marks.put(), self._wish(volume)])
        volume.serve_bare()

    async def inspect(self, source: str) -> int:
        """How many bytes a device or file has that may be adopted.

        :raises SourceRefused: it may not be, or somebody has it.
        """

        def look() -> int:
            disk = open_disk(self._settings.adoptable.path_of(source), self._workers)
            disk.close()
            return disk.size_bytes

        try:
            return await asyncio.to_thread(look)
        except DiskInUse as error:
            raise SourceInUse(error) from error
        except DiskError as error:
            raise SourceRefused(error) from error

    async def await_session(self, volumes: Sequence[SiteVolume]) -> None:
        """Durably: these leave their session and are to be served by another, never bare."""
        if not volumes:
            return
        for volume in volumes:
            volume.awaits_session = True
        await self._commit([self._wish(volume) for volume in volumes])

    def taken(self, volumes: Sequence[SiteVolume]) -> None:
        """These are in a session now, so they wait for none."""
        awaited = [volume for volume in volumes if volume.awaits_session]
        for volume in awaited:
            volume.awaits_session = False
        if awaited:
            self._ledger.commit([self._wish(volume) for volume in awaited], lambda: None)

    def refuse_attachments(self, volumes: Iterable[SiteVolume]) -> None:
        """OLD MEMORY: durable behind all earlier commits, before all later ones."""
        changed = [volume for volume in volumes if volume.refuse_attachments()]
        changes = [
            PutSiteItem(_REFUSED + volume.volume_id, json.dumps(sorted(volume.refused))) for volume in changed
        ]
        for volume in changed:
            log.warning("attachments_refused", volume=volume.volume_id, attachments=volume.refused_exports)
        if changes:
            self._ledger.commit(changes, lambda: None)

    # --- for the NBD server ---

    def find(self, export_name: str) -> Export | None:
        """The export of this name, if hosts may connect to it now."""
        export = self._exports.get(export_name)
        return export if export is not None and export.findable else None

    def listed(self) -> list[str]:
        """The names that can be found, where a setting allows to tell them."""
        if not self._settings.list_exports:
            return []
        return [name for name, export in self._exports.items() if export.findable]

    # --- the end ---

    async def flush(self) -> None:
        """Make durable what the disks have; a failure is told, and keeps nobody from stopping."""
        volumes = [volume for volume in self._volumes.values() if volume.error is None]
        try:
            async with asyncio.timeout(_LAST_FLUSH_SECONDS_MAX):
                codes = await asyncio.gather(*(_flush(volume.disk) for volume in volumes))
        except TimeoutError:
            log.error("volume_flush_hangs", after_seconds=_LAST_FLUSH_SECONDS_MAX)
            return
        for volume, code in zip(volumes, codes, strict=True):
            if code:
                log.error("volume_flush_failed", volume=volume.volume_id, errno=code)

    def close(self) -> None:
        """Close the disks."""
        for volume in self._volumes.values():
            volume.disk.close()

    # --- making, opening, growing ---

    async def _adopt(self, volume_id: str, wanted: WantedVolume) -> SiteVolume:
        """A volume that the ledger does not know: made now, half made before, or known to a ledger that is lost."""
        source = wanted.source
        try:
            path = await asyncio.to_thread(self._path, volume_id, source)
            there = await asyncio.to_thread(path.exists)
            if not there and not wanted.create:
                raise VolumeMissing(self._settings.site, volume_id)
            blank = not wanted.create or (there and self._fresh and source is None)
            record = VolumeRecord(volume_id, wanted.size_bytes, consistent=not blank, blank=blank)
            disk = await asyncio.to_thread(self._make, path, record, there, source is not None)
        except DiskError as error:
            raise VolumeUnusable(volume_id, error) from error
        if disk.size_bytes < wanted.size_bytes:
            disk.close()
            raise VolumeUnusable(volume_id, f"its disk has {disk.size_bytes} of {wanted.size_bytes} bytes")
        if there:  # its length may be new
            await self._require_flush(volume_id, disk)
        volume = self._enter(record, disk, None, source)
        volume.awaits_session = not wanted.create and wanted.session_id is not None
        await self._commit([volume.marks.put(), self._wish(volume, wanted)])
        log.info("volume_adopted", volume=volume_id, size_bytes=wanted.size_bytes, found=there, blank=blank)
        return volume

    def _make(self, path: Path, record: VolumeRecord, there: bool, adopted: bool) -> Disk:
        """In a thread. A file that was there may be half made: it gets its size; one without a past keeps its own,
        and so does what is adopted."""
        if not there:
            create_file(path, record.size_bytes)
        disk = open_disk(path, self._workers, self._settings.faults_file)
        if there and not record.blank and not adopted and disk.size_bytes < record.size_bytes:
            disk.resize(record.size_bytes)
        return disk

    def _open(self, record: VolumeRecord, source: str | None) -> tuple[Disk, str | None]:
        """In a thread. A disk in its place and the reason, where it can't be opened."""
        try:
            path = self._path(record.volume_id, source)
            disk = open_disk(path, self._workers, self._settings.faults_file)
        except DiskError as error:
            return self._missing(record, str(error))
        if disk.size_bytes < record.size_bytes:
            disk.close()
            return self._missing(
                record, f"the disk has {disk.size_bytes} bytes, the volume {record.size_bytes}"
            )
        return disk, None

    def _missing(self, record: VolumeRecord, error: str) -> tuple[Disk, str]:
        log.error("volume_missing", volume=record.volume_id, error=error)
        return MissingDisk(record.volume_id, record.size_bytes), error

    def _enter(self, record: VolumeRecord, disk: Disk, error: str | None, source: str | None) -> SiteVolume:
        volume = SiteVolume(Marks(record), disk, error, self._settings.unanswered_bytes_max)
        volume.source = source
        self._volumes[record.volume_id] = volume
        return volume

    async def _change(self, volume: SiteVolume, wanted: WantedVolume) -> None:
        if volume.error is not None and volume.session_id is None:
            disk, error = await asyncio.to_thread(self._open, volume.marks.record, volume.source)
            volume.replace_disk(disk, error)
        changes: list[Change] = []
        if wanted.size_bytes > volume.size_bytes:
            # In a session it is the session that takes the new size up, at both sites in an order (GROWTH).
            if volume.session_id not in (None, wanted.session_id):
                raise InSession(volume.volume_id, str(volume.session_id))
            await self.make_room(volume, wanted.size_bytes)
            if volume.session_id is None:
                volume.marks.record.size_bytes = wanted.size_bytes
                changes.append(volume.marks.put())
        if wanted.in_no_session:
            volume.awaits_session = False
        await self._commit([*changes, self._wish(volume, wanted)])

    async def make_room(self, volume: SiteVolume, size_bytes: int) -> None:
        """Its disk has that many bytes, and those beyond the volume's present size read as zeros, durably (GROWTH).

        :raises VolumeUnusable: it can't have them; the volume is as it was.
        """
        if max(volume.size_bytes, volume.room_bytes) >= size_bytes:
            return
        disk, end = volume.disk, volume.size_bytes
        if volume.source is not None and volume.session_id is not None:
            raise VolumeUnusable(
                volume.volume_id,
                "it was adopted, and what is beyond its end is not known to be zeros at both sites",
            )
        # What a file has beyond its old end is zeros by itself; but it may be longer than its volume.
        longer = min(disk.size_bytes, size_bytes) - end
        code = disk.resize(size_bytes) if disk.size_bytes < size_bytes else 0
        if not code and longer > 0 and volume.source is None:
            code = await _zero(disk, end, longer)
        if code:
            raise VolumeUnusable(volume.volume_id, f"its disk can't grow: errno {code}")
        await self._require_flush(volume.volume_id, disk)
        volume.room_bytes = size_bytes

    async def _require_flush(self, volume_id: str, disk: Disk) -> None:
        code = await _flush(disk)
        if code:
            raise VolumeUnusable(volume_id, f"its disk can't be flushed: errno {code}")

    def _put_exports(self, volume: SiteVolume, wanted: Iterable[WantedExport]) -> None:
        for name in volume.exports:
            del self._exports[name]
        volume.put_exports(wanted)
        self._exports.update(volume.exports)

    def _wish(self, volume: SiteVolume, wanted: WantedVolume | None = None) -> PutSiteItem:
        """What the ledger keeps of the controller's wish, `wanted` or the one in force."""
        wish = {
            "revision": volume.exports_revision if wanted is None else wanted.revision,
            **exports_to_wish(volume.wanted_exports if wanted is None else wanted.exports),
            "awaits_session": volume.awaits_session,
            "source": volume.source,
        }
        return PutSiteItem(_WISH + volume.volume_id, json.dumps(wish))

    def _path(self, volume_id: str, source: str | None) -> Path:
        """It blocks where the volume was adopted: whether that is allowed is looked at anew each time."""
        if source is None:
            return self._settings.directory / volume_id
        return self._settings.adoptable.path_of(source)

    async def _commit(self, changes: Sequence[Change]) -> None:
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ledger.commit(changes, lambda: None if durable.done() else durable.set_result(None))
        await durable


async def _flush(disk: Disk) -> int:
    flushed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    disk.flush(lambda code: None if flushed.done() else flushed.set_result(code))
    return await flushed


async def _zero(disk: Disk, offset: int, length: int) -> int:
    zeroed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    code = disk.zero(offset, length, False, lambda code: None if zeroed.done() else zeroed.set_result(code))
    return await zeroed if code is None else code


def told_of_volume(volume: SiteVolume) -> dict[str, Any]:
    """The volume's JSON of the control endpoint."""
    return {
        "size_bytes": volume.size_bytes,
        "present": volume.error is None,
        "error": volume.error,
        "connections": len(volume.connections),
        "blank": volume.marks.record.blank,
        "exports_revision": volume.exports_revision,
        "session_id": volume.session_id,
        "served": volume.served,
        "refused_attachments": volume.refused_exports,
    }
