"""A fake API for the commands to talk to, and a way to run them as a person would."""

from collections.abc import Callable, Iterator

import pytest
from tests.cli.fake_api import PASSWORD, PROJECT, FakeApi, serve
from typer.testing import CliRunner, Result

from bilocate.cli.main import app

Run = Callable[..., Result]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """A served fake API; the environment holds credentials for it."""
    fake = FakeApi()
    server = serve(fake)
    environment = {
        "OS_AUTH_URL": f"{fake.url}/identity/v3",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": PASSWORD,
        "OS_PROJECT_ID": PROJECT,
        "OS_PROJECT_NAME": "admin",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def run() -> Run:
    """Run `bilocate` with these words; `stdin` answers its questions."""
    runner = CliRunner()

    def invoke(*words: str, stdin: str = "") -> Result:
        # Wide, so that no sentence a test looks for is broken over two lines.
        return runner.invoke(app, list(words), input=stdin, env={"COLUMNS": "200", "TERM": "dumb"})

    return invoke
