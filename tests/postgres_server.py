"""The programs of a PostgreSQL server, and one server's directory. Needs nothing of the tests'."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


class NoServer(Exception):
    """A server can't be run here; the message says why."""


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
def started_server() -> Iterator[Server]:
    """A server that runs, and may be stopped and started meanwhile.

    :raises NoServer: none is installed, or nobody is there to run it as.
    """
    programs = _bin_directory()
    if programs is None:
        raise NoServer("no PostgreSQL server is installed (initdb was not found)")
    as_user: list[str] = []
    # Not below anyone's own directory: only its owner may enter that.
    with tempfile.TemporaryDirectory(prefix="bl-pg-") as directory:
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                raise NoServer("run as root, and there is no user postgres to run a server as") from None
            os.chown(directory, user.pw_uid, user.pw_gid)
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        server = Server(programs, directory, as_user)
        server.make()
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):  # it was stopped
                server.stop()
