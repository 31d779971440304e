"""A file of somebody's is adopted, replicated, failed over, and still there when its volume is gone."""

import os
from pathlib import Path

from tests.real.conftest import MakeInstallation
from tests.real.harness.images import assert_equal
from tests.real.harness.installation import Installation
from tests.real.harness.protected import Protected, wait_available
from tests.real.harness.waiting import wait_for

from bilocate.cli.errors import NotFound
from bilocate.domain.geometry import GIB

MIB = 1024 * 1024


def somebodys_file(directory: Path) -> tuple[Path, bytes]:
    """1 GiB with something at its beginning and its end."""
    directory.mkdir()
    file, content = directory / "theirs.raw", os.urandom(MIB)
    with file.open("wb") as opened:
        opened.write(content)
        opened.seek(GIB - MIB)
        opened.write(content)
    return file, content


def adopt(installation: Installation, file: Path) -> str:
    made = installation.client.adopt_volume("theirs", "az1", str(file))
    wait_available("adopted volume", lambda: installation.client.volume(made.id))
    return made.id


def test_a_file_is_adopted_replicated_failed_over_and_given_back(
    make_installation: MakeInstallation, tmp_path: Path
) -> None:
    file, content = somebodys_file(tmp_path / "theirs")
    installation = make_installation(up=False)
    config = installation.layout.config("az1")
    config.write_text(f'adopt_from = ["{file.parent}"]\n{config.read_text()}')
    installation.up()
    client = installation.client
    theirs = adopt(installation, file)
    assert client.volume(theirs)["size"] == 1
    other = client.create_volume("copy", 1, "az2")
    wait_available("volume", lambda: client.volume(other["id"]))
    pair = client.create_pair("p", [theirs, other["id"]], "az1")
    wait_available("pair", lambda: client.pair(pair["id"]))
    made = client.create_group("g", [pair["id"]], "az1")
    wait_available("group", lambda: client.group(made["id"]))
    volumes = [{"az1": client.volume(theirs), "az2": other}]
    group = Protected(installation, made["id"], volumes, [pair["id"]])
    group.act("sync")
    group.wait_in_step()
    copy = installation.volume_file("az2", other["id"])
    assert_equal([file], [copy])
    installation.kill("az1")
    installation.start("az1")  # opened anew where it is
    group.wait_in_step()
    installation.kill("az1")
    group.act("failover")
    group.wait_failed_over("az2")
    installation.start("az1")
    group.reprotect()
    assert_equal([file], [copy])
    group.act("stop")
    group.wait("stopped group", lambda seen: seen.get("replication_status") == "active-stopped")
    client.update_group(group.group_id, {"remove_replication_ids": [pair["id"]]})
    wait_available("group", group.seen)
    client.delete_pair(pair["id"])

    def unpaired() -> bool:
        try:
            client.pair(pair["id"])
        except NotFound:
            return True
        return False

    wait_for("end of the pair", unpaired)
    client.give_volume_back(theirs)

    def gone() -> bool:
        try:
            client.volume(theirs)
        except NotFound:
            return True
        return False

    wait_for("end of the volume", gone)
    assert file.stat().st_size == GIB
    assert file.read_bytes()[-MIB:] == content
    adopt(installation, file)  # nobody has it any more
