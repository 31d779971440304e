"""python-cinderclient, as published: its own command, which asks for versions beyond ours and comes down by itself."""

from tests.clients.conftest import Shell
from tests.real.harness.waiting import wait_for


def test_a_volume_from_its_creation_to_its_end(shell: Shell) -> None:
    made = shell.table("create", "--name", "ledger", "--availability-zone", "az1", "1")
    volume = made["id"][0]
    shell.settled(volume)
    shell.text("cinder", "rename", "ledger", "ledger-2", "--description", "books")
    shell.text("cinder", "metadata", "ledger-2", "set", "tier=1", "owner=shop")
    shell.text("cinder", "metadata", "ledger-2", "unset", "tier")
    assert shell.table("metadata-show", "ledger-2")["owner"] == ["shop"]
    shell.text("cinder", "extend", "ledger-2", "2")
    shell.settled(volume, size=2)
    assert shell.table("show", volume)["description"] == ["books"]
    assert shell.table("list", "--name", "ledger-2")[volume][:3] == ["available", "ledger-2", "2"]
    copy = shell.table("create", "--name", "ledger-copy", "--source-volid", volume, "2")["id"][0]
    shell.settled(copy, size=2)
    assert shell.table("show", copy)["source_volid"] == [volume]
    shell.text("cinder", "delete", copy)
    shell.text("cinder", "delete", "ledger-2")
    wait_for("end of the volume", lambda: volume not in shell.table("list"))


def test_a_volume_is_described_retyped_freed_and_deleted_by_force(shell: Shell) -> None:
    volume = shell.table("create", "--name", "stuck", "--availability-zone", "az1", "1")["id"][0]
    shell.settled(volume)
    shell.text("cinder", "image-metadata", volume, "set", "os=linux", "arch=x86")
    shell.text("cinder", "image-metadata", volume, "unset", "arch")
    shown = shell.table("image-metadata-show", volume)
    assert (shown.get("os"), shown.get("arch")) == (["linux"], None)
    shell.text("cinder", "retype", "--migration-policy", "never", volume, "multiattach")
    shell.text("cinder", "readonly-mode-update", volume, "True")
    shown = shell.table("show", volume)
    assert (shown["volume_type"], shown["multiattach"]) == (["multiattach"], ["True"])
    assert "readonly : True" in str(shown["metadata"])
    shell.text("cinder", "reset-state", "--state", "error", volume)
    shell.settled(volume, status="error")
    shell.text("cinder", "force-delete", volume)
    wait_for("end of the volume", lambda: volume not in shell.table("list"))


def test_quotas_and_limits_are_shown_and_set(shell: Shell) -> None:
    project = shell.openrc["OS_PROJECT_ID"]
    assert shell.table("quota-update", "--gigabytes", "4000", project)["gigabytes"] == ["4000"]
    try:
        assert shell.table("quota-show", project)["gigabytes"] == ["4000"]
        assert shell.table("absolute-limits")["maxTotalVolumeGigabytes"] == ["4000"]
        assert shell.table("quota-usage", project)["gigabytes"][2] == "4000"
    finally:
        shell.text("cinder", "quota-delete", project)
    assert shell.table("quota-show", project)["gigabytes"] == ["-1"]


def test_zones_types_and_versions_are_listed(shell: Shell) -> None:
    assert shell.table("availability-zone-list")["az2"] == ["available"]
    assert [row[0] for row in shell.table("type-list").values()][1:] == ["standard", "multiattach"]
    assert shell.table("version-list")["v3.0"][-2:] == ["3.0", "3.44"]
    assert shell.table("--os-volume-api-version", "3.12", "summary")["total_count"]


def test_an_attachment_from_reservation_to_end(shell: Shell) -> None:
    volume = shell.table("create", "--name", "attached-too", "--availability-zone", "az2", "1")["id"][0]
    shell.settled(volume)
    v344 = ("--os-volume-api-version", "3.44")
    attachment = shell.table(*v344, "attachment-create", volume)["id"][0]
    shell.settled(volume, status="reserved")
    updated = shell.table(*v344, "attachment-update", attachment, "--host", "shop-2")
    assert updated["driver_volume_type"] == ["nbd"]
    assert updated["uri"][0].startswith("nbd://127.0.0.1:")
    shell.text("cinder", *v344, "attachment-complete", attachment)
    assert shell.table(*v344, "attachment-list")[attachment][:2] == [volume, "attached"]
    shell.settled(volume, status="in-use")
    shell.text("cinder", *v344, "attachment-delete", attachment)
    shell.settled(volume)
    shell.text("cinder", "delete", volume)
