"""What is true now, for what is shown: as the sites' agents report it, asked anew where that is cheap."""

import asyncio
from collections.abc import Iterable

from bilocate.api import wire
from bilocate.api.context import Parts
from bilocate.domain.observed import Observed
from bilocate.operations.observer import SiteReport

# Questions that outlive the show that asked them: they end by the agents' own timeout.
_asking: set[asyncio.Task[SiteReport]] = set()


async def freshen(parts: Parts) -> None:
    """Let the next look be at most `show_age_seconds` old, where agents answer within `show_wait_seconds`.

    A site that did not answer the last time is not waited for: the observer asks it again and again anyway,
    and a show must not be slow just when a site has died.
    """
    limits, observer = parts.config.limits, parts.operations.observer
    answering = [site for site in parts.config.sites if observer.last(site).answered]
    if not answering:
        return
    asked = [asyncio.create_task(observer.fresh(site, limits.show_age_seconds)) for site in answering]
    for task in asked:
        _asking.add(task)
        task.add_done_callback(_asking.discard)
    await asyncio.wait(asked, timeout=limits.show_wait_seconds)


async def observed(parts: Parts, session_ids: Iterable[str | None]) -> dict[str | None, Observed]:
    """What is true of each session; of what is none yet, that nothing is protected."""
    wanted = {each for each in session_ids if each is not None}
    found = await parts.operations.observe(wanted)
    return {None: wire.UNOBSERVED, **{each: found.get(each, wire.UNOBSERVED) for each in wanted}}
