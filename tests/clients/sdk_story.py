"""What a program does with openstacksdk. Runs in the clients' own environment, for one version of block storage."""

import sys

import openstack  # type: ignore[import-not-found, unused-ignore]


def main(version: str) -> None:
    """The whole life of a volume, by the version's own proxy."""
    cloud = openstack.connect(load_envvars=True, block_storage_api_version=version)
    storage = cloud.block_storage
    assert f"/v{version}/" in storage.get_endpoint()
    project = cloud.current_project_id

    made = [storage.create_volume(name=f"sdk-{n}", size=1, availability_zone="az1") for n in range(3)]
    for volume in made:
        storage.wait_for_status(volume, "available", interval=0.1, wait=20)
    listed = list(storage.volumes(limit=1))  # three pages and an empty one
    assert {volume.id for volume in made} <= {volume.id for volume in listed}
    first = storage.find_volume("sdk-0", ignore_missing=False)
    assert (first.id, first.size, first.is_bootable) == (made[0].id, 1, False)

    storage.update_volume(first, name="sdk-first", description="renamed")
    storage.set_volume_metadata(first, tier="1", owner="shop")
    storage.delete_volume_metadata(first, keys=["tier"])
    assert storage.get_volume_metadata(first).metadata == {"owner": "shop"}
    storage.extend_volume(first, 2)
    storage.wait_for_status(storage.get_volume(first.id), "available", interval=0.1, wait=20)
    assert storage.get_volume(first.id).size == 2
    copy = storage.create_volume(name="sdk-copy", source_volume_id=first.id)
    made.append(storage.wait_for_status(copy, "available", interval=0.1, wait=20))
    assert (made[-1].size, made[-1].source_volume_id) == (2, first.id)

    assert [kind.name for kind in storage.types()] == ["standard", "multiattach"]
    assert storage.get_limits().absolute.max_total_volumes == -1
    assert storage.get_quota_set(project).volumes == -1
    assert storage.get_quota_set(project, usage=True).usage["volumes"] >= 3
    storage.update_quota_set(project, volumes=100)
    assert storage.get_quota_set(project).volumes == 100
    storage.revert_quota_set(project)
    assert storage.get_quota_set(project).volumes == -1
    if version == "3":
        version_3(storage, first)

    for volume in made:
        storage.delete_volume(volume)
    for volume in made:
        storage.wait_for_delete(volume, interval=0.1, wait=20)
    storage.delete_volume(made[0], ignore_missing=True)
    cloud.create_volume(1, name="by the cloud layer", availability_zone="az2", wait=True)
    assert cloud.delete_volume("by the cloud layer", wait=True)


def version_3(storage: openstack.proxy.Proxy, volume: object) -> None:
    """What version 2's proxy does not have."""
    zones = {zone.name: zone.state["available"] for zone in storage.availability_zones()}
    assert zones == {"az1": True, "az2": True}
    volume_id = volume.id  # type: ignore[attr-defined]
    info = storage.init_volume_attachment(volume, {"host": "shop-1"})
    assert info["driver_volume_type"] == "nbd"
    storage.terminate_volume_attachment(volume, {"host": "shop-1"})
    made = storage.create_attachment(volume_id, instance="3f2b7e1e-1111-4222-8333-444455556666")
    assert storage.get_volume(volume_id).status == "reserved"
    updated = storage.update_attachment(made, connector={"host": "shop-1"})
    assert updated.connection_info["driver_volume_type"] == "nbd"
    storage.complete_attachment(made)
    assert storage.get_volume(volume_id).status == "in-use"
    assert [each.id for each in storage.attachments()] == [made.id]
    storage.delete_attachment(made)
    assert storage.get_volume(volume_id).status == "available"
    assert storage.summary(False).total_count >= 3


if __name__ == "__main__":
    main(sys.argv[1])
