"""`openstack replication …`: the published command with the plugin of this package, against a real controller."""

import asyncio
import errno

import pytest
from tests.clients.conftest import Openstack, Shell

from bilocate.client.waiting import judge_in_step
from bilocate.demo.nbd_client import NbdClient, NbdError

GROUP = ("replication", "consistency", "group")
NOBODY = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def pairs(shell: Shell, openstack: Openstack) -> list[str]:
    """The ids of two pairs, data and log."""
    client = shell.installation.client
    for name in ("data", "log"):
        volumes = [client.create_volume(f"{name}-{site}", 1, site) for site in ("az1", "az2")]
        for volume in volumes:
            shell.settled(volume.id)
        words = ("--name", name, "--description", f"{name} of the shop", "--wait")
        made = openstack.json("replication", "create", *words, f"{name}-az1", volumes[1].id)
        assert (made["name"], made["status"], made["priority_station"]) == (name, "available", "az1")
        assert made["volume_ids"] == [volume.id for volume in volumes]
        assert made["record_metadata"]["volume_size"] == 1
    return [client.find_pair(name).id for name in ("data", "log")]


def test_pairs_are_listed_shown_and_found_by_what_they_have(openstack: Openstack, pairs: list[str]) -> None:
    listed = openstack.json("replication", "list")
    assert {row["ID"] for row in listed} == set(pairs)
    assert set(listed[0]) == {
        "ID", "Name", "Status", "Replication Status", "Progress", "Priority Station", "Consistency Group"
    }  # fmt: skip
    (row,) = openstack.json("replication", "list", "--long", "--volume", "log-az2", "--status", "available")
    assert (row["Name"], row["Description"], len(row["Volume IDs"])) == ("log", "log of the shop", 2)
    assert openstack.json("replication", "list", "--priority-station", "az2") == []
    assert openstack.json("replication", "show", "data")["id"] == pairs[0]
    assert openstack.text("replication", "show", pairs[1], "-f", "value", "-c", "name") == "log\n"


def test_a_group_from_its_creation_to_its_end(shell: Shell, openstack: Openstack, pairs: list[str]) -> None:
    made = openstack.json(*GROUP, "create", "--name", "shop", "--description", "d", "--wait", "data")
    assert (made["status"], made["replication_status"], made["replication_ids"]) == (
        "available", "inactive", pairs[:1]
    )  # fmt: skip
    assert "(here: --allow-data-loss)" in openstack.refusal(*GROUP, "failover", "shop")
    openstack.text(*GROUP, "set", "--name", "shop-2", "--wait", "shop")
    openstack.text(*GROUP, "add", "replication", "--wait", "shop-2", "log")
    openstack.text(*GROUP, "sync", "--wait", "--timeout", "60", "shop-2")
    shown = openstack.json(*GROUP, "show", "shop-2")
    assert (shown["replication_status"], shown["replication_ids"]) == ("active", pairs)
    (row,) = openstack.json(*GROUP, "list", "--long", "--name", "shop-2")
    assert (row["ID"], row["Replication Status"], row["Fault Level"]) == (made["id"], "active", "0")
    (member, _) = openstack.json("replication", "list", "--consistency-group", "shop-2")
    assert member["Consistency Group"] == made["id"]
    assert "stop" in openstack.refusal(*GROUP, "remove", "replication", "shop-2", "log")

    openstack.text(*GROUP, "extend", "--size", "2", "--replication", "log", "shop-2")
    assert openstack.json("replication", "show", "log")["record_metadata"]["volume_size"] == 2
    openstack.text(*GROUP, "reverse", "--force", "--wait", "shop-2")
    assert openstack.json(*GROUP, "show", "shop-2")["priority_station"] == "az2"
    openstack.text(*GROUP, "failover", "--wait", "shop-2")
    shown = openstack.json(*GROUP, "show", made["id"])
    assert (shown["status"], shown["priority_station"]) == ("failovered", "az1")
    assert "reprotect" in openstack.refusal(*GROUP, "reverse", "shop-2")
    openstack.text(*GROUP, "reprotect", "--wait", "--timeout", "60", "shop-2")
    assert judge_in_step(shell.installation.client.group(made["id"])).value == "done"
    openstack.text(*GROUP, "stop", "--wait", "shop-2")

    openstack.text(*GROUP, "remove", "replication", "--wait", "shop-2", *pairs)
    openstack.text(*GROUP, "delete", "--wait", "shop-2")
    assert openstack.json(*GROUP, "list") == []


def test_a_read_only_volume_refuses_writes_at_both_sites(
    shell: Shell, openstack: Openstack, pairs: list[str]
) -> None:
    client = shell.installation.client
    volumes = [client.find_volume(f"data-{site}").id for site in ("az1", "az2")]
    openstack.text("volume", "set", "--read-only", "data-az1")
    assert openstack.json("volume", "show", "data-az2")["properties"] == {"readonly": "True"}
    group = openstack.json(*GROUP, "create", "--name", "papers", "--wait", "data")["id"]
    openstack.text(*GROUP, "sync", "--wait", "--timeout", "60", "papers")
    assert write_error(shell, volumes[0]) == errno.EPERM
    openstack.text(*GROUP, "failover", "--wait", "papers")
    assert write_error(shell, volumes[1]) == errno.EPERM
    openstack.text("volume", "set", "--read-write", "data-az2")
    assert openstack.json("volume", "show", "data-az1")["properties"] == {}
    assert write_error(shell, volumes[1]) is None
    openstack.text(*GROUP, "reprotect", "--wait", "--timeout", "60", "papers")
    openstack.text(*GROUP, "stop", "--wait", "papers")
    openstack.text(*GROUP, "remove", "replication", "--wait", "papers", "data")
    openstack.text(*GROUP, "delete", "--wait", group)


def write_error(shell: Shell, volume_id: str) -> int | None:
    """What a host that connects to the volume now is told when it writes: an error's number, or nothing."""
    client = shell.installation.client

    async def write(uri: str) -> int | None:
        host = await NbdClient.connect(uri)
        try:
            await host.write(0, b"x" * 512)
        except NbdError as refused:
            return refused.errno
        else:
            return None
        finally:
            await host.close()

    connection = client.connect_volume(volume_id, "shop-1")
    try:
        return asyncio.run(write(connection["data"]["uri"]))
    finally:
        client.disconnect_volume(volume_id, "shop-1")


def test_what_the_api_refuses_and_what_is_not_there_is_told(openstack: Openstack, pairs: list[str]) -> None:
    assert "no pair with the id or name 'nothing'" in openstack.refusal("replication", "show", "nothing")
    assert NOBODY in openstack.refusal(*GROUP, "failover", NOBODY)
    assert "az9" in openstack.refusal(*GROUP, "create", "--priority-station", "az9", "data")
    assert "--size" in openstack.refusal(*GROUP, "extend", "shop")


def test_pairs_are_deleted_as_far_as_it_goes(shell: Shell, openstack: Openstack, pairs: list[str]) -> None:
    said = openstack.refusal("replication", "delete", "--wait", "data", "nothing", "log")
    assert "1 of 3 replications could not be deleted" in said
    assert "nothing" in said
    assert openstack.json("replication", "list") == []


def test_the_command_itself_knows_the_plugin(shell: Shell, openstack: Openstack) -> None:
    told = openstack.text("help", "replication", "consistency", "group")
    assert told.count("replication consistency group ") >= 13
    assert "--allow-data-loss" in openstack.text("help", *GROUP, "failover")
    assert (
        shell.json("replication", "list", "--name", "nothing") == []
    )  # as a user does, in a process of its own
