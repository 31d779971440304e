"""A PostgreSQL server of its own for a test run, where the server's programs are installed."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest


def _bin_directory() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3])
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


class Server:
    """A server's programs and its directory. It does not run as root: postgres refuses to."""

    def __init__(self, programs: Path, directory: str, as_user: list[str]) -> None:
        self.directory = directory
        self._programs, self._as_user = programs, as_user
        self._data = f"{directory}/data"

    def make(self) -> None:
        """An empty cluster."""
        options = ("-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8")
        self._run(f"{self._programs}/initdb", "-D", self._data, *options)

    def start(self) -> None:
        """Comes back when it takes connections, on a unix socket in its directory."""
        place = f"-c listen_addresses='' -c unix_socket_directories={self.directory}"
        options = f"{place} -c fsync=off -c max_connections=80"
        self._control("-w", "-l", f"{self.directory}/log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is a crash, `fast` ends all sessions in order."""
        self._control("-m", mode, "stop")

    def freeze(self) -> None:
        """All its processes live and do nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """They go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        first = Path(f"{self._data}/postmaster.pid").read_text().split()[0]
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for pid in (first, *children):
            os.kill(int(pid), number)

    def _control(self, *words: str) -> None:
        self._run(f"{self._programs}/pg_ctl", "-D", self._data, *words)

    def _run(self, *command: str) -> None:
        subprocess.run(
            [*self._as_user, *command], check=True, capture_output=True, cwd=self.directory, timeout=60
        )


@contextlib.contextmanager
def own_server() -> Iterator[Server]:
    """A server that runs; a test may stop and start it."""
    programs = _bin_directory()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (initdb was not found)")
    as_user: list[str] = []
    # Not below pytest's own directory: only its owner may enter that.
    with tempfile.TemporaryDirectory(prefix="bl-pg-") as directory:
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("run as root, and there is no user postgres to run a server as")
            os.chown(directory, user.pw_uid, user.pw_gid)
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        server = Server(programs, directory, as_user)
        server.make()
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):  # the test has stopped it
                server.stop()


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """A server on a unix socket; yields the socket's directory."""
    with own_server() as server:
        yield server.directory


def new_database(socket_directory: str, name: str) -> str:
    """The URL of a fresh, empty database."""
    with psycopg.connect(f"host={socket_directory} user=postgres dbname=postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql+psycopg://postgres@/{name}?host={socket_directory}"
