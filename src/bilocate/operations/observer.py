"""The last report of every site, asked for again and again, and at once when someone needs it fresh."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from bilocate.domain.errors_operations import OperationError
from bilocate.operations.agents import AgentClient
from bilocate.operations.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SiteReport:
    """What a site's agent said, or why it said nothing. `asked_at`: monotonic seconds of this process."""

    site: str
    asked_at: float
    status: dict[str, Any] | None
    error: OperationError | None = None

    @property
    def answered(self) -> bool:
        """Whether the agent answered."""
        return self.status is not None

    def session(self, session_id: str) -> dict[str, Any] | None:
        """The session's half there, if the agent answered and knows it."""
        found = self.status["sessions"].get(session_id) if self.status is not None else None
        return found if isinstance(found, dict) else None

    def volume(self, volume_id: str) -> dict[str, Any] | None:
        """The volume there, if the agent answered and knows it."""
        found = self.status["volumes"].get(volume_id) if self.status is not None else None
        return found if isinstance(found, dict) else None


class Observer:
    """Keeps one `SiteReport` per site. Only one question per site is under way."""

    def __init__(
        self, agents: AgentClient, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._agents = agents
        self._clock = clock
        self._timing = settings.timing
        self._sites = list(settings.sites)
        self._reports = {site: SiteReport(site, float("-inf"), None) for site in self._sites}
        self._answers: dict[str, SiteReport] = {}
        self._asking = {site: asyncio.Lock() for site in self._sites}
        self._tasks: list[asyncio.Task[None]] = []
        self._asked_since: dict[str, float | None] = dict.fromkeys(self._sites)
        self._late: set[asyncio.Task[SiteReport]] = set()

    async def start(self) -> None:
        """Begin to ask all sites, each at its own pace."""
        self._tasks = [asyncio.create_task(self._keep_asking(site)) for site in self._sites]

    async def stop(self) -> None:
        """Ask no more."""
        tasks = [*self._tasks, *self._late]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks = []

    def last(self, site: str) -> SiteReport:
        """The last report, however old. A site that was never asked has not answered."""
        return self._reports[site]

    def last_answer(self, site: str) -> SiteReport | None:
        """The last report with an answer in it: what was known when the site fell silent."""
        return self._answers.get(site)

    async def fresh(self, site: str, max_age: float = 0.0) -> SiteReport:
        """A report of a question asked at most `max_age` seconds ago; with 0, from now on."""
        wanted_from = self._clock() - max_age
        if self._reports[site].asked_at >= wanted_from:
            return self._reports[site]
        async with self._asking[site]:
            # Someone else's question may have been the answer to ours.
            if self._reports[site].asked_at < wanted_from:
                await self._ask(site)
        return self._reports[site]

    async def freshen(self, sites: Iterable[str], max_age: float, seconds: float | None = None) -> None:
        """Ask all these sites at once, as `fresh` does, and wait no longer than `seconds` for their answers; what
        comes later is in a later report. A site that has left a question unanswered for so long already is not
        waited for again: it may have just died, and whoever asks may be in a hurry because of that."""
        waited_for = [site for site in sites if seconds is None or self._silence(site) < seconds]
        asked = [asyncio.create_task(self.fresh(site, max_age)) for site in waited_for]
        for task in asked:
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        if asked:
            await asyncio.wait(asked, timeout=seconds)

    def _silence(self, site: str) -> float:
        """For how many seconds the question that is under way has not been answered."""
        since = self._asked_since[site]
        return 0.0 if since is None else self._clock() - since

    async def _keep_asking(self, site: str) -> None:
        while True:
            try:
                await self.fresh(site)
            except Exception:
                log.exception("observer_defect", site=site)
            await asyncio.sleep(self._timing.observe_every_seconds)

    async def _ask(self, site: str) -> None:
        self._asked_since[site] = asked_at = self._clock()
        try:
            status = await self._agents.status(site, self._timing.observe_timeout_seconds)
            report = SiteReport(site, asked_at, status)
        except OperationError as error:
            report = SiteReport(site, asked_at, None, error)
        finally:
            self._asked_since[site] = None
        before = self._reports[site]
        if before.answered != report.answered or before.asked_at == float("-inf"):
            log.info("site_reachability", site=site, answers=report.answered, error=str(report.error or ""))
        self._reports[site] = report
        if report.answered:
            self._answers[site] = report
