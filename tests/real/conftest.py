"""Real installations for tests, and what their processes said when a test fails."""

import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.databases import postgresql_server  # noqa: F401  # a fixture
from tests.postgres import new_database
from tests.real.harness.cluster import Cluster
from tests.real.harness.host import Host
from tests.real.harness.installation import Installation

LOG_LINES = 60
NOISE = {"request_id", "level", "user_id", "token_project_id", "milliseconds", "audit", "logger"}
PHASES_PER_HOST = 20  # a third of a volume each, so that several hosts can write and all can be checked
# The lengths that the acceptance names, where shorter ones show the same.
LONG = os.environ.get("BILOCATE_LONG") == "1"

MakeInstallation = Callable[..., Installation]
MakeCluster = Callable[..., Cluster]
MakeHost = Callable[..., Host]
Tell = Callable[..., None]

_running: pytest.StashKey[list[Installation]] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """The ends of all logs go with a failure."""
    report = yield
    if report.failed and report.when in ("setup", "call"):
        for installation in item.stash.get(_running, []):
            for name in installation.names:
                report.sections.append((f"log of {name}", _told_briefly(installation.log(name))))
    return report


def _told_briefly(log: str) -> str:
    """The last lines of a log, without the requests that only looked, each as short as can be."""
    lines = []
    for line in log.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            lines.append(line)
            continue
        if told.get("event") == "request" and told.get("method") == "GET" and told.get("status") == 200:
            continue
        at, event = str(told.pop("timestamp", ""))[11:23], told.pop("event", "")
        rest = {key: value for key, value in told.items() if key not in NOISE}
        lines.append(f"{at} {event} " + " ".join(f"{key}={value}" for key, value in rest.items()))
    return "\n".join(lines[-LOG_LINES:])


@pytest.fixture
def make_installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeInstallation]:
    """Makes installations, and ends them with the test."""
    made: list[Installation] = []
    request.node.stash[_running] = made

    def make(
        wired: bool = False, settings: Mapping[str, str] | None = None, up: bool = True, agents: int = 1
    ) -> Installation:
        installation = Installation(tmp_path / f"installation{len(made)}", wired, settings, agents)
        made.append(installation)
        if up:
            installation.up()
        return installation

    yield make
    for installation in made:
        installation.end()


@pytest.fixture
def make_cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeCluster]:
    """Makes installations with several controllers on one PostgreSQL, and ends them with the test."""
    made: list[Installation] = []
    request.node.stash[_running] = made

    def make(controllers: int = 2) -> Cluster:
        name = f"cluster_{os.urandom(4).hex()}"
        server = str(request.getfixturevalue("postgresql_server"))
        cluster = Cluster(tmp_path / name, new_database(server, name), controllers)
        made.append(cluster)
        cluster.up()
        return cluster

    yield make
    for cluster in made:
        cluster.end()


@pytest.fixture
def installation(make_installation: MakeInstallation) -> Installation:
    """A controller and two agents that run."""
    return make_installation()


@pytest.fixture
def wired(make_installation: MakeInstallation) -> Installation:
    """The same, with wires between them that can be cut."""
    return make_installation(wired=True)


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[MakeHost]:
    """Makes hosts, and ends them with the test."""
    made: list[Host] = []

    def make() -> Host:
        host = Host(tmp_path, f"host{len(made)}", first_phase=1 + len(made) * PHASES_PER_HOST)
        made.append(host)
        return host

    yield make
    for host in made:
        host.quit()


@pytest.fixture
def host(make_host: MakeHost) -> Host:
    """One host."""
    return make_host()


@pytest.fixture
def tell(
    record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> Callable[..., None]:
    """Measured figures: in the report and on the screen."""

    def told(**figures: float) -> None:
        for name, value in figures.items():
            record_property(name, value)
            with capsys.disabled():
                print(f"\n    {name} = {value:.4g}", end="", flush=True)

    return told
