"""A real Keystone behind https with a CA of one's own: whoever that CA does not vouch for is told no token."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.keystone.people import PASSWORD, People
from tests.keystone.server import KeystoneServer
from tests.real.harness.certificates import Authority

from bilocate.api.context import Caller
from bilocate.api.identity.keystone import Keystone, KeystoneUnavailable
from bilocate.config import KeystoneSettings


async def ask(settings: KeystoneSettings, token: str) -> Caller | None:
    keystone = Keystone(settings)
    try:
        return await keystone.caller(token)
    finally:
        await keystone.close()


def test_only_the_configured_ca_is_trusted(keystone: KeystoneServer, people: People, tmp_path: Path) -> None:
    password, token = tmp_path / "password", people.token("alice", "red")
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    mine, strange = Authority.new(tmp_path, "mine"), Authority.new(tmp_path, "strange")
    server = keystone.over_tls(tmp_path, mine)
    server.start()
    settings = KeystoneSettings(server.url, password, ca_file=mine.file, timeout_seconds=30)
    try:
        with pytest.raises(KeystoneUnavailable):
            asyncio.run(ask(replace(settings, ca_file=strange.file), token))
        found = asyncio.run(ask(settings, token))
        assert found is not None
        assert (found.user_name, found.project_id) == ("alice", people.project("red"))
    finally:
        server.stop()
