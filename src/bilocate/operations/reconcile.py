"""Makes every site what the database wants it to be, again and again: nothing needs to arrive in order.

A site is compared at its agent's hello, after changes (`kick`), and every few seconds. Nothing older than
what the agent has is ever put. A site that is down is tried again at the next round.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from bilocate.domain.errors import BilocateError
from bilocate.domain.errors_operations import AgentRefused, UnknownSite
from bilocate.operations.agents import AgentClient
from bilocate.operations.observer import Observer, SiteReport
from bilocate.operations.rows import SiteRows, note_holds, session_row, site_rows, volume_row
from bilocate.operations.settings import Settings
from bilocate.operations.wanted import Json, is_older
from bilocate.store.database import Database
from bilocate.store.sealing import is_sealed, last_epoch, seal

log = structlog.get_logger(__name__)

# The agent has something newer, because another push was faster: not an error here.
OVERTAKEN = ("older_epoch", "older_revision")


class Reconciler:
    """One round at a time per site. `on_leftover(session_id)` is called for holds at a site that answers, and that
    nobody takes back."""

    def __init__(
        self, database: Database, agents: AgentClient, observer: Observer, settings: Settings
    ) -> None:
        self._database = database
        self._agents = agents
        self._observer = observer
        self._settings = settings
        self._kicked = {site: asyncio.Event() for site in settings.sites}
        self._tasks: list[asyncio.Task[None]] = []
        self.on_leftover: Callable[[str], None] = lambda session_id: None

    async def start(self) -> None:
        """Begin the rounds."""
        self._tasks = [asyncio.create_task(self._keep(site)) for site in self._settings.sites]

    async def stop(self) -> None:
        """No more rounds."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    async def hello(self, site: str, instance: str, boot_id: str) -> None:
        """An agent has started: a round for its site begins at once.

        :raises UnknownSite: no such site is configured.
        """
        if site not in self._kicked:
            raise UnknownSite(site, list(self._kicked))
        log.info("site_hello", site=site, instance=instance, boot_id=boot_id)
        self.kick(site)

    def kick(self, *sites: str) -> None:
        """Something that these sites should know was changed (no site named: all of them)."""
        for site in sites or tuple(self._kicked):
            self._kicked[site].set()

    async def push_session(self, site: str, session_id: str, seconds: float | None = None) -> Json | None:
        """Put one session's wanted state now; returns what it is there. None: nothing is wanted of it.

        :raises AgentRefused, AgentUnavailable, AgentTimeout, AgentNonsense: as the agent answers.
        """
        async with self._database.reading() as db:
            wanted = await session_row(db, session_id, site, self._settings)
        if wanted is None:
            return None
        return await self._agents.put_session(site, session_id, wanted, seconds)

    async def push_volume(self, volume_id: str, seconds: float | None = None) -> None:
        """Put one volume's wanted state now. Nothing happens when there is no such volume.

        :raises AgentRefused, AgentUnavailable, AgentTimeout, AgentNonsense: as the agent answers.
        """
        async with self._database.reading() as db:
            found = await volume_row(db, volume_id)
        if found is None:
            return
        site, wanted = found
        try:
            await self._agents.put_volume(site, volume_id, wanted, seconds)
        except AgentRefused as refused:
            if refused.code not in OVERTAKEN:
                raise

    async def round(self, site: str) -> bool:
        """Compare one site and repair it. Returns whether it is as wanted now, as far as is known."""
        report = await self._observer.fresh(site)
        if not report.answered:
            return False
        if await self._is_older_than(report):
            return False
        await self._note_holds(report)
        rows = await self._rows(report)
        if rows is None:
            return False
        done = await self._put_volumes(report, rows)
        done = await self._put_sessions(report, rows) and done
        if done:
            # Only now: a volume goes from its old session to its new one, and is never without.
            done = await self._end_sessions(report, rows)
        for session_id in rows.leftovers:
            self.on_leftover(session_id)
        return done

    async def look_before_all(self, seconds: float) -> None:
        """At the start, before anything is decided: does any site that answers within `seconds` know more than the
        database? Then that was put back from a backup, and is sealed.

        :raises DatabaseUnavailable:
        """
        await self._observer.freshen(self._settings.sites, 0.0, seconds)
        for site in self._settings.sites:
            report = self._observer.last(site)
            if report.answered and not await self._is_older_than(report):
                await self._rows(report)

    async def _is_older_than(self, report: SiteReport) -> bool:
        """Whether the database is older than the site: then it is sealed, and nobody is told anything by it."""
        newest = newest_epoch(report)
        async with self._database.reading() as db:
            if await is_sealed(db):
                return True
            if newest <= await last_epoch(db):
                return False
        await self._seal(report)
        return True

    async def _rows(self, report: SiteReport) -> SiteRows | None:
        """What the site should have; None: it has heard of later wishes than the database knows, which is older."""
        # Read after the report: what the report has and the database has not is really gone, or never came to be here.
        async with self._database.reading() as db:
            rows = await site_rows(db, report.site, self._settings)
        if not has_later_wishes(report, rows):
            return rows
        await self._seal(report)
        return None

    async def _seal(self, report: SiteReport) -> None:
        async with self._database.writing() as db:
            await seal(db)
        log.error("database_older_than_site", site=report.site, epoch=newest_epoch(report))

    async def _note_holds(self, report: SiteReport) -> None:
        assert report.status is not None
        sessions = report.status["sessions"]
        told = {
            key: found for key, found in sessions.items() if found.get("holds_hello") or found.get("quiesced")
        }
        if told:
            async with self._database.writing() as db:
                await note_holds(db, told)

    async def _keep(self, site: str) -> None:
        kicked = self._kicked[site]
        while True:
            kicked.clear()
            try:
                await self.round(site)
            except BilocateError as error:
                log.warning("reconcile_failed", site=site, error=str(error))
            except Exception:
                log.exception("reconcile_defect", site=site)
            # Not by wait_for: on Python 3.11 it forgets that it was cancelled when it is kicked at the same moment.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.timing.reconcile_every_seconds):
                    await kicked.wait()

    async def _put_volumes(self, report: SiteReport, rows: SiteRows) -> bool:
        done = True
        for volume_id, wanted in rows.volumes.items():
            found = report.volume(volume_id)
            if found is not None and not _volume_differs(found, wanted):
                continue
            done = await self._try("volume", report.site, volume_id, wanted) and done
        return done

    async def _put_sessions(self, report: SiteReport, rows: SiteRows) -> bool:
        done = True
        # Higher epochs first: a pair that left its group takes its volume along before the group lets go.
        for session_id, wanted in sorted(rows.sessions.items(), key=lambda item: -item[1]["epoch"]):
            found = report.session(session_id)
            if found is not None and not is_older(found, wanted):
                continue
            done = await self._try("session", report.site, session_id, wanted) and done
        return done

    async def _end_sessions(self, report: SiteReport, rows: SiteRows) -> bool:
        assert report.status is not None
        done = True
        for session_id, found in report.status["sessions"].items():
            if session_id in rows.sessions:
                continue
            try:
                # With the epoch that was seen: if the session was made anew meanwhile, this is refused.
                await self._agents.delete_session(report.site, session_id, int(found["epoch"]))
                log.info("session_ended_at_site", site=report.site, session=session_id)
            except BilocateError as error:
                done = False
                log.warning("session_end_failed", site=report.site, session=session_id, error=str(error))
        return done

    async def _try(self, kind: str, site: str, target_id: str, wanted: Json) -> bool:
        put = self._agents.put_volume if kind == "volume" else self._agents.put_session
        try:
            await put(site, target_id, wanted)
        except AgentRefused as refused:
            if refused.code not in OVERTAKEN:
                log.warning("put_refused", kind=kind, site=site, id=target_id, code=refused.code)
                return False
        except BilocateError as error:
            log.warning("put_failed", kind=kind, site=site, id=target_id, error=str(error))
            return False
        else:
            log.info("put_done", kind=kind, site=site, id=target_id)
        return True


def newest_epoch(report: SiteReport) -> int:
    """The highest epoch of all sessions at a site; 0 when it did not answer or has none."""
    sessions = report.status["sessions"].values() if report.status is not None else ()
    return max((int(found.get("epoch", 0)) for found in sessions), default=0)


def has_later_wishes(report: SiteReport, rows: SiteRows) -> bool:
    """Whether a site was told, within an epoch, what the rows don't know: sites are told only what is committed."""
    for session_id, wanted in rows.sessions.items():
        found = report.session(session_id)
        if found is not None and int(found["epoch"]) == wanted["epoch"] and is_older(wanted, found):
            return True
    volumes = ((report.volume(volume_id), wanted) for volume_id, wanted in rows.volumes.items())
    return any(
        found is not None and int(found.get("exports_revision", -1)) > wanted["revision"]
        for found, wanted in volumes
    )


def _volume_differs(found: Json, wanted: Json) -> bool:
    older = int(found.get("exports_revision", -1)) < int(wanted["revision"])
    return older or int(found.get("size_bytes", -1)) < int(wanted["size_bytes"])
