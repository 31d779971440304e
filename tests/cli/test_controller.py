"""A real controller in a process of its own, without agents: first start, kill, next start, orderly end."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bilocate.cli import supervise
from bilocate.cli.client import Client
from bilocate.cli.credentials import find_credentials
from bilocate.cli.errors import CliError, OutOfReach
from bilocate.cli.installation import api_address, configure
from bilocate.cli.layout import CONTROLLER, Layout


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    made = Layout.of(tmp_path)
    configure(made, None, None)
    yield made
    made.daemon(CONTROLLER).kill()


def start(layout: Layout) -> None:
    """Start it, and come back when its database answers."""
    daemon = layout.daemon(CONTROLLER)
    daemon.start()

    def problem() -> str:
        try:
            return "" if httpx.get(f"{api_address(layout)}/readyz?only=database").is_success else "not ready"
        except httpx.TransportError:
            return "does not answer"

    supervise._await(problem, [daemon], 30.0)


def test_it_starts_ends_and_finds_everything_as_it_was(layout: Layout) -> None:
    start(layout)
    openrc = layout.openrc.read_text()
    secret = [layout.openrc, layout.root / "controller.db", layout.root / "controller.db-wal"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in secret)
    with Client(find_credentials(layout.root)) as client:
        assert client.groups() == []
        # Agents that are not there are told as what they are, and refuse what needs them.
        ready, told = client.ready()
        assert not ready
        assert "can't be reached" in told["agents"]["az1"]
        with pytest.raises(OutOfReach, match="az1"):
            client.create_volume("v", 1, "az1")
        assert layout.daemon(CONTROLLER).kill() is True
        start(layout)
        assert client.volumes() == []
    assert layout.daemon(CONTROLLER).stop() is True
    assert layout.openrc.read_text() == openrc
    log = layout.daemon(CONTROLLER).log_file.read_text()
    assert "controller_stopping" in log
    password = find_credentials(layout.root).password
    assert password not in log


def test_a_port_that_is_taken_is_told_and_nothing_was_begun(layout: Layout) -> None:
    daemon = layout.daemon(CONTROLLER)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(api_address(layout).rsplit(":", 1)[1])))
        taken.listen()
        daemon.start()
        with pytest.raises(CliError, match="has ended") as told:
            supervise._await(lambda: "is waited for", [daemon], 30.0)
    assert "address already in use" in str(told.value).lower()
    assert not (layout.root / "controller.db").exists()
