"""A server for each test, and the target behind it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.site.nbd.memory import MemoryTarget, OneExport
from tests.site.nbd.running import RunningServer

from bilocate.site.nbd import Limits

Serve = Callable[..., RunningServer]


@pytest.fixture
def target() -> MemoryTarget:
    return MemoryTarget()


@pytest.fixture
def source(target: MemoryTarget) -> OneExport:
    return OneExport(target)


@pytest.fixture
def serve(tmp_path: Path, source: OneExport) -> Iterator[Serve]:
    """`serve(limits, uvloop_used)` starts a server; it is stopped behind the test."""
    servers: list[RunningServer] = []

    def start(limits: Limits | None = None, uvloop_used: bool = True) -> RunningServer:
        path = tmp_path / f"nbd{len(servers)}.sock"
        servers.append(RunningServer(path, lambda: source, limits or Limits(), uvloop_used))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(serve: Serve) -> RunningServer:
    return serve()
