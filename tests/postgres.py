"""A PostgreSQL server of its own for a test run, where the server's programs are installed."""

import contextlib
from collections.abc import Iterator

import psycopg
import pytest
from tests.postgres_server import NoServer, Server, started_server


@contextlib.contextmanager
def own_server() -> Iterator[Server]:
    """A server that runs; a test may stop and start it."""
    with contextlib.ExitStack() as opened:
        try:
            server = opened.enter_context(started_server())
        except NoServer as reason:
            pytest.skip(str(reason))
        yield server


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
