"""Taking a restored database back into use: the sites say who is primary, and every epoch rises beyond theirs.

Nothing is guessed: where the sites' agents don't make it plain, it is refused with what an operator may say. While
this goes on the database is sealed, so no agent gets leave for anything, and what serves goes on serving.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select, update

from bilocate.domain.arbiter import RowState
from bilocate.domain.errors import BilocateError
from bilocate.domain.group_states import GroupEvent, GroupStatus
from bilocate.domain.operation_states import UNFINISHED, OperationEvent, OperationStatus
from bilocate.operations.context import Context
from bilocate.operations.observer import SiteReport
from bilocate.operations.reconcile import newest_epoch
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Run, Verb
from bilocate.operations.verbs import verb_named
from bilocate.operations.verbs._shared import change_production
from bilocate.store.columns import db_now
from bilocate.store.database import Database
from bilocate.store.identity_models import Token
from bilocate.store.journal_models import Operation
from bilocate.store.models import Group, Pair, Sequence, Session, Volume
from bilocate.store.sealing import last_epoch, seal, unseal
from bilocate.store.sequences import EPOCH, next_epoch
from bilocate.store.transitions import move_group

# Beyond all that the sites tell: numbers may have been drawn since the backup that no site that answers knows.
EPOCHS_SKIPPED = 1_000_000
ENDED = "the controllers' database was restored from a backup while this was under way"

Json = dict[str, Any]


class RestoreUnclear(BilocateError):
    """The sites don't make plain what is true: nothing was changed, and the database stays sealed."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(
            "the database stays sealed, because it is not clear what is true now:\n- " + "\n- ".join(problems)
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What an operator says. `primaries`: by group or pair id, the site of production. `forget`: sessions that only
    the sites know are ended there; their volumes keep their data."""

    primaries: Mapping[str, str] = field(default_factory=dict)
    forget: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What the sites make plain of one session. `joined`: the secondary is in the primary's epoch."""

    primary: str
    version: int
    joined: bool
    consistent: bool
    known: bool = True


@dataclass(slots=True)
class Restored:
    """What was done, for the operator."""

    groups: dict[str, str] = field(default_factory=dict)  # id: site of production
    moved: list[str] = field(default_factory=list)  # production is elsewhere than in the backup
    stopped: list[str] = field(
        default_factory=list
    )  # no site knows them: not replicated before someone says so
    ended_operations: int = 0


def found_of(
    session_id: str, primary: str, sites: tuple[str, str], halves: Mapping[str, Json], said: Said
) -> Found | str:
    """What is plain of a session, or what is not. `primary`: as the backup has it."""
    chosen = said.primaries.get(session_id)
    if chosen is not None and chosen not in sites:
        return f"{session_id} has no volumes at {chosen}, but at {' and '.join(sites)}"
    epochs = {site: int(half["epoch"]) for site, half in halves.items()}
    newest = max(epochs.values(), default=0)
    leading = [site for site, half in halves.items() if epochs[site] == newest and half["role"] == "primary"]
    if chosen is None:
        if not halves:
            return Found(primary, 0, joined=False, consistent=False, known=False)
        if len(halves) == 1 or len(leading) != 1:
            return (
                f"{session_id}: {_words(sites, halves)}; if you know that production is at SITE and that no host uses "
                f"the other site's volumes, say --primary {session_id}=SITE"
            )
        chosen = leading[0]
    other = halves.get(sites[1] if chosen == sites[0] else sites[0])
    joined = (
        other is not None
        and int(other["epoch"]) == newest
        and other["role"] == "secondary"
        and chosen in leading
    )
    consistent = other is not None and all(volume["consistent"] for volume in other["volumes"])
    rows = (half.get("row") or {} for half in halves.values())
    return Found(chosen, max((int(row.get("version", 0)) for row in rows), default=0), joined, consistent)


def _words(sites: tuple[str, str], halves: Mapping[str, Json]) -> str:
    def told(site: str) -> str:
        half = halves.get(site)
        return (
            f"{site} knows nothing of it"
            if half is None
            else f"{site} says {half['role']} of epoch {half['epoch']}"
        )

    return ", ".join(told(site) for site in sites)


async def restore(context: Context, said: Said) -> Restored:
    """Ask all sites, then change the database in one transaction and take its seal away.

    :raises RestoreUnclear: nothing was changed.
    :raises DatabaseUnavailable:
    """
    database = context.database
    async with database.writing() as db:
        await seal(db)
    reports = {site: await context.observer.fresh(site) for site in context.settings.sites}
    silent = [
        f"the agent of {site} does not answer ({report.error}): start it. What a site that is away would say decides"
        for site, report in reports.items()
        if not report.answered
    ]
    if silent:
        raise RestoreUnclear(silent)
    founds = await _plan(database, reports, said)
    return await _apply(context, reports, founds)


