"""Devices and files of others as volumes: only what a setting names, never made, zeroed or removed."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.site.agent.pairs import put_both
from tests.site.agent.world import MIB, Controller, Site, volume_body
from tests.site.disks.conftest import loop_device

__all__ = ["loop_device"]
pytestmark = pytest.mark.anyio

SIZE = 8 * MIB


def adopt_body(source: Path, **more: Any) -> dict[str, Any]:
    return {**volume_body(("name",), size_bytes=SIZE), "source": str(source), **more}


async def allow(site: Site, *places: Path) -> None:
    site.config = replace(site.config, adopt_from=places)
    await site.restart()


def a_file(directory: Path, name: str = "theirs.raw", size: int = SIZE) -> tuple[Path, bytes]:
    directory.mkdir(exist_ok=True)
    file, content = directory / name, os.urandom(size)
    file.write_bytes(content)
    return file, content


async def refused(site: Site, source: Path | str, code: str) -> None:
    """Both ways."""
    assert await site.refused("POST", "/v1/inspect", {"source": str(source)}) == (409, code)
    status, _ = await site.refused("PUT", "/v1/volumes/vol", adopt_body(Path(source)))
    assert status == 409
    assert "vol" not in (await site.ask("GET", "/v1/status"))["volumes"]


async def test_nothing_is_adopted_unless_a_setting_names_it(az1: Site, tmp_path: Path) -> None:
    file, content = a_file(tmp_path / "disks")
    await refused(az1, file, "not_adoptable")
    await allow(az1, tmp_path / "others")
    await refused(az1, file, "not_adoptable")
    assert file.read_bytes() == content


async def test_what_leads_out_of_an_allowed_place_is_refused(az1: Site, tmp_path: Path) -> None:
    outside, _ = a_file(tmp_path / "outside")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "directory").mkdir()
    (inside / "gone").symlink_to(tmp_path / "nowhere")
    await allow(az1, inside, tmp_path / "az1")
    own = az1.file("own")
    await az1.put_volume("own")
    names = ("link", "directory", "gone", "../outside/theirs.raw", "nothing")
    others: list[Path | str] = ["inside/link", own, tmp_path / "az1" / "ledger.db"]
    for source in (*(inside / name for name in names), *others):
        await refused(az1, source, "not_adoptable")


async def adopted(site: Site, source: Path, content: bytes) -> None:
    """It is served with its content, survives a restart, and stays as it is when the volume goes."""
    assert await site.ask("POST", "/v1/inspect", {"source": str(source)}) == {"size_bytes": SIZE}
    told = await site.ask("PUT", "/v1/volumes/vol", adopt_body(source))
    assert (told["size_bytes"], told["present"], told["blank"]) == (SIZE, True, False)
    host = await site.connect("name")
    assert host.size_bytes == SIZE
    assert await host.read(0, SIZE) == content
    await host.write(4096, b"written by a host")
    await host.flush()
    await host.close()
    await site.restart()
    host = await site.connect("name")
    assert await host.read(4096, 17) == b"written by a host"
    await host.close()
    # The same a second time, while the first has it.
    await refused_in_use(site, source)
    assert not site.file("vol").exists()
    await site.ask("DELETE", "/v1/volumes/vol")
    now = source.read_bytes()
    assert now == content[:4096] + b"written by a host" + content[4096 + 17 :]
    assert (await site.ask("PUT", "/v1/volumes/again", adopt_body(source)))["present"]


async def refused_in_use(site: Site, source: Path) -> None:
    assert await site.refused("POST", "/v1/inspect", {"source": str(source)}) == (409, "in_use")
    body = {**adopt_body(source), "exports": []}
    assert await site.refused("PUT", "/v1/volumes/second", body) == (409, "volume_unusable")


async def test_a_file_is_adopted_and_given_back(az1: Site, tmp_path: Path) -> None:
    file, content = a_file(tmp_path / "disks")
    mode = file.stat().st_mode
    await allow(az1, tmp_path / "disks")
    await adopted(az1, file, content)
    assert file.stat().st_mode == mode
    # By another name it is the same file.
    os.link(file, file.with_name("hard-link.raw"))
    await refused_in_use(az1, file.with_name("hard-link.raw"))


@pytest.mark.root
async def test_a_device_is_adopted_by_a_name_that_leads_to_it(
    az1: Site, tmp_path: Path, loop_device: Path
) -> None:
    content = os.urandom(SIZE)
    loop_device.write_bytes(content)
    names = tmp_path / "by-id"
    names.mkdir()
    (names / "disk-1").symlink_to(loop_device)
    await allow(az1, names)
    await refused(az1, loop_device, "not_adoptable")  # by its own name it was not named
    await adopted(az1, names / "disk-1", content)


async def test_a_size_that_is_another_and_a_file_that_is_gone(az1: Site, tmp_path: Path) -> None:
    file, content = a_file(tmp_path / "disks")
    await allow(az1, tmp_path / "disks")
    body = adopt_body(file, size_bytes=SIZE + MIB)
    assert await az1.refused("PUT", "/v1/volumes/vol", body) == (409, "volume_unusable")
    assert file.read_bytes() == content
    await az1.ask("PUT", "/v1/volumes/vol", adopt_body(file))
    away = file.rename(file.with_name("away"))
    await az1.restart()
    told = await az1.volume("vol")
    assert not told["present"]
    assert not file.exists()  # never made
    away.rename(file)
    # Taken out of the setting it is not opened any more.
    await allow(az1)
    assert "adopt_from" in (await az1.volume("vol"))["error"]


async def test_an_adopted_volume_is_replicated_whole_and_grows_in_no_pair(
    az1: Site, az2: Site, controller: Controller, tmp_path: Path
) -> None:
    file, content = a_file(tmp_path / "disks")
    await allow(az1, tmp_path / "disks")
    await az1.ask("PUT", "/v1/volumes/p0", adopt_body(file))
    await az2.put_volume("s0")
    controller.make_row("ses")
    await put_both(az1, az2, "az1", 1)
    await az1.until_session("ses", lambda told: told["in_step"])
    assert az2.bytes_at("s0", 0, SIZE) == content
    body = adopt_body(file, size_bytes=2 * SIZE, session_id="ses")
    assert await az1.refused("PUT", "/v1/volumes/p0", body) == (409, "volume_unusable")
    assert file.stat().st_size == SIZE
