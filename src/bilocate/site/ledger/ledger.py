"""The ledger: commits are queued, and a thread of its own makes durable whatever is queued, at once."""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import structlog

from bilocate.replication.records import Change
from bilocate.site.ledger.errors import LedgerClosed
from bilocate.site.ledger.machine import read_boot_id
from bilocate.site.ledger.opening import OpenedFiles, open_files
from bilocate.site.ledger.state import LedgerState
from bilocate.site.ledger.writer import Writer

log = structlog.get_logger(__name__)

Done = Callable[[], None]
_Entry = tuple[Sequence[Change], Done]

# How long a commit that may wait does. A resync asks for one for each new extent, every 0.2 ms: each transaction costs
# the CPU the same, and the interpreter is handed to and fro a dozen times for it.
PATIENCE_SECONDS = 0.004

# When the log is moved into the database. It bounds how long a start after a crash takes: some 50 ms go into
# the check of 2 MiB.
_LOG_BYTES_MAX = 2 * 1024 * 1024

# EX_SOFTWARE of sysexits: a supervisor starts the agent again, and it finds what was committed.
_EXIT_CODE = 70


def _end_process() -> None:
    sys.stderr.flush()
    os._exit(_EXIT_CODE)


@dataclass(slots=True)
class LedgerStats:
    """What the thread has done. `commits` were asked for, `transactions` were needed for them."""

    commits: int = 0
    transactions: int = 0
    checkpoints: int = 0
    last_transaction_seconds: float = 0.0


class Ledger:
    """The open ledger of one site. All methods are called on the event loop."""

    def __init__(
        self, files: OpenedFiles, loop: asyncio.AbstractEventLoop, on_fatal: Callable[[], None]
    ) -> None:
        self.stats = LedgerStats()
        self._files = files
        self._loop = loop
        self._on_fatal = on_fatal
        self._writer = Writer(files.db, files.tally)
        self._queue: SimpleQueue[list[_Entry] | None] = SimpleQueue()
        self._patient: list[_Entry] = []  # not queued yet
        self._patience: asyncio.TimerHandle | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        path: Path,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        on_fatal: Callable[[], None] = _end_process,
        boot_id: str | None = None,
    ) -> tuple["Ledger", LedgerState]:
        """Open the ledger at `path`, in an existing directory, and read it whole; blocks for its reading.

        `loop`: where `done` callbacks run (default: the running one). `on_fatal`: called in the thread when
        a commit failed (default: ends the process). `boot_id`: of the machine (default: the kernel's).

        :raises LedgerInUse: another process has it open.
        :raises LedgerTooNew: a later release wrote it.
        :raises LedgerUnusable: the directory, a permission or the disk is in the way.
        """
        loop = loop or asyncio.get_running_loop()
        files, state = open_files(Path(path), read_boot_id() if boot_id is None else boot_id)
        return cls(files, loop, on_fatal), state

    def commit(self, changes: Sequence[Change], done: Done, patient: bool = False) -> None:
        """Make the changes durable together, behind all earlier ones; then `done` runs on the event loop.

        The changes must not be altered afterwards. No failure is told: the process ends instead. A `patient` one waits
        up to `PATIENCE_SECONDS` for others, and goes with the first that is not.

        :raises LedgerClosed: after `close`.
        """
        if self._closed:
            raise LedgerClosed(self._files.path)
        self._patient.append((changes, done))
        if not patient:
            self._queue_all()
        elif self._patience is None:
            self._patience = self._loop.call_later(PATIENCE_SECONDS, self._queue_all)

    def _queue_all(self) -> None:
        """Give the thread what there is, in the order in which it came."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._patient:
            self._queue.put(self._patient)
            self._patient = []

    def end(self) -> None:
        """Take no more. What was given is still committed."""
        if not self._closed:
            self._closed = True
            self._queue_all()
            self._queue.put(None)

    def close(self) -> None:
        """Commit what was given, then close the files; blocks for that long. May be called in a thread after `end`.

        The last `done` callbacks run when the event loop turns next.
        """
        self.end()
        self._thread.join()

    # --- the thread ---

    def _run(self) -> None:
        try:
            while self._commit_queued():
                self._checkpoint_if_long()
            self._files.close()
        except BaseException as error:
            log.critical(
                "ledger_commit_failed",
                path=str(self._files.path),
                error=repr(error),
                remedy="free space or repair the disk of the state directory, then start the agent again",
            )
            self._on_fatal()

    def _commit_queued(self) -> bool:
        """Commit everything queued in one transaction; False: the ledger is to be closed."""
        entries = [self._queue.get()]
        with contextlib.suppress(Empty):
            while True:
                entries.append(self._queue.get_nowait())
        commits = [commit for entry in entries if entry is not None for commit in entry]
        changes = [change for some, _ in commits for change in some]
        if changes:
            began = time.perf_counter()
            self._writer.commit(changes)
            self.stats.transactions += 1
            self.stats.last_transaction_seconds = time.perf_counter() - began
        self.stats.commits += len(commits)
        self._tell([done for _, done in commits])
        return entries[-1] is not None  # nothing is queued behind the mark of `close`

    def _tell(self, dones: list[Done]) -> None:
        if dones:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(self._run_dones, dones)

    def _checkpoint_if_long(self) -> None:
        wal = self._files.wal_path
        if wal.exists() and wal.stat().st_size > _LOG_BYTES_MAX:
            self._files.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self.stats.checkpoints += 1

    # --- the event loop again ---

    def _run_dones(self, dones: list[Done]) -> None:
        for done in dones:
            try:
                done()
            except Exception as error:
                # One caller's defect must not keep the others from hearing of their commits.
                self._loop.call_exception_handler({"message": "a ledger callback failed", "exception": error})
