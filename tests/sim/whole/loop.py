"""An asyncio event loop whose steps are events of the simulated world: one thread, virtual time, one order."""

import asyncio
import logging
import sys
import warnings
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from tests.sim.world.scheduler import Kind, Scheduler


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop of one simulated process. After `die` nothing of it happens any more, not even what was scheduled.

    `freeze` of the scheduler, by the loop's name, stops it as SIGSTOP would.
    """

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self._scheduler = scheduler
        self._name = name
        self._dead = False
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in order; a weak set would have none
        self.problems: list[str] = []  # what nobody took care of

    # --- what asyncio asks of a loop ---

    def time(self) -> float:
        return self._scheduler.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._dead

    def is_closed(self) -> bool:
        return self._dead

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[Any]":
        task = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._scheduler.after(0.0, Kind.STEP, self._name, "", lambda: self._run(handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        delay = max(0.0, when - self.time())
        self._scheduler.after(delay, Kind.STEP, self._name, "", lambda: self._run(handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Its event finds that out."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._dead:
            self.problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    # --- life and death ---

    def _run(self, handle: asyncio.Handle) -> None:
        if self._dead or handle.cancelled():
            return
        asyncio.events._set_running_loop(self)
        try:
            handle._run()
        finally:
            asyncio.events._set_running_loop(None)

    def die(self) -> None:
        """As SIGKILL does."""
        self._dead = True

    def bury(self) -> None:
        """End the coroutines of a dead loop, whose world is gone: only so that Python does not complain of them."""
        pool = logging.getLogger("sqlalchemy.pool")
        level, complains = pool.level, sys.unraisablehook
        pool.setLevel(logging.CRITICAL + 1)
        sys.unraisablehook = lambda _: None
        asyncio.events._set_running_loop(self)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                while self._tasks:
                    self._end(next(iter(self._tasks)))
        finally:
            asyncio.events._set_running_loop(None)
            pool.setLevel(level)
            sys.unraisablehook = complains

    def _end(self, task: "asyncio.Task[Any]") -> None:
        del self._tasks[task]
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        try:
            task.get_coro().close()
        except Exception:  # what an end tries in vain
            return
