"""The agent as a process: its start, its refusals to start, SIGTERM and SIGKILL."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.site.agent.process import Process
from tests.site.agent.world import KEY, volume_body

from bilocate.config import control_token

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Process]:
    it = Process(tmp_path)
    yield it
    it.close()


async def test_it_serves_survives_a_kill_and_ends_in_order_when_told_to(site: Process) -> None:
    site.start()
    site.put("/v1/volumes/vol", volume_body(("secret-name",)))
    host = await site.connect("secret-name")
    await host.write(0, b"answered")
    code, _, _ = site.end(signal.SIGKILL)
    assert code == -signal.SIGKILL

    site.start()
    host = await site.connect("secret-name")
    assert await host.read(0, 8) == b"answered"
    await host.write(0, b"again")
    code, out, errors = site.end(signal.SIGTERM)
    assert (code, errors) == (0, "")
    assert "site_stopping" in out
    assert "secret-name" not in out
    assert control_token(KEY) not in out
    assert not list((site.directory / "state").glob("*-wal"))  # the ledger was closed
    assert (site.directory / "state" / "volumes" / "vol").read_bytes()[:8] == b"againred"


def test_a_wrong_setting_is_told_with_its_name(site: Process) -> None:
    site.configure("limit = 3")
    site.spawn()
    code, _, errors = site.outcome()
    assert code == 1
    assert "limit: is not a setting" in errors
    assert "Traceback" not in errors


def test_an_address_that_is_taken_is_told(site: Process) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        site.configure(f"[control]\nport = {port}")
        site.spawn()
        code, _, errors = site.outcome()
    assert code == 1
    assert f"can't listen on 127.0.0.1:{port}" in errors
    assert "Traceback" not in errors


def test_a_state_directory_of_another_agent_is_refused(site: Process) -> None:
    site.start()
    first = site.process
    site.configure()
    site.spawn()
    code, _, errors = site.outcome()
    assert code == 1
    assert "held by another process" in errors
    assert first is not None
    assert first.poll() is None
    site.process = first
