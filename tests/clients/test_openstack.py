"""python-openstackclient, as published, against a real controller: as its own process, and within one that stays."""

from tests.clients.conftest import Openstack, Shell
from tests.real.harness.waiting import wait_for

from bilocate.domain.geometry import GIB


def test_a_token_is_issued_and_the_catalogue_is_told(shell: Shell) -> None:
    token = shell.json("token", "issue")
    assert token["project_id"] == shell.openrc["OS_PROJECT_ID"]
    types = {service["Type"] for service in shell.json("catalog", "list")}
    assert types == {"identity", "volumev2", "volumev3", "block-storage", "evs"}


def test_zones_types_and_versions_are_listed(openstack: Openstack) -> None:
    zones = openstack.json("availability", "zone", "list", "--volume")
    assert [(zone["Zone Name"], zone["Zone Status"]) for zone in zones] == [
        ("az1", "available"),
        ("az2", "available"),
    ]
    assert [kind["Name"] for kind in openstack.json("volume", "type", "list")] == ["standard", "multiattach"]
    assert openstack.json("volume", "type", "show", "standard")["is_public"] is True
    versions = {
        (row["Service Type"], row["Version"]): row["Max Microversion"]
        for row in openstack.json("versions", "show")
    }
    assert versions["block-storage", "2.0"] is None
    assert versions["block-storage", "3.0"] == "3.44"


def test_a_volume_from_its_creation_to_its_end(shell: Shell, openstack: Openstack) -> None:
    made = openstack.json(
        "volume", "create", "orders", "--size", "1", "--availability-zone", "az2",
        "--description", "Bestellungen für Zürich", "--property", "owner=shop",
    )  # fmt: skip
    assert (made["status"], made["size"], made["availability_zone"]) == ("creating", 1, "az2")
    shell.settled(made["id"], status="available")

    openstack.text("volume", "set", "--name", "orders-2", "--property", "tier=1", made["id"])
    openstack.text("volume", "unset", "--property", "owner", "orders-2")
    seen = openstack.json("volume", "show", "orders-2")
    assert seen["properties"] == {"tier": "1"}
    assert seen["description"] == "Bestellungen für Zürich"

    openstack.text("volume", "set", "--size", "2", "orders-2")
    shell.settled(made["id"], status="available", size=2)
    assert shell.installation.volume_file("az2", made["id"]).stat().st_size == 2 * GIB

    copy = openstack.json("volume", "create", "orders-copy", "--source", "orders-2")
    assert (copy["source_volid"], copy["size"], copy["availability_zone"]) == (made["id"], 2, "az2")
    shell.settled(copy["id"], status="available")
    assert openstack.json("volume", "show", "orders-copy")["source_volid"] == made["id"]
    larger = openstack.json("volume", "create", "orders-larger", "--source", "orders-2", "--size", "3")
    shell.settled(larger["id"], status="available", size=3)
    openstack.text("volume", "delete", "orders-copy", "orders-larger")

    listed = openstack.json("volume", "list", "--long", "--name", "orders-2")
    assert [(row["ID"], row["Size"], row["Type"]) for row in listed] == [(made["id"], 2, "standard")]
    assert openstack.json("volume", "list", "--status", "in-use") == []

    openstack.text("volume", "delete", "orders-2")
    wait_for("end of the volume", lambda: not openstack.json("volume", "list", "--name", "orders-2"))
    refused = openstack.run("volume", "show", "orders-2")
    assert refused["code"] == 1
    assert "No Volume found for orders-2" in refused["err"]


def test_a_volume_is_described_retyped_and_freed(shell: Shell, openstack: Openstack) -> None:
    made = openstack.json("volume", "create", "kept", "--size", "1", "--availability-zone", "az2")["id"]
    shell.settled(made)
    openstack.text("volume", "set", "--image-property", "os=linux", "--image-property", "arch=x86", made)
    openstack.text("volume", "unset", "--image-property", "arch", made)
    openstack.text("volume", "set", "--type", "multiattach", "--retype-policy", "never", made)
    openstack.text("volume", "set", "--read-only", made)
    seen = openstack.json("volume", "show", made)
    assert (seen["type"], seen["multiattach"], seen["properties"]) == (
        "multiattach", True, {"readonly": "True"}
    )  # fmt: skip
    assert seen["volume_image_metadata"] == {"os": "linux"}
    openstack.text("volume", "set", "--state", "error", made)
    openstack.text("volume", "set", "--state", "available", "--detached", made)
    shell.settled(made)
    openstack.text("volume", "set", "--state", "error", made)
    openstack.text("volume", "delete", "--force", made)
    wait_for("end of the volume", lambda: not openstack.json("volume", "list", "--name", "kept"))


def test_a_refusal_is_shown_in_the_apis_words(shell: Shell) -> None:
    refused = shell.run(
        "openstack", "volume", "create", "nowhere", "--size", "1", "--availability-zone", "az9"
    )
    assert refused.returncode == 1
    assert "az9" in refused.stderr


def test_limits_quotas_and_the_summary_are_shown(openstack: Openstack) -> None:
    limits = {row["Name"]: row["Value"] for row in openstack.json("limits", "show", "--absolute")}
    assert limits["max_total_volumes"] == -1
    assert limits["total_volumes_used"] >= 0
    assert openstack.text("limits", "show", "--rate").strip() == ""
    quotas = {row["Resource"]: row["Limit"] for row in openstack.json("quota", "show", "--volume")}
    assert quotas["volumes"] == -1
    assert quotas["replication_consistency_groups"] == -1
    assert set(openstack.json("volume", "summary")) >= {"Total Count", "Total Size"}


def test_what_there_can_be_none_of_is_listed_as_nothing(openstack: Openstack) -> None:
    assert openstack.json("volume", "snapshot", "list") == []
    assert openstack.json("volume", "backup", "list") == []
    services = openstack.json("volume", "service", "list")
    assert {(row["Host"], row["State"]) for row in services} == {("az1", "up"), ("az2", "up")}


def test_an_attachment_with_its_hosts_connector(shell: Shell, openstack: Openstack) -> None:
    volume = openstack.json("volume", "create", "attached", "--size", "1", "--availability-zone", "az1")
    shell.settled(volume["id"], status="available")
    version = ("--os-volume-api-version", "3.44")
    # The OpenStack client wants a server of the compute service here, which there is none of: the other
    # published client makes the attachment, and this one lists, shows and ends it.
    made = shell.table(*version, "attachment-create", "attached")
    attachment = made["id"][0]
    listed = openstack.json(*version, "volume", "attachment", "list")
    assert [(row["ID"], row["Status"]) for row in listed] == [(attachment, "reserved")]
    openstack.text(*version, "volume", "attachment", "set", attachment, "--host", "shop-1")
    assert openstack.json(*version, "volume", "attachment", "show", attachment)["Status"] == "attaching"
    openstack.text(*version, "volume", "attachment", "complete", attachment)
    (seen,) = openstack.json("volume", "show", "attached")["attachments"]
    assert seen["attachment_id"] == attachment
    assert seen["host_name"] == "shop-1"
    openstack.text(*version, "volume", "attachment", "delete", attachment)
    shell.settled(volume["id"], status="available")
    openstack.text("volume", "delete", "attached")
