"""Requests that nobody thought of: schemathesis makes them from the OpenAPI document, and sends them to a real server.

Every answer must be one that the document tells of, of that shape and type; none may be a 500; what the document
forbids must be refused. Things that were made are followed by the document's links.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.api.harness import CONTROL_TOKEN, Api, config_in, open_api
from tests.api.managing import Manager
from tests.operations.fake_agent import FakeWorld

from bilocate.api.server import ApiServer, bind
from bilocate.config import ApiLimits, ApiListener
from bilocate.operations.agents import AgentClient
from bilocate.operations.settings import settings_of
from bilocate.store.database import Database
from bilocate.store.journal_models import Operation

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]
LONG = os.environ.get("BILOCATE_LONG") == "1"
ROOT = Path(__file__).parents[2]
# Not use_after_free: a deletion is accepted (202), and until it is done the thing is there, in the status `deleting`.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance"
)
CONFIG = """
hooks = "tests.api.schemathesis_hooks"
headers = {{ X-Auth-Token = "{token}", OpenStack-API-Version = "volume 3.44" }}

[parameters]
"path.project_id" = "{project}"

# Whoever asks must not be locked out by what it asks.
[[operations]]
include-operation-id = ["updateUser", "deleteUser", "changePassword"]
parameters = {{ "path.id" = "{user}" }}

[[operations]]
include-operation-id = ["takeRoleOnProject", "takeRoleOnDomain"]
parameters = {{ "path.user_id" = "{user}" }}

[[operations]]
include-operation-id = ["updateProject", "deleteProject"]
parameters = {{ "path.id" = "{other}" }}

[[operations]]
include-operation-id = ["greet"]
headers = {{ Authorization = "Bearer {control}" }}

[phases.stateful.inference]
algorithms = []

[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "501"]
"""


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[tuple[Api, str]]:
    """The API behind its HTTP server, with two agents that are played; and its address."""
    config = config_in(directory, limits=ApiLimits(token_requests_per_second=0))
    database = Database(config.database_url)
    agents = AgentClient(settings_of(config, CONTROL_TOKEN), FakeWorld(database).transports())
    api = await open_api(config, database, agents)
    listener = ApiListener(host="127.0.0.1", port=0)
    bound = bind(listener)
    server = ApiServer(api.gate, listener, bound)
    await api.parts.operations.start()
    await server.start()
    try:
        yield api, f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        await server.stop(1)
        await api.parts.operations.stop()
        await api.close()


async def run(api: Api, url: str, directory: Path, *options: str) -> None:
    """:raises AssertionError: schemathesis has found something."""
    manager = Manager(api)
    user, other = await manager.made("user", name="someone"), await manager.made("project", name="some")
    config = directory / "schemathesis.toml"
    config.write_text(
        CONFIG.format(
            token=api.token, project=api.project_id, user=user["id"], other=other["id"], control=CONTROL_TOKEN
        )
    )
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", f"{url}/openapi.json", "--checks", CHECKS, "--no-color", "--continue-on-failure"),
        # An agent that knows a later epoch than the database seals it, as it should: all else would be refused then.
        *("--exclude-operation-id=askArbiter", *options),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=directory,
        # Its hooks are among the tests.
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert await manager.valid(api.token), "whoever asked was locked out"


async def test_each_rule_of_the_document_kept_and_broken(tmp_path: Path) -> None:
    phases = "coverage,fuzzing" if LONG else "coverage"
    async with served(tmp_path) as (api, url):
        await run(api, url, tmp_path, f"--phases={phases}", *bounded(16))


async def test_chains_of_calls(tmp_path: Path) -> None:
    """From what is there, and from what a chain has made, to everything that can be done with it."""
    tags = ["--include-tag=replication", *(["--include-tag=volumes"] if LONG else [])]
    async with served(tmp_path) as (api, url):
        await api.group([await api.pair()])
        for site in ("az1", "az2", "az1", "az2"):
            await api.volume(site)
        began = await _verbs(api)
        await run(api, url, tmp_path, "--phases=stateful", "--mode=positive", *tags, *bounded(10))
        verbs = await _verbs(api) - began
    if LONG:  # enough for chance to have come to each
        assert set(verbs) >= {"create_pair", "create_group", "create_volume"}, verbs
        assert set(verbs) & {"sync", "stop", "failover", "reverse", "reprotect"}, verbs


async def _verbs(api: Api) -> Counter[str]:
    """How many operations of each kind there were."""
    async with api.parts.database.reading() as db:
        return Counter(await db.scalars(select(Operation.verb)))


def bounded(seconds: int) -> list[str]:
    """For so long; in `make test` without what is served by the same handlers under another name."""
    if LONG:
        return ["--max-time=300"]
    return [f"--max-time={seconds}", "--exclude-operation-id-regex=V3$|V[23]Project"]
