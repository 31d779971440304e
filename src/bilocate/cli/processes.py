"""Daemons of this machine: start them detached, know whether they run, stop them; by pid file and pidfd.

A pid alone proves nothing, because the kernel gives it to another program once its process is gone. So a
process counts as ours only if its command line names our configuration file, and it is signalled through a
pidfd taken before that check: a pid reused in between can't be hit.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bilocate.cli.errors import CliError

STOP_SECONDS = 10.0  # what a process has for an orderly end before it is killed
EXEC_SECONDS = 0.5  # an exec takes less than a millisecond, even on a busy machine a few
KILL_SECONDS = 10.0  # the kernel needs milliseconds; more means a process stuck in the kernel


@dataclass(frozen=True)
class Daemon:
    """One process of an installation."""

    name: str
    kind: str  # the command that runs it: "controller" or "site"
    config: Path
    pid_file: Path
    log_file: Path

    @property
    def command(self) -> list[str]:
        """How it is started; -P keeps the current directory off the import path."""
        return [sys.executable, "-P", "-m", "bilocate.cli", self.kind, "--config", str(self.config)]

    def pid(self) -> int | None:
        """Its process id, or None when it does not run; a stale pid file counts as not running."""
        with self._handle() as handle:
            return handle[0] if handle else None

    def start(self) -> int:
        """Start it in a session of its own and write the pid file; the caller knows that it does not run."""
        self.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.pid_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env=_environment(),
            )
        finally:
            os.close(log)
        _write_whole(self.pid_file, f"{process.pid}\n")
        # This process forgets it without waiting for it: init takes daemons over when the command ends.
        process.returncode = 0
        return process.pid

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> bool:
        """SIGTERM, then SIGKILL if it does not end in time. False when it did not run."""
        with self._handle() as handle:
            if handle is not None:
                pid, pidfd = handle
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
                if not _ended(pid, pidfd, timeout_seconds):
                    self._kill(pid, pidfd)
        self.pid_file.unlink(missing_ok=True)
        return handle is not None

    def kill(self) -> bool:
        """SIGKILL, as a crash would. False when it did not run."""
        with self._handle() as handle:
            if handle is not None:
                self._kill(*handle)
        self.pid_file.unlink(missing_ok=True)
        return handle is not None

    def last_words(self, lines: int = 12) -> str:
        """The end of its log, for an error message."""
        try:
            text = self.log_file.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _kill(self, pid: int, pidfd: int) -> None:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if not _ended(pid, pidfd, KILL_SECONDS):
            raise CliError(
                f"{self.name} (pid {pid}) does not end after SIGKILL: it hangs in the kernel, see `dmesg`."
            )

    @contextlib.contextmanager
    def _handle(self) -> Iterator[tuple[int, int] | None]:
        """(pid, pidfd) of the running process, or None."""
        try:
            pid = int(self.pid_file.read_text())
            pidfd = os.pidfd_open(pid)
        except (OSError, ValueError):
            yield None
            return
        try:
            yield (pid, pidfd) if str(self.config) in _settled_command_line(pid, pidfd) else None
        finally:
            os.close(pidfd)


def command_line(pid: int) -> list[str]:
    """The arguments a process was started with; empty when it is gone or a zombie."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0")]


def _settled_command_line(pid: int, pidfd: int) -> list[str]:
    """As `command_line`, but a process in the middle of its exec, which shows none for a moment, is waited for."""
    give_up = time.monotonic() + EXEC_SECONDS
    while True:
        found = command_line(pid)
        if any(found) or time.monotonic() > give_up or _is_dead(pidfd, 0):
            return found
        time.sleep(0.001)


def _is_dead(pidfd: int, timeout_ms: int) -> bool:
    """Whether a process is dead, or dies in time; a zombie is dead."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_ms))


def _ended(pid: int, pidfd: int, timeout_seconds: float) -> bool:
    """Whether the process ends in time; a child of ours is also reaped."""
    give_up = time.monotonic() + timeout_seconds
    while not _is_dead(pidfd, max(0, int((give_up - time.monotonic()) * 1000))):
        if time.monotonic() >= give_up:
            return False
    with contextlib.suppress(ChildProcessError):  # one started by another command is reaped by init
        os.waitpid(pid, os.WNOHANG)
    return True


def _environment() -> dict[str, str]:
    """Ours, with import paths made absolute because daemons run in / ."""
    values = dict(os.environ)
    if "PYTHONPATH" in values:
        parts = values["PYTHONPATH"].split(os.pathsep)
        values["PYTHONPATH"] = os.pathsep.join(str(Path(part).resolve()) for part in parts if part)
    return values


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never half of it."""
    scratch = path.with_suffix(".new")
    scratch.write_text(text)
    scratch.replace(path)