async def _plan(database: Database, reports: Mapping[str, SiteReport], said: Said) -> dict[str, Found]:
    async with database.reading() as db:
        sessions = list(await db.scalars(select(Session)))
    founds: dict[str, Found] = {}
    problems: list[str] = []
    for session in sessions:
        sites = (session.primary_site, session.secondary_site)
        halves = {site: half for site in sites if (half := reports[site].session(session.id)) is not None}
        found = found_of(session.id, session.primary_site, sites, halves, said)
        if isinstance(found, str):
            problems.append(found)
        else:
            founds[session.id] = found
    known = {session.id for session in sessions}
    alone = {
        key for report in reports.values() for key in (report.status or {})["sessions"] if key not in known
    }
    if alone and not said.forget:
        problems.append(
            f"the sites replicate what the backup does not know: {', '.join(sorted(alone))}; --forget ends that and "
            "leaves their volumes with their data at the sites, where they can be adopted"
        )
    if problems:
        raise RestoreUnclear(problems)
    return founds


async def _apply(
    context: Context, reports: Mapping[str, SiteReport], founds: Mapping[str, Found]
) -> Restored:
    done = Restored()
    async with context.database.writing() as db:
        beyond = (
            max(await last_epoch(db), *(newest_epoch(report) for report in reports.values())) + EPOCHS_SKIPPED
        )
        await next_epoch(db)  # the row is there
        await db.execute(update(Sequence).where(Sequence.name == EPOCH).values(value=beyond))
        unfinished = list(await db.scalars(select(Operation).where(Operation.status.in_(UNFINISHED))))
        for operation in unfinished:
            await _end(context, db, operation)
        done.ended_operations = len(unfinished)
        for session_id, found in founds.items():
            await _adopt(db, session_id, found, done)
        await _pass_revisions(db, reports)
        # Those that were revoked since the backup would be good again.
        await db.execute(delete(Token))
        await unseal(db)
    return done


async def _end(context: Context, db: Any, operation: Operation) -> None:
    """As the runner would, without asking a site for anything."""
    verb: Verb[object] = verb_named(operation.verb)
    done = await context.journal.done_steps(operation.id)
    past = verb.is_past_return(done)
    run = Run(context, operation, verb.read_args(operation.args), done)
    error = RecordedError(ENDED, None)
    await (verb.failed if past else verb.undone)(run, db, error)
    undoing = operation.status is OperationStatus.UNDOING
    event = OperationEvent.UNDONE if undoing else OperationEvent.GIVE_UP
    await context.journal.move(db, operation, event, error)


async def _adopt(db: Any, session_id: str, found: Found, done: Restored) -> None:
    session = await db.get(Session, session_id, with_for_update=True, populate_existing=True)
    group = await db.get(Group, session_id, with_for_update=True, populate_existing=True)
    old, moved = session.primary_site, session.primary_site != found.primary
    if moved:
        session.primary_site, session.secondary_site = session.secondary_site, session.primary_site
        # Whether somebody allowed data loss since the backup is not known: ask before anything is overwritten.
        session.forced = True
        done.moved.append(session_id)
    session.epoch = await next_epoch(db)
    session.version = max(session.version, found.version) + 1
    session.state = RowState.STALE if found.consistent else RowState.SYNCING
    session.behind_since = session.behind_since or db_now()
    session.held = session.quiesced = session.trust_blank = session.allow_dirty = False
    if not found.known:
        session.paused = True
        done.stopped.append(session_id)
    await db.flush()
    if moved:
        await change_production(db, session_id, old, found.primary)
    if group is not None:
        await db.refresh(group)
        _level_status(group, session, moved, found.joined)
        done.groups[session_id] = found.primary


def _level_status(group: Group, session: Session, moved: bool, joined: bool) -> None:
    """What the group went through since the backup."""
    if moved and not joined and group.status is GroupStatus.AVAILABLE:
        move_group(group, GroupEvent.FAIL_OVER)
        move_group(group, GroupEvent.FAIL_OVER_DONE)
        session.paused = True
    elif joined and group.status is GroupStatus.FAILED_OVER:
        move_group(group, GroupEvent.REPROTECT)
        move_group(group, GroupEvent.REPROTECT_DONE)
        session.paused = False


async def _pass_revisions(db: Any, reports: Mapping[str, SiteReport]) -> None:
    """What is wanted of a volume is newer than what its site has, and never smaller than it has become; a pair is as
    large as the larger of its volumes, also where an extension was under way: a volume is never made smaller."""
    volumes = {volume.id: volume for volume in await db.scalars(select(Volume))}
    for volume in volumes.values():
        told = reports[volume.site].volume(volume.id) if volume.site in reports else None
        if told is None:
            continue
        volume.wanted_revision = max(volume.wanted_revision, int(told["exports_revision"])) + 1
        volume.size_gib = max(volume.size_gib, int(told["size_bytes"]) >> 30)
    for pair in await db.scalars(select(Pair)):
        ids = (pair.first_volume_id, pair.second_volume_id)
        both = [volumes[volume_id] for volume_id in ids if volume_id in volumes]
        pair.size_gib = max([pair.size_gib, *(volume.size_gib for volume in both)])
        for volume in both:
            volume.size_gib = pair.size_gib
