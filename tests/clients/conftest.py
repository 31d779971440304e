"""One installation for all published clients, and a way to run them as their users do."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.clients.environment import clients_environment
from tests.real.harness.installation import Installation
from tests.real.harness.waiting import wait_for

from bilocate.cli.credentials import read_openrc

CLIENT_SECONDS = 60
OPENSTACK_SERVER = Path(__file__).with_name("openstack_server.py")


@dataclass(frozen=True)
class Shell:
    """Runs a client's program with the first admin's openrc in its environment."""

    installation: Installation
    programs: Path
    home: Path

    @property
    def openrc(self) -> dict[str, str]:
        """The first admin's credentials."""
        return read_openrc(self.installation.layout.root / "openrc")

    @property
    def environment(self) -> dict[str, str]:
        """What the programs see: nothing of this process's own credentials and paths."""
        mine = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" and key[:3] != "OS_"}
        return mine | self.openrc | {"HOME": str(self.home), "COLUMNS": "200"}

    def run(self, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """One command, whatever its end."""
        program, *rest = words
        return subprocess.run(
            [self.programs / program, *rest],
            env=self.environment | (environment or {}),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS,
            stdin=subprocess.DEVNULL,
        )

    def start(self, program: str, *words: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
        """A program that stays, to be spoken to over its standard input and output."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [self.programs / program, *words],
            env=environment,
            cwd=self.home,
            stdin=pipe,
            stdout=pipe,
            text=True,
        )

    def text(self, *words: str) -> str:
        """What a command that must succeed has printed."""
        done = self.run(*words)
        assert done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-3000:]}"
        return done.stdout

    def json(self, *words: str) -> Any:
        """The same, as the client's JSON."""
        return json.loads(self.text("openstack", *words, "-f", "json"))

    def table(self, *words: str) -> dict[str, list[str]]:
        """What the cinder client, which knows no JSON, shows: rows by what stands first in them."""
        lines = [line for line in self.text("cinder", *words).splitlines() if line.startswith("| ")]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        return {row[0]: row[1:] for row in rows}

    def settled(self, volume_id: str, status: str = "available", size: int = 0) -> None:
        """Wait until a volume is so, asking by our own client: each of theirs takes a second."""

        def fits() -> bool:
            seen = self.installation.client.volume(volume_id)
            return seen.status == status and seen.size == (size or seen.size)

        wait_for(f"status {status} of {volume_id}", fits)


@dataclass(frozen=True)
class Openstack:
    """The `openstack` command, in a process that stays: of the second that each one takes, nine tenths are imports."""

    process: "subprocess.Popen[str]"

    def run(self, *words: str) -> dict[str, Any]:
        """One command, whatever its end: `code`, `out` and `err`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(words), file=self.process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def text(self, *words: str) -> str:
        """What a command that must succeed has printed."""
        done = self.run(*words)
        assert done["code"] == 0, f"{' '.join(words)}: {done['err'][-3000:]}"
        return str(done["out"])

    def json(self, *words: str) -> Any:
        """The same, as JSON."""
        return json.loads(self.text(*words, "-f", "json"))

    def refusal(self, *words: str) -> str:
        """What a command that must fail says."""
        done = self.run(*words)
        assert done["code"] not in (0, None), done["out"]
        return str(done["err"])


@pytest.fixture(scope="session")
def clients() -> Path:
    """The directory of the environment that has the clients."""
    return clients_environment()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A controller and two agents, for all tests of clients."""
    made = Installation(tmp_path_factory.mktemp("installation"))
    try:
        made.up()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="session")
def shell(installation: Installation, clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(installation, clients / "bin", tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def openstack(shell: Shell) -> Iterator[Openstack]:
    # By a token, for each command logs in anew, and passwords are slow on purpose.
    token = shell.json("token", "issue")["id"]
    others = {key: value for key, value in shell.environment.items() if key[:7] not in ("OS_USER", "OS_PASS")}
    environment = others | {"OS_AUTH_TYPE": "v3token", "OS_TOKEN": token}
    with shell.start("python", str(OPENSTACK_SERVER), environment=environment) as process:
        yield Openstack(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
