"""One Keystone, and one installation whose callers it knows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.keystone.people import PASSWORD, People
from tests.keystone.server import KeystoneServer, keystone_environment
from tests.real.harness.installation import Installation
from typer.testing import CliRunner

from bilocate.cli.client import Client
from bilocate.cli.credentials import Credentials
from bilocate.cli.main import app

CACHE_SECONDS = 1.0
TIMEOUT_SECONDS = 4.0


@dataclass(frozen=True)
class World:
    """A Keystone with its people, and the installation."""

    keystone: KeystoneServer
    people: People
    installation: Installation

    def ask(self, method: str, path: str, token: str, body: object = None) -> httpx.Response:
        """A call to the controller."""
        url, headers = f"{self.installation.api}/{path}", {"X-Auth-Token": token}
        return httpx.request(method, url, headers=headers, json=body, timeout=30, trust_env=False)

    def client(self, username: str, project: str) -> Client:
        """Our own client, as a user of the Keystone."""
        return Client(
            Credentials(self.keystone.url, username=username, password=PASSWORD, project_name=project)
        )

    def register(self) -> str:
        """What the command that makes the catalogue's entries prints."""
        openrc = self.keystone.openrc("admin", self.keystone.password, "admin")
        words = ["keystone", "register", "--url", self.installation.api]
        done = CliRunner(env=dict(openrc)).invoke(app, words)
        assert done.exit_code == 0, done.output
        return done.output


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeystoneServer]:
    server = KeystoneServer(tmp_path_factory.mktemp("keystone"), keystone_environment() / "bin")
    server.set_up()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def people(keystone: KeystoneServer) -> Iterator[People]:
    """Alice and Rita work in red, Bob in blue; the controller is a service."""
    people = People(keystone)
    people.user("bilocate", "service", "service")
    people.user("alice", "member", "red")
    people.user("rita", "reader", "red")
    people.user("bob", "member", "blue")
    yield people
    people.close()


@pytest.fixture(scope="session")
def world(
    keystone: KeystoneServer, people: People, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    root = tmp_path_factory.mktemp("installation")
    installation = Installation(root, settings={"controller": _settings(keystone, root)})
    try:
        installation.up()
        yield World(keystone, people, installation)
    finally:
        installation.end()


def _settings(keystone: KeystoneServer, root: Path) -> str:
    file = root / "keystone-password"
    file.touch(mode=0o600)
    file.write_text(PASSWORD)
    return f"""
[identity.keystone]
auth_url = "{keystone.url}"
password_file = "{file}"
cache_seconds = {CACHE_SECONDS}
timeout_seconds = {TIMEOUT_SECONDS}
"""
