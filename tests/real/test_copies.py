"""Volumes that are copied while a host writes to them, the agent or the controller being killed in the middle."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.real.harness.installation import Installation
from tests.real.harness.protected import protect, wait_available
from tests.real.harness.waiting import wait_for

from bilocate.demo.nbd_client import NbdClient, NbdGone

MIB = 1024 * 1024
FIRST, SECOND = 0, 900 * MIB  # a counter is written here, and when that is answered there
LONG_COPY_MIB = 256  # so that a copy takes its time


class Counting:
    """A host that writes rising numbers at two places, and between them all over the volume."""

    def __init__(self, uri: str, filled_mib: int = 32) -> None:
        self.number = 0
        self._filled_mib = filled_mib
        self._uri = uri
        self._stopping = False

    @contextmanager
    def running(self) -> Iterator["Counting"]:
        """Until the block ends, or the agent goes away."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        thread.start()
        try:
            wait_for("host's writes", lambda: self.number > 3)
            yield self
        finally:
            self._stopping = True
            thread.join()

    async def _run(self) -> None:
        client = await NbdClient.connect(self._uri)
        try:
            for at in range(1, self._filled_mib):
                await client.write(at * MIB, os.urandom(MIB))
            while not self._stopping:
                number = self.number + 1
                for place in (FIRST, SECOND):
                    await client.write(place, number.to_bytes(8, "big") * 512)
                await client.write(number * 7 % (self._filled_mib - 1) * MIB + MIB, os.urandom(128 * 1024))
                self.number = number
        except NbdGone:
            pass
        finally:
            await client.close()

    def check(self, file: Path, since: int) -> None:
        """One moment, not before `since` was written at both places: the second is never newer than the first."""
        with file.open("rb") as opened:
            numbers = []
            for place in (FIRST, SECOND):
                opened.seek(place)
                content = opened.read(4096)
                assert content == content[:8] * 512, "half a write"
                numbers.append(int.from_bytes(content[:8], "big"))
        first, second = numbers
        assert since <= second <= first <= second + 1


def test_both_volumes_of_a_pair_are_copied_under_a_writing_host(installation: Installation) -> None:
    group = protect(installation)
    client = installation.client
    with Counting(group.connect("az1", count=1)[0]).running() as host:
        for site, volume in group.volumes[0].items():
            since = host.number
            copy = client.copy_volume(f"copy at {site}", volume["id"], 2)
            wait_available("copy", partial(client.volume, copy["id"]))
            file = installation.volume_file(site, copy["id"])
            host.check(file, since)
            assert file.stat().st_size == 2 * 1024 * MIB
    group.wait_in_step()
    group.assert_equal()


@pytest.mark.slow  # its samples: a killed agent in tests/site/agent, a killed controller in tests/operations
@pytest.mark.parametrize("killed", ["az1", "controller"])
def test_a_copy_gets_to_its_end_although_a_process_is_killed(installation: Installation, killed: str) -> None:
    client = installation.client
    made = client.create_volume("source", 1, "az1")
    wait_available("volume", lambda: client.volume(made["id"]))
    uri = client.connect_volume(made["id"], "host")["data"]["uri"]
    with Counting(uri, LONG_COPY_MIB).running() as host:
        since = host.number
        copy = client.copy_volume("copy", made["id"])
        file = installation.volume_file("az1", made["id"]).with_name(copy["id"])
        unfinished = file.with_name(f".copy-{copy['id']}")
        wait_for("beginning of the copy", unfinished.exists, look_seconds=0.001)
        installation.kill(killed)
        if killed == "az1":
            assert unfinished.exists() or file.exists()
        installation.start(killed)
        wait_available("copy", lambda: installation.client.volume(copy["id"]))
        host.check(file, since)
    assert not list(file.parent.glob(".copy-*"))
    installation.client.delete_volume(copy["id"])
    wait_for("end of the copy", lambda: not file.exists())
