"""A PostgreSQL server of its own for a test run, where the server's programs are installed."""

import contextlib
import os
import pwd
import shutil
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


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """A server on a unix socket; yields the socket's directory. It does not run as root: postgres refuses to."""
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
        data = f"{directory}/data"

        def run(*command: str) -> None:
            subprocess.run([*as_user, *command], check=True, capture_output=True, cwd=directory, timeout=60)

        run(f"{programs}/initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off -c max_connections=50"
        run(f"{programs}/pg_ctl", "-D", data, "-w", "-l", f"{directory}/log", "-o", options, "start")
        try:
            yield directory
        finally:
            run(f"{programs}/pg_ctl", "-D", data, "-m", "immediate", "stop")


def new_database(socket_directory: str, name: str) -> str:
    """The URL of a fresh, empty database."""
    with psycopg.connect(f"host={socket_directory} user=postgres dbname=postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql+psycopg://postgres@/{name}?host={socket_directory}"
