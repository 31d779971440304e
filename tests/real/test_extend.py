"""A group grows while hosts write to it, also when an agent dies in the middle."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.real.harness.checker import check
from tests.real.harness.host import Host
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.protected import SIZE_GIB, Protected, protect
from tests.real.harness.waiting import wait_for

from bilocate.cli.errors import CliError
from bilocate.demo.nbd_client import NbdClient
from bilocate.domain.geometry import GIB

LARGER = SIZE_GIB + 2
MIB = 1024 * 1024


def in_the_new_part(uri: str, content: bytes | None = None) -> tuple[int, bytes]:
    """The size that a host sees there, and what it reads at the very end, after having written `content`."""

    async def run() -> tuple[int, bytes]:
        client = await NbdClient.connect(uri)
        try:
            at = client.size_bytes - MIB
            if content is not None:
                await client.write(at, content)
                await client.flush()
            return client.size_bytes, await client.read(at, MIB)
        finally:
            await client.close()

    return asyncio.run(run())


def extend(group: Protected) -> None:
    group.installation.client.extend_group(group.group_id, dict.fromkeys(group.pair_ids, LARGER))


def test_a_group_grows_under_writing_hosts_and_fails_over_with_its_new_part(
    installation: Installation, host: Host, tell: Callable[..., None]
) -> None:
    """Both sizes are there when the call is answered, nothing is compared anew, and after a failover the other
    site has what was written before, during and after it, in the old part and in the new one."""
    group = protect(installation)
    host.start(group.connect("az1"), records=300)
    before = group.half("az1")["last_resync"]
    called = time.monotonic()
    extend(group)
    tell(extension_seconds=time.monotonic() - called, longest_stall_seconds=host.longest_stall(called))
    assert group.sizes() == {LARGER}
    host.wait_acknowledged(300)
    content = os.urandom(MIB)
    (uri,) = group.connect("az1", count=1)
    assert in_the_new_part(uri) == (LARGER * GIB, bytes(MIB))
    assert in_the_new_part(uri, content) == (LARGER * GIB, content)
    seen = group.seen()
    assert (seen["status"], seen["replication_status"]) == ("available", "active"), group.words()
    assert group.half("az1")["last_resync"] == before
    installation.kill("az1")
    uris = group.fail_over("az2")
    host.connect(uris)
    host.wait_acknowledged(300)
    host.pause()
    check(host, group.files("az2"))
    assert in_the_new_part(uris[0]) == (LARGER * GIB, content)
    installation.start("az1")
    group.reprotect()
    group.assert_equal()


@pytest.mark.parametrize("site", SITES)
def test_an_agent_is_killed_while_the_group_grows(installation: Installation, host: Host, site: str) -> None:
    """Whatever of it had happened: the call is answered with success or not, it can be repeated, hosts lose nothing."""
    group = protect(installation)
    host.start(group.connect("az1"), records=300)
    outcome: list[Any] = []

    def call() -> None:
        try:
            extend(group)
            outcome.append("done")
        except CliError as error:
            outcome.append(error)

    calling = threading.Thread(target=call)
    calling.start()
    wait_for("growing disk", lambda: group.files(site)[0].stat().st_size > SIZE_GIB * GIB, look_seconds=0.001)
    installation.kill(site)
    calling.join()
    assert outcome
    installation.start(site)
    group.wait_in_step()

    def grown() -> bool:
        if group.sizes() != {LARGER} and outcome != ["done"]:
            try:
                extend(group)
            except CliError:
                return False
        return group.sizes() == {LARGER}

    wait_for("grown group", grown, seen=lambda: f"{outcome} {group.sizes()} {group.words()}")
    uris = group.connect("az1")
    content = os.urandom(MIB)
    assert in_the_new_part(uris[1], content) == (LARGER * GIB, content)
    host.connect(uris)
    host.wait_acknowledged(300)
    host.pause()
    group.wait_in_step()
    for each in SITES:
        check(host, group.files(each))
    group.assert_equal()
