"""GROWTH at the agents: a disk makes room first, the size counts once the session says so, the secondary's first."""

import os
from typing import Any

import pytest
from tests.site.agent.pairs import pair_up
from tests.site.agent.world import MIB, Controller, Site, session_body, volume_body

pytestmark = pytest.mark.anyio

OLD, NEW = 8 * MIB, 16 * MIB


def larger(peer: Site, role: str, volume: str, revision: int) -> dict[str, Any]:
    body = session_body(peer, role, (volume,), revision=revision)
    body["members"][0]["size_bytes"] = NEW
    return body


async def make_room(site: Site, volume: str) -> None:
    await site.put_volume(volume, (f"at-{volume}",), session_id="ses", size_bytes=NEW)


async def test_a_volume_grows_in_its_session_under_a_connected_host(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    before = (await az1.session("ses"))["last_resync"]
    for site, volume in ((az2, "s0"), (az1, "p0")):
        await make_room(site, volume)
        assert (await site.volume(volume))["size_bytes"] == OLD
        assert site.file(volume).stat().st_size == NEW
    content = os.urandom(MIB)
    await host.write(OLD - MIB, content)
    await az2.put_session("ses", larger(az1, "secondary", "s0", 2))
    await host.write(0, content)
    await az1.put_session("ses", larger(az2, "primary", "p0", 2))
    assert (await az1.volume("p0"))["size_bytes"] == (await az2.volume("s0"))["size_bytes"] == NEW
    assert (
        host.size_bytes == OLD
    )  # what it was told when it connected; what it asks beyond is taken all the same
    await host.write(NEW - 3 * MIB, content)
    assert az2.bytes_at("s0", NEW - 3 * MIB, MIB) == content
    again = await az1.connect("at-p0")
    assert again.size_bytes == NEW
    assert await again.read(NEW - MIB, MIB) == bytes(MIB)
    await again.write(NEW - MIB, content)
    await again.flush()
    for offset in (0, OLD - MIB, NEW - MIB):
        assert az2.bytes_at("s0", offset, MIB) == content
    told = await az1.session("ses")
    assert told["in_step"]
    assert told["last_resync"] == before  # nothing was compared anew
    await host.close()
    await again.close()


async def test_grown_sizes_are_kept_over_restarts_of_both_sites(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    await host.close()
    await az2.put_session("ses", larger(az1, "secondary", "s0", 2))  # makes its room itself
    await az2.restart()
    await az1.until_session("ses", lambda told: told["in_step"])  # with a smaller primary
    await az1.put_session("ses", larger(az2, "primary", "p0", 2))
    await az1.restart()
    await az1.until_session("ses", lambda told: told["in_step"])
    host = await az1.connect_soon("at-p0")
    assert host.size_bytes == NEW
    await host.write(NEW - 512, b"end" + bytes(509))
    await host.close()
    assert az2.bytes_at("s0", NEW - 512, 3) == b"end"


async def test_what_a_file_has_beyond_its_volume_is_zeros_when_the_volume_grows(
    az1: Site, az2: Site, controller: Controller
) -> None:
    """A file may be longer than its volume: in a replicated one both sites must read the same there."""
    (host,) = await pair_up(az1, az2, controller)
    await host.close()
    with az2.file("s0").open("r+b") as file:
        file.seek(OLD)
        file.write(b"of an earlier life" * 1000)
    await az2.restart()
    await make_room(az2, "s0")
    assert az2.bytes_at("s0", OLD, MIB) == bytes(MIB)


async def test_a_disk_that_has_no_room_is_told_and_nothing_has_changed(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    az2.fail("flush", "ENOSPC")
    body = volume_body(("at-s0",), session_id="ses", size_bytes=NEW)
    assert await az2.refused("PUT", "/v1/volumes/s0", body) == (409, "volume_unusable")
    body = larger(az1, "secondary", "s0", 2)
    assert await az2.refused("PUT", "/v1/sessions/ses", body) == (409, "volume_unusable")
    assert (await az2.volume("s0"))["size_bytes"] == OLD
    assert (await az2.session("ses"))["revision"] == 1
    await host.close()


async def test_a_volume_grows_in_no_other_session_than_the_one_that_is_named(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    for named in ("other", None):
        body = volume_body(("at-p0",), session_id=named, size_bytes=NEW)
        assert await az1.refused("PUT", "/v1/volumes/p0", body) == (409, "in_session")
    assert await az1.refused("PUT", "/v1/sessions/ses", _smaller(az2)) == (400, "malformed")
    assert (await az1.volume("p0"))["size_bytes"] == OLD
    await host.close()


async def test_GROWTH_a_copy_without_a_past_has_the_size_that_its_session_says(
    az1: Site, az2: Site, controller: Controller
) -> None:
    """az2 lost its ledger while an extension was making room, and that extension was undone: what az2 was told first
    is larger than what its session is to be."""
    (host,) = await pair_up(az1, az2, controller)
    await make_room(az2, "s0")
    await az2.stop()
    for file in az2.state_dir.glob("ledger.db*"):
        file.unlink()
    await az2.start()
    await az2.put_volume("s0", create=False, session_id="ses", size_bytes=NEW)
    await az2.put_session("ses", session_body(az1, "secondary", ("s0",), revision=2))
    assert (await az2.volume("s0"))["size_bytes"] == OLD
    await az1.until_session("ses", lambda told: told["in_step"])
    await host.close()


def _smaller(peer: Site) -> dict[str, Any]:
    body = session_body(peer, "primary", ("p0",), revision=2)
    body["members"][0]["size_bytes"] = OLD - MIB
    return body
