"""The operations' public face: what the API and the wiring use of this package.

operations = Operations(database, settings)
await operations.start()            # observer, reconciler, runner; `await operations.stop()` at the end
await operations.perform("failover", group_id, {}, project_id=..., requested_by=...)
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bilocate.domain.errors import BilocateError
from bilocate.domain.errors_operations import AgentRefused, Invalid, Settling, TargetBusy, is_out_of_reach
from bilocate.domain.errors_volumes import (
    ExtensionInterrupted,
    ExtensionRefused,
    SizeNotWhole,
    SourceNotAdoptable,
    SourceTaken,
)
from bilocate.domain.geometry import GIB
from bilocate.domain.observed import Observed
from bilocate.domain.operation_states import OperationStatus
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.agents import AgentClient
from bilocate.operations.attachments import Attachments
from bilocate.operations.context import Context
from bilocate.operations.exports import Connector, close_export, open_export
from bilocate.operations.injection import Injection
from bilocate.operations.journal import Journal
from bilocate.operations.observer import Observer
from bilocate.operations.read_only import set_read_only
from bilocate.operations.reconcile import Reconciler
from bilocate.operations.resets import require_attached, reset_status
from bilocate.operations.retype import retype
from bilocate.operations.runner import Runner
from bilocate.operations.settings import Settings
from bilocate.operations.truth import observe_sessions, unlinked
from bilocate.operations.verb import Entering
from bilocate.operations.verbs import all_verbs, verb_named
from bilocate.store.database import Database, DatabaseUnavailable
from bilocate.store.models import Attachment, AttachmentKind

# Verbs that end in moments when the sites answer: a call waits for them instead of being refused.
BRIEF = frozenset({"sync", "stop", "reprotect", "settle", "extend_group"})
BUSY_WAIT_SECONDS = 3.0
SETTLING_LOOK_SECONDS = 0.1
EXTENSION_SECONDS = 25.0  # longer than its steps' patience, and shorter than clients wait


class Operations:
    """Everything that changes volumes, pairs, groups and sessions goes through here."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        injection: Injection | None = None,
        agents: AgentClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`injection`, `agents` and `clock` are for tests: the environment's, the network's and the system's
        otherwise."""
        self.database = database
        self.settings = settings
        self.agents = agents or AgentClient(settings)
        self.observer = Observer(self.agents, settings, clock)
        self.reconciler = Reconciler(database, self.agents, self.observer, settings)
        self.journal = Journal(database, settings)
        self.context = Context(
            database, settings, self.agents, self.observer, self.reconciler, self.journal, clock
        )
        self.runner = Runner(self.context, injection or Injection.from_environment())
        self.reconciler.on_leftover = self._settle
        self.attachments = Attachments(self.context)

    async def start(self) -> None:
        """Begin to observe, to reconcile and to carry operations on."""
        with contextlib.suppress(DatabaseUnavailable):  # the rounds look again
            await self.reconciler.look_before_all(self.settings.timing.tell_seconds)
        await self.observer.start()
        await self.reconciler.start()
        await self.runner.start()

    def take_over_no_more(self) -> None:
        """The controller is about to stop: others carry on what is left lying. What was begun here goes on."""
        self.runner.take_over_no_more()

    async def stop(self) -> None:
        """Stop; operations under way are left to another controller, or to whoever starts next."""
        await self.runner.stop()
        await self.reconciler.stop()
        await self.observer.stop()
        await self.agents.close()

    async def perform(
        self,
        verb: str,
        target_id: str,
        args: Mapping[str, Any],
        *,
        project_id: str | None,
        requested_by: str,
        entering: Entering | None = None,
    ) -> str:
        """Check `verb`'s preconditions, then journal it in one transaction with its target's new status.

        Returns the operation's id; the runner carries it on at once. Verbs and their `args` (all optional
        but those marked *):

        - create_volume: size_gib*, volume_type*, site*, name, description, multiattach, bootable, metadata, user_id,
          source
        - create_copy: as create_volume without source, and source_volume_id*
        - extend_volume: new_size_gib*
        - delete_volume: force
        - delete_pair, delete_group, stop: none
        - create_pair: volume_ids* (two, in the client's order), priority_site*, name, description
        - create_group: pair_ids*, priority_site*, name, description
        - update_group: name, description, add (pair ids), remove (pair ids)
        - extend_group: sizes_gib* (by pair); see `extended`
        - sync: trust_primary; failover: allow_data_loss; reverse: force; reprotect: allow_data_loss

        `entering`: what must hold in that transaction too; it raises what is answered otherwise.

        For `create_*`, `target_id` is the new id (`bilocate.store.columns.new_id`). `project_id` None: any project's.

        :raises Invalid, NotFound, Conflict, OverLimit, OutOfReach: see `domain.errors_operations`; nothing was changed.
        :raises DatabaseUnavailable:
        """
        if verb not in all_verbs():
            raise Invalid(f"there is no verb {verb!r}: choose one of {', '.join(sorted(all_verbs()))}")
        deadline = self.context.clock() + BUSY_WAIT_SECONDS
        while True:
            try:
                operation = await verb_named(verb).begin(
                    self.context, target_id, dict(args), project_id, requested_by, entering
                )
                break
            except (TargetBusy, Settling) as busy:
                if not await self._soon_free(busy, deadline):
                    raise
        self.runner.take(operation)
        return operation.id

    async def _soon_free(self, busy: TargetBusy | Settling, deadline: float) -> bool:
        """Whether it is worth trying again: what is in the way is brief, and has been waited for."""
        left = deadline - self.context.clock()
        if left <= 0:
            return False
        if isinstance(busy, Settling):
            self.reconciler.kick()
            await asyncio.sleep(min(left, SETTLING_LOOK_SECONDS))
            return True
        operation = await self.journal.find(busy.operation_id)
        if operation is None or operation.verb not in BRIEF:
            return operation is None
        await self.finished(operation.id, left)
        return True

    async def finished(self, operation_id: str, timeout: float) -> OperationStatus | None:
        """The operation's final status, or None when it is still under way after `timeout` seconds."""
        return await self.runner.finished(operation_id, timeout)

    async def size_of_source(self, site: str, source: str) -> int:
        """How many GiB a site's device or file has that is to be adopted.

        :raises UnknownSite, SourceNotAdoptable, SourceTaken, SizeNotWhole, OutOfReach: it can't be.
        """
        try:
            size_bytes = await self.agents.inspect(site, source)
        except AgentRefused as refused:
            if refused.code == "in_use":
                raise SourceTaken(source, site, str(refused)) from refused
            if refused.code in ("not_adoptable", "malformed"):
                raise SourceNotAdoptable(source, site, str(refused)) from refused
            raise
        if size_bytes < GIB or size_bytes % GIB:
            raise SizeNotWhole(source, site, size_bytes)
        return size_bytes // GIB

    async def extended(self, operation_id: str, group_id: str) -> None:
        """Wait until an extension of a group has come to its end.

        :raises ExtensionRefused, ExtensionInterrupted: it has failed; the message says why, and what is left.
        """
        if await self.finished(operation_id, EXTENSION_SECONDS) is OperationStatus.SUCCEEDED:
            return
        operation = await self.journal.find(operation_id)
        if operation is None or operation.error is None:
            raise ExtensionInterrupted(
                group_id, f"it has not ended after {EXTENSION_SECONDS:g} s and goes on"
            )
        if is_out_of_reach(operation.error_kind):
            raise ExtensionInterrupted(group_id, operation.error)
        raise ExtensionRefused(group_id, operation.error)

    async def connect(
        self, volume_id: str, kind: AttachmentKind, connector: Connector, *, project_id: str | None
    ) -> Attachment:
        """Give a host a way to a volume: its export is served when this returns.

        The URI is nbd://HOST:PORT/EXPORT with `settings.sites[volume.site]` and `attachment.export_name`.
        The volume's status is the caller's business (`store.transitions.move_volume`).

        :raises NotFound, SecondaryNotServed, WrongStatus, AgentUnavailable, AgentTimeout: nothing was changed.
        """
        return await open_export(self.context, volume_id, kind, connector, project_id)

    async def disconnect(self, attachment_id: str, *, project_id: str | None) -> None:
        """End an attachment and close its connections. Ended already: nothing happens.

        A site that does not answer is told when it is back.

        :raises NotFound: there is no such attachment.
        """
        await close_export(self.context, attachment_id, project_id)

    async def set_read_only(self, volume_id: str, read_only: bool, *, project_id: str | None) -> None:
        """Whether hosts that attach from now on may only read; of a pair, at both sites.

        :raises NotFound, WrongStatus, FlagWhileAttached, SecondaryNotServed, PairJustMade: it can't be changed now.
        :raises OutOfReach, AgentRefused: the site does not answer. Nothing was changed.
        """
        await set_read_only(self.context, volume_id, read_only, project_id)

    async def retype(self, volume_id: str, name: str, *, multiattach: bool, project_id: str | None) -> None:
        """Give a volume another type; `multiattach`: what that says of how many hosts may attach.

        :raises NotFound, SameType, PairedNotRetyped, WrongStatus, TargetBusy: nothing was changed.
        """
        await retype(self.context, volume_id, name, multiattach, project_id)

    async def reset_status(self, volume_id: str, wanted: VolumeStatus, *, project_id: str | None) -> None:
        """Set the status that is told of a volume, where that is true (operations/resets.py).

        :raises NotFound, StatusNotSet, WrongStatus, TargetBusy, VolumeInPair, OutOfReach: nothing was changed.
        """
        await reset_status(self.context, volume_id, wanted, project_id)

    async def require_attached(self, volume_id: str, attached: bool, *, project_id: str | None) -> None:
        """:raises NotFound, StatusNotSet: somebody is attached, or nobody, and the other was said."""
        await require_attached(self.context, volume_id, attached, project_id)

    async def observe(self, session_ids: Iterable[str], seconds: float) -> dict[str, Observed]:
        """What is true now of each session (`pair.session_id`, or the group's id), as far as the sites told until
        now or tell within `seconds`. Unknown sessions are left out."""
        return await observe_sessions(self.context, session_ids, seconds)

    async def unlinked(self) -> list[str]:
        """The groups that are to replicate and have no link now, as far as the sites told until now."""
        return await unlinked(self.context)

    async def site_hello(self, site: str, instance: str, boot_id: str) -> None:
        """An agent has started: it is told at once what is wanted of it.

        :raises UnknownSite: no such site is configured.
        """
        await self.reconciler.hello(site, instance, boot_id)

    def _settle(self, session_id: str) -> None:
        """An ended operation left a hold behind: take it back, as an operation of its own."""
        task = asyncio.ensure_future(self._settle_now(session_id))
        self.runner.keep(task)

    async def _settle_now(self, session_id: str) -> None:
        # Something else may have begun meanwhile, and taken it back itself: the next round tells.
        with contextlib.suppress(BilocateError):
            operation = await verb_named("settle").begin(self.context, session_id, {}, None, "controller")
            self.runner.take(operation)
