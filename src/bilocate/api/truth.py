"""What is true now, for what is shown: as the sites' agents report it, asked anew where that is cheap."""

from collections.abc import Iterable

from bilocate.api import wire
from bilocate.api.context import Parts
from bilocate.domain.observed import Observed


async def freshen(parts: Parts, session_id: str | None = None) -> None:
    """Let the next look be at most `show_age_seconds` old, where agents answer within `show_wait_seconds`. With a
    session only those are asked that have told of it; all where none has.

    A site that did not answer the last time is not waited for: the observer asks it again and again anyway,
    and a show must not be slow just when a site has died.
    """
    limits, observer = parts.config.limits, parts.operations.observer
    answering = [site for site in parts.config.sites if observer.last(site).answered]
    carrying = [site for site in answering if observer.last(site).session(session_id or "") is not None]
    await observer.freshen(carrying or answering, limits.show_age_seconds, limits.show_wait_seconds)


async def observed(parts: Parts, session_ids: Iterable[str | None]) -> dict[str | None, Observed]:
    """What is true of each session; of what is none yet, that nothing is protected."""
    wanted = {each for each in session_ids if each is not None}
    found = await parts.operations.observe(wanted, parts.config.limits.show_wait_seconds)
    return {None: wire.UNOBSERVED, **{each: found.get(each, wire.UNOBSERVED) for each in wanted}}
