"""Carries operations on, step by step, from wherever they are.

Before a verb's point of no return a failure is undone, step by step in reverse; behind it there is only
forward. A site that does not answer is asked again for a while; a database that does not answer is asked for
ever, because without it nothing can be decided.
"""

import asyncio
import contextlib

import structlog

from bilocate.domain.errors_operations import OutOfReach
from bilocate.domain.operation_states import UNFINISHED, OperationEvent, OperationStatus
from bilocate.operations.context import Context
from bilocate.operations.injection import Injection, Moment
from bilocate.operations.runner_errors import LeaseLost, RecordedError
from bilocate.operations.verb import Json, Run, Step, Verb
from bilocate.operations.verbs import verb_named
from bilocate.store.database import DatabaseUnavailable
from bilocate.store.journal_models import Operation

log = structlog.get_logger(__name__)


class StepFailed(Exception):
    """A step can't be carried out; the cause says why. Stays inside this module."""

    def __init__(self, step: Step, cause: Exception) -> None:
        super().__init__(step.name)
        self.step, self.cause = step, cause


class Runner:
    """One task per operation under way here; one more renews their leases and looks for abandoned ones."""

    def __init__(self, context: Context, injection: Injection) -> None:
        self._context = context
        self._journal = context.journal
        self._timing = context.settings.timing
        self._injection = injection
        self._carrying: dict[str, asyncio.Task[None]] = {}
        self._held_at: dict[str, float] = {}  # when an operation was last known to be ours, monotonic seconds
        self._others: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._takes_over = True

    async def start(self) -> None:
        """Take over what nobody carries on, and keep looking for more."""
        self._watch = asyncio.create_task(self._keep_watch())

    def take_over_no_more(self) -> None:
        """What others leave is for those who stay; what is under way here goes on until `stop`."""
        self._takes_over = False

    async def stop(self) -> None:
        """Stop in the middle of whatever is under way, and leave it to others."""
        tasks = [*self._carrying.values(), *self._others, *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watch = None
        # A database that is away must not keep the process: then the leases end by themselves.
        with contextlib.suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(self._timing.hand_on_seconds):
                await self._journal.hand_on()

    def take(self, operation: Operation) -> None:
        """Carry on an operation whose lease is this controller's."""
        # Claimed anew although it is carried here: it was lost meanwhile, and what the older task knows of it is old.
        before = self._carrying.get(operation.id)
        task = asyncio.create_task(
            self._carry_after(before, operation), name=f"{operation.verb} {operation.id}"
        )
        self._carrying[operation.id] = task
        self._held_at[operation.id] = self._context.clock()
        task.add_done_callback(lambda done: self._carried(operation, done))

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Hold on to a task of this package until it has ended; `stop` ends it."""
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    async def finished(self, operation_id: str, timeout: float) -> OperationStatus | None:
        """The final status, or None when there is none within `timeout` seconds."""
        deadline = self._context.clock() + timeout
        while True:
            task = self._carrying.get(operation_id)
            left = max(0.0, deadline - self._context.clock())
            if task is not None:
                await asyncio.wait([task], timeout=left)
            operation = await self._journal.find(operation_id)
            if operation is None or operation.status not in UNFINISHED:
                return None if operation is None else operation.status
            if self._context.clock() >= deadline:
                return None
            await asyncio.sleep(min(left, self._timing.wait_poll_seconds))

    async def _carry_after(self, before: "asyncio.Task[None] | None", operation: Operation) -> None:
        if before is not None:
            before.cancel()
            await asyncio.wait([before])
        await self.carry(operation)

    async def carry(self, operation: Operation) -> None:
        """Carry one operation to its end. Returns early when the lease is lost."""
        verb: Verb[object] = verb_named(operation.verb)
        with structlog.contextvars.bound_contextvars(
            operation=operation.id,
            verb=verb.name,
            target=operation.target_id,
            # Whoever carries it on speaks under the id of the call that began it.
            request_id=operation.request_id,
        ):
            sure = True
            while operation.status in UNFINISHED:
                try:
                    if not sure:
                        await self._journal.read_again(operation)
                    sure = True
                    await self._go_on(verb, operation)
                except LeaseLost:
                    log.warning("operation_lease_lost")
                    return
                except DatabaseUnavailable as error:
                    log.warning("operation_waits_for_database", error=str(error))
                    sure = False
                    await asyncio.sleep(self._timing.backoff_most_seconds)

    async def _go_on(self, verb: Verb[object], operation: Operation) -> None:
        done = await self._journal.done_steps(operation.id)
        run = Run(self._context, operation, verb.read_args(operation.args), done)
        if operation.status is OperationStatus.UNDOING:
            await self._backward(verb, run)
            return
        try:
            for step in verb.steps:
                if step.name not in run.results:
                    await self._step(verb, step, run)
        except StepFailed as failed:
            await self._turn(verb, run, failed)

    # --- forward ---

    async def _step(self, verb: Verb[object], step: Step, run: Run[object]) -> None:
        await self._hold(run)
        self._injection.reached(verb.name, step.name, Moment.BEFORE)
        result = await self._with_patience(verb, step, run)
        last = step.name == verb.steps[-1].name
        try:
            async with self._context.database.writing() as db:
                await self._journal.guard(db, run.operation)
                if step.commit is not None:
                    result |= await step.commit(run, db) or {}
                await self._journal.record(db, run.operation, step.name, result)
                if last:
                    await self._journal.move(db, run.operation, OperationEvent.FINISH)
                self._injection.reached(verb.name, step.name, Moment.IN)
        except (LeaseLost, DatabaseUnavailable):
            raise
        except Exception as error:
            raise StepFailed(step, error) from error
        run.results[step.name] = result
        self._held_at[run.operation.id] = self._context.clock()
        log.info("step_done", step=step.name)
        if last:
            run.operation.status = OperationStatus.SUCCEEDED
        self._injection.reached(verb.name, step.name, Moment.AFTER)

    async def _with_patience(self, verb: Verb[object], step: Step, run: Run[object]) -> Json:
        """`do`, again and again while a site does not answer."""
        if step.do is None:
            return {}
        patience = step.patience_seconds
        if patience is None:
            past = verb.is_past_return(run.results)
            patience = self._timing.forward_patience_seconds if past else self._timing.before_patience_seconds
        deadline = self._context.clock() + patience
        pause = self._timing.backoff_first_seconds
        while True:
            try:
                return await step.do(run) or {}
            except OutOfReach as error:
                if self._context.clock() + pause >= deadline:
                    raise StepFailed(step, error) from error
                log.info("step_waits", step=step.name, error=str(error))
            except DatabaseUnavailable:
                raise
            except Exception as error:
                raise StepFailed(step, error) from error
            await self._journal.count_attempt(run.operation)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timing.backoff_most_seconds)

    # --- a failure ---

    async def _turn(self, verb: Verb[object], run: Run[object], failed: StepFailed) -> None:
        """Back, or, behind the point of no return, to an end that says why."""
        operation, cause = run.operation, failed.cause
        if not isinstance(cause, Exception) or type(cause).__module__.split(".")[0] != "bilocate":
            log.error("step_defect", step=failed.step.name, exc_info=cause)
        log.warning("step_failed", step=failed.step.name, error=str(cause))
        past = verb.is_past_return(run.results)
        event = OperationEvent.GIVE_UP if past else OperationEvent.UNDO
        async with self._context.database.writing() as db:
            await self._journal.guard(db, operation)
            if past:
                await verb.failed(run, db, RecordedError(str(cause), type(cause).__name__))
            await self._journal.move(db, operation, event, cause)
        operation.status = OperationStatus.FAILED if past else OperationStatus.UNDOING
        operation.error, operation.error_kind = str(cause), type(cause).__name__

    async def _backward(self, verb: Verb[object], run: Run[object]) -> None:
        """Take back every step that was done, and the one that was begun."""
        begun = next(
            (i for i, step in enumerate(verb.steps) if step.name not in run.results), len(verb.steps)
        )
        for step in reversed(verb.steps[: begun + 1]):
            await self._undo(verb, step, run)
        operation = run.operation
        again = operation.rounds < verb.rounds_most and operation.error_kind in {
            kind.__name__ for kind in verb.lost_race
        }
        event = OperationEvent.START_AGAIN if again else OperationEvent.UNDONE
        async with self._context.database.writing() as db:
            await self._journal.guard(db, operation)
            if not again:
                await verb.undone(run, db, RecordedError(operation.error or "", operation.error_kind))
            await self._journal.move(db, operation, event)
        operation.rounds += 1 if again else 0
        operation.status = OperationStatus.RUNNING if again else OperationStatus.FAILED
        log.info("operation_undone", again=again)

    async def _undo(self, verb: Verb[object], step: Step, run: Run[object]) -> None:
        if step.undo is None and step.undo_commit is None:
            return
        name = f"undo-{step.name}"
        await self._hold(run)
        self._injection.reached(verb.name, name, Moment.BEFORE)
        await self._undo_with_patience(step, run)
        async with self._context.database.writing() as db:
            await self._journal.guard(db, run.operation)
            if step.undo_commit is not None:
                await step.undo_commit(run, db)
            await self._journal.record_undone(db, run.operation, step.name)
            self._injection.reached(verb.name, name, Moment.IN)
        self._injection.reached(verb.name, name, Moment.AFTER)

    async def _undo_with_patience(self, step: Step, run: Run[object]) -> None:
        """`undo`, until it is done or there is no hope; what then is left is settled later (see `settle`)."""
        if step.undo is None:
            return
        deadline = self._context.clock() + self._timing.undo_patience_seconds
        pause = self._timing.backoff_first_seconds
        while True:
            try:
                await step.undo(run)
                return
            except OutOfReach as error:
                if self._context.clock() + pause >= deadline:
                    log.warning("undo_left_over", step=step.name, error=str(error))
                    return
            except DatabaseUnavailable:
                raise
            except Exception as error:
                log.exception("undo_refused", step=step.name, error=str(error))
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timing.backoff_most_seconds)

    # --- leases ---

    async def _hold(self, run: Run[object]) -> None:
        """Before sites are told anything: is the operation still ours? Who has hung for a while asks the database.

        What has been lost is not changed in any case (see `Journal.guard`); this spares the sites a late word.
        """
        held_at = self._held_at.get(run.operation.id, 0.0)
        if self._context.clock() - held_at > self._timing.lease_seconds / 2:
            await self._journal.hold(run.operation)
            self._held_at[run.operation.id] = self._context.clock()

    async def _keep_watch(self) -> None:
        beat_every = self._timing.lease_seconds / 3
        next_beat = 0.0
        starting = True
        while True:
            try:
                if self._context.clock() >= next_beat:
                    await self._journal.heartbeat(list(self._carrying))
                    next_beat = self._context.clock() + beat_every
                # An earlier life has ended when this one starts; later, who bears this name is another controller.
                if self._takes_over:
                    for operation in await self._journal.claim(earlier_lives=starting):
                        log.info("operation_taken_over", operation=operation.id, verb=operation.verb)
                        self.take(operation)
                    starting = False
            except DatabaseUnavailable as error:
                log.warning("runner_waits_for_database", error=str(error))
            except Exception:
                log.exception("runner_defect")  # without this task leases would end under our own operations
            await asyncio.sleep(self._timing.scan_every_seconds)

    def _carried(self, operation: Operation, task: "asyncio.Task[None]") -> None:
        if self._carrying.get(operation.id) is task:
            del self._carrying[operation.id], self._held_at[operation.id]
        if task.cancelled():
            log.info("operation_left", operation=operation.id, verb=operation.verb)
        elif task.exception() is not None:
            # Left as it is: its lease ends, and it is taken over like any other.
            log.error("operation_defect", operation=operation.id, exc_info=task.exception())
        else:
            log.info(
                "operation_ended", operation=operation.id, verb=operation.verb, status=operation.status.value
            )
        # Whatever was changed, or taken back: all sites are compared with it soon.
        self._context.reconciler.kick()
