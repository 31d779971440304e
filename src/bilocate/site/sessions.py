"""The sessions of this site, and how volumes go from one carrier to the next."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog

from bilocate import __version__
from bilocate.replication.records import Role, SessionRecord
from bilocate.replication.wanted import NotPossibleNow, OlderWanted, Wanted
from bilocate.site.bodies import WantedCopy, WantedVolume
from bilocate.site.busy_poll import BusyPoll
from bilocate.site.copies import Copies
from bilocate.site.disks import Disk, Workers
from bilocate.site.errors import MalformedBody, UnknownSession, UnknownVolume
from bilocate.site.ledger import LedgerStats
from bilocate.site.link import Link, LinkEvents
from bilocate.site.metrics import NO_SESSION, Page, add_busy_poll, add_ledger, add_session
from bilocate.site.runner import SessionRunner
from bilocate.site.turns import Turns
from bilocate.site.volume import SiteVolume
from bilocate.site.volumes import Volumes, told_of_volume

log = structlog.get_logger(__name__)

STEPS = ("precheck", "release", "quiesce", "resume")


class Sessions:
    """The registry. Calls that touch the same sessions or volumes are carried out one after the other."""

    def __init__(
        self,
        site: str,
        volumes: Volumes,
        make_runner: Callable[[str], SessionRunner],
        ledger: LedgerStats,
        busy_poll: BusyPoll,
        workers: Workers,
    ) -> None:
        self._site = site
        self._volumes = volumes
        self._make_runner = make_runner
        self._ledger = ledger
        self._busy_poll = busy_poll
        self._runners: dict[str, SessionRunner] = {}
        self._turns = Turns()
        self._copies = Copies(site, volumes, workers, self._put_disk, self._is_secondary)

    def restore(self, records: Sequence[SessionRecord]) -> None:
        """At the start: every session takes its volumes again. What a later epoch has taken stays with that."""
        for record in sorted(records, key=lambda record: -record.epoch):
            runner = self._make_runner(record.session_id)
            members = Wanted.from_text(record.wanted).members
            found = [self._volumes.get(member.volume_id) for member in members]
            volumes = [volume for volume in found if volume is not None]
            for number, volume in enumerate(volumes):
                if volume.session_id is None and volume.marks.record.max_epoch <= record.epoch:
                    _assign(volume, runner, number)
            self._runners[record.session_id] = runner
            runner.restore(record, [volume.marks for volume in volumes])
            log.info(
                "session_restored", session=record.session_id, epoch=record.epoch, role=record.role.value
            )
        self._volumes.taken([volume for volume in self._volumes.all() if volume.session_id is not None])

    def accept(self, link: Link) -> LinkEvents | str:
        """A peer has dialled: the link's owner, or why it is refused."""
        runner = self._runners.get(link.session_id)
        if runner is None:
            return f"there is no session {link.session_id} at {self._site}"
        return runner.accept(link)

    # --- the controller's calls ---

    async def put_volume(self, volume_id: str, wanted: WantedVolume) -> dict[str, Any]:
        """See `Volumes.put`."""
        async with self._turns.hold(lambda: {_volume(volume_id)}):
            return told_of_volume(await self._volumes.put(volume_id, wanted))

    async def inspect(self, source: str) -> int:
        """See `Volumes.inspect`."""
        return await self._volumes.inspect(source)

    async def delete_volume(self, volume_id: str) -> None:
        """See `Volumes.delete`; of one that is to be a copy, and is not yet, nothing is left either.

        :raises BeingCopied: it is the source of a copy that is being made.
        """
        await self._copies.give_up(volume_id)
        async with self._turns.hold(lambda: {_volume(volume_id)}):
            self._copies.require_not_source(volume_id)
            await self._volumes.delete(volume_id)

    async def copy_volume(self, volume_id: str, wanted: WantedCopy) -> dict[str, Any]:
        """See `Copies.ask`."""
        async with self._turns.hold(lambda: {_volume(volume_id)}):
            return await self._copies.ask(volume_id, wanted)

    def require_copyable(self, volume_id: str) -> None:
        """See `Copies.require_readable`."""
        self._copies.require_readable(volume_id)

    async def put(self, session_id: str, wanted: Wanted) -> dict[str, Any]:
        """Make the session what is wanted; returns what it is, once that is durable.

        :raises ControlError, OlderWanted, CannotPromote, NotPossibleNow, MalformedWanted: it can't be.
        """
        async with self._turns.hold(lambda: self._touched(session_id, wanted)):
            runner = self._runners.get(session_id)
            volumes = self._members(wanted)
            for volume, member in zip(volumes, wanted.members, strict=True):
                await self._volumes.make_room(volume, member.size_bytes)
            if runner is not None and runner.session.epoch == wanted.epoch:
                await runner.begin_put(wanted, [volume.marks for volume in volumes])
            else:
                runner = await self._hand_over(session_id, wanted, runner)
            return self.told(runner)

    async def end(self, session_id: str, epoch: int) -> None:
        """End the session; its volumes become plain ones. One that is not there is fine.

        :raises OlderWanted, NotPossibleNow, ControlError: it goes on.
        """
        async with self._turns.hold(lambda: self._touched(session_id, None)):
            runner = self._runners.get(session_id)
            if runner is None:
                return
            with _handing_over(runner):
                ended = runner.begin_end(epoch)
                runner.ports.serving = False
                await ended
                volumes = runner.volumes
                runner.close("the session ended")
                del self._runners[session_id]
                self._volumes.taken(volumes)
                for volume in volumes:
                    volume.serve_bare()
            log.info("session_ended", session=session_id, epoch=epoch)

    async def step(self, session_id: str, name: str, epoch: int, attempt: int) -> dict[str, Any]:
        """One of `STEPS`, at the session as it is.

        :raises UnknownSession, OlderWanted, NotPossibleNow: as the session says.
        """
        return await self._get(session_id).step(name, epoch, attempt)

    # --- telling ---

    def told_session(self, session_id: str) -> dict[str, Any]:
        """:raises UnknownSession: there is none."""
        runner = self._get(session_id)
        if runner.session.wanted is None:
            raise UnknownSession(self._site, session_id)
        return self.told(runner)

    def told_all(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """All sessions and all volumes, by their ids."""
        sessions = {
            session_id: self.told(runner)
            for session_id, runner in self._runners.items()
            if runner.session.wanted is not None  # its first put is not durable yet
        }
        volumes = {volume.volume_id: told_of_volume(volume) for volume in self._volumes.all()}
        return sessions, volumes

    def figures(self) -> str:
        """All sessions and volumes as Prometheus reads them."""
        page, now = Page(), time.monotonic()
        by_session: dict[str, list[SiteVolume]] = {NO_SESSION: []}
        for volume in self._volumes.all():
            by_session.setdefault(volume.session_id or NO_SESSION, []).append(volume)
        for session_id, volumes in by_session.items():
            page.add_histogram(
                "bilocate_write_seconds", [each.latencies for each in volumes], session=session_id
            )
            connections = sum(len(each.connections) for each in volumes)
            page.add("bilocate_host_connections", connections, session=session_id)
        sessions, _ = self.told_all()
        for session_id, told in sessions.items():
            add_session(page, session_id, told, self._runners[session_id].ports.figures, now)
        add_ledger(page, self._ledger)
        add_busy_poll(page, self._busy_poll)
        page.add("bilocate_site_info", 1, site=self._site, version=__version__)
        return page.text()

    def told(self, runner: SessionRunner) -> dict[str, Any]:
        """A session's JSON; of its volumes also whether their disks are there."""
        found = runner.told()
        for each in found["volumes"]:
            volume = self._volumes.get(each["volume_id"])
            each["present"] = volume is not None and volume.error is None
            each["error"] = None if volume is None else volume.error
        return found

    def close(self) -> None:
        """All sessions stop where they are; the ledger has what they need to go on."""
        self._copies.close()
        for runner in self._runners.values():
            runner.close("this agent is stopping")

    # --- copies ---

    def _put_disk(self, volume: SiteVolume, disk: Disk) -> None:
        volume.use_disk(disk)
        for runner in self._runners.values():
            if volume in runner.ports.volumes:
                runner.ports.use_disks()

    def _is_secondary(self, volume: SiteVolume) -> bool:
        runner = self._runners.get(volume.session_id or "")
        if runner is None or runner.failed or runner.handing_over or runner.session.stopped:
            return False
        return runner.session.wanted is not None and runner.session.role is Role.SECONDARY

    # --- from one carrier to the next ---

    async def _hand_over(self, session_id: str, wanted: Wanted, known: SessionRunner | None) -> SessionRunner:
        """A new session, or a new epoch of one. Connections stay open meanwhile, and their requests wait."""
        volumes = self._members(wanted)
        self._require_newer(session_id, wanted, known, volumes)
        runner = known or self._make_runner(session_id)
        bare = [volume for volume in volumes if volume.bare]
        leaving = [volume for volume in runner.volumes if volume not in volumes]
        try:
            with _handing_over(runner):
                for volume in bare:
                    volume.hold()
                await self._free(volumes, runner, leaving)
                ended = runner.begin_put(wanted, [volume.marks for volume in volumes])
                bare = []
                runner.ports.serving = False
                self._runners[session_id] = runner
                self._take(runner, volumes, leaving)
                if wanted.role is Role.SECONDARY:  # rule 2
                    for volume in volumes:
                        volume.disconnect("this site is the secondary")
                await self._ended(ended, runner, [*volumes, *leaving])
        finally:
            for volume in bare:  # it was refused: they stay what they were
                volume.serve_bare()
        return runner

    def _take(
        self, runner: SessionRunner, volumes: Sequence[SiteVolume], leaving: Sequence[SiteVolume]
    ) -> None:
        for volume in leaving:
            volume.session_id = None
        for number, volume in enumerate(volumes):
            _assign(volume, runner, number)
        self._volumes.taken(volumes)

    async def _ended(
        self, ended: "asyncio.Future[None]", runner: SessionRunner, touched: Sequence[SiteVolume]
    ) -> None:
        """Wait for a put; one that failed leaves the session its old volumes, and those alone."""
        try:
            await ended
        except NotPossibleNow:
            old = runner.ports.volumes
            await self._volumes.await_session([volume for volume in touched if volume not in old])
            self._take(runner, old, [volume for volume in touched if volume not in old])
            raise

    async def _free(
        self, volumes: Sequence[SiteVolume], runner: SessionRunner, leaving: Sequence[SiteVolume]
    ) -> None:
        """Nobody else carries these volumes, and no disk has a request of anybody else for them."""
        owners = {volume.session_id for volume in volumes} - {None, runner.session_id}
        for owner in (self._runners[owner_id] for owner_id in sorted(filter(None, owners))):
            owner.set_handing_over(True)
            owner.ports.serving = False
            if not owner.session.stopped:
                await owner.begin_let_go()
        await asyncio.gather(*(volume.bare_idle() for volume in volumes))
        await self._volumes.await_session(leaving)

    def _require_newer(
        self, session_id: str, wanted: Wanted, known: SessionRunner | None, volumes: Sequence[SiteVolume]
    ) -> None:
        """Before anything is disturbed: the epoch is the newest that the session and its volumes have seen."""
        epochs = [volume.marks.record.max_epoch for volume in volumes]
        newest = max([*epochs, 0 if known is None else known.session.epoch])
        if newest > wanted.epoch:
            raise OlderWanted(session_id, "epoch", wanted.epoch, newest)

    def _members(self, wanted: Wanted) -> list[SiteVolume]:
        volumes: list[SiteVolume] = []
        for member in wanted.members:
            volume = self._volumes.get(member.volume_id)
            if volume is None:
                raise UnknownVolume(self._site, member.volume_id)
            if volume in volumes:
                raise MalformedBody(f"volume {member.volume_id} is there twice")
            volumes.append(volume)
        return volumes

    def _touched(self, session_id: str, wanted: Wanted | None) -> set[str]:
        """The names of all sessions and volumes that a call about this session may change."""
        names = {_session(session_id)}
        names |= {_volume(member.volume_id) for member in (wanted.members if wanted is not None else ())}
        owners = {session_id}
        for member in wanted.members if wanted is not None else ():
            volume = self._volumes.get(member.volume_id)
            if volume is not None and volume.session_id is not None:
                owners.add(volume.session_id)
        for owner in owners:
            names.add(_session(owner))
            runner = self._runners.get(owner)
            if runner is not None:
                names |= {_volume(volume.volume_id) for volume in runner.volumes}
        return names

    def _get(self, session_id: str) -> SessionRunner:
        runner = self._runners.get(session_id)
        if runner is None:
            raise UnknownSession(self._site, session_id)
        return runner


def _assign(volume: SiteVolume, runner: SessionRunner, number: int) -> None:
    volume.session_id, volume.number = runner.session_id, number


@contextmanager
def _handing_over(runner: SessionRunner) -> Iterator[None]:
    runner.set_handing_over(True)
    try:
        yield
    finally:
        runner.set_handing_over(False)


def _volume(volume_id: str) -> str:
    return f"volume {volume_id}"


def _session(session_id: str) -> str:
    return f"session {session_id}"
