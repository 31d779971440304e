"""Callers whom a real Keystone knows: served, refused, isolated, and what happens when it is away."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.clients.environment import clients_environment
from tests.keystone.conftest import CACHE_SECONDS, TIMEOUT_SECONDS, World
from tests.keystone.people import PASSWORD
from tests.real.harness.waiting import wait_for

# Beyond what the cache allows: the machine's own delays.
MARGIN_SECONDS = 3.0


def volumes_path(world: World, project: str = "red") -> str:
    return f"v3/{world.people.project(project)}/volumes"


def test_the_catalogue_is_made_by_a_command_that_may_be_repeated(world: World) -> None:
    assert "made" in world.register()
    again = world.register()
    assert "made" not in again
    assert again.count("was there") == 12  # four services with three addresses each


def test_our_own_client_finds_its_way_by_the_catalogue(world: World) -> None:
    world.register()
    with world.client("alice", "red") as alice:
        volume = alice.create_volume("first", 1, "az1")
        wait_for("volume", lambda: alice.volume(volume.id).status == "available")
        assert [each.id for each in alice.volumes()] == [volume.id]
        with world.client("bob", "blue") as bob:
            assert bob.volumes() == []
        alice.delete_volume(volume.id)
        wait_for("end of the volume", lambda: not alice.volumes())


def test_the_published_client_is_served(world: World, tmp_path: Path) -> None:
    world.register()
    mine = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" and key[:3] != "OS_"}
    openrc = world.keystone.openrc("alice", PASSWORD, "red")
    done = subprocess.run(
        [clients_environment() / "bin" / "openstack", "volume", "list", "-f", "json"],
        env=mine | openrc | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_roles_are_those_of_keystone(world: World) -> None:
    path, body = volumes_path(world), {"volume": {"size": 1, "availability_zone": "az1"}}
    reader = world.people.token("rita", "red")
    assert world.ask("GET", path, reader).status_code == 200
    refused = world.ask("POST", path, reader, body)
    assert (refused.status_code, refused.json()["forbidden"]["error_code"]) == (403, "EVS.0003")


def test_projects_are_isolated(world: World) -> None:
    alice, bob = world.people.token("alice", "red"), world.people.token("bob", "blue")
    body = {"volume": {"size": 1, "availability_zone": "az1"}}
    made = world.ask("POST", volumes_path(world), alice, body).json()["volume"]["id"]
    assert world.ask("GET", f"{volumes_path(world)}/{made}", bob).status_code == 403
    assert world.ask("GET", f"{volumes_path(world, 'blue')}/{made}", bob).status_code == 404
    admin = world.people.token("admin", "admin", world.keystone.password)
    assert world.ask("GET", f"{volumes_path(world)}/{made}", admin).status_code == 200


def test_a_token_for_no_project_has_no_rights(world: World) -> None:
    unscoped = world.people.token("alice", None)
    assert world.ask("GET", volumes_path(world), unscoped).status_code == 403


@pytest.mark.parametrize("token", ["nonsense", "gAAAAABnonsense", "x" * 300])
def test_who_is_not_known_is_sent_to_keystone(world: World, token: str) -> None:
    refused = world.ask("GET", volumes_path(world), token)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == f'Keystone uri="{world.keystone.url}"'


def test_the_built_in_identity_is_not_there(world: World) -> None:
    answer = world.ask("POST", "identity/v3/auth/tokens", "", {"auth": {}})
    assert answer.status_code == 404
    assert world.keystone.url in answer.text


def test_a_revoked_token_is_refused_when_the_cache_has_forgotten_it(world: World) -> None:
    token, path = world.people.token("alice", "red"), volumes_path(world)
    assert world.ask("GET", path, token).status_code == 200
    world.people.revoke(token)
    revoked = time.monotonic()
    wait_for("refusal", lambda: world.ask("GET", path, token).status_code == 401)
    assert time.monotonic() - revoked < CACHE_SECONDS + MARGIN_SECONDS


@pytest.mark.parametrize("unrestricted", [True, False])
def test_an_application_credential_has_the_roles_that_it_was_given(world: World, unrestricted: bool) -> None:
    path, body = volumes_path(world), {"volume": {"size": 1, "availability_zone": "az9"}}
    _, token = world.people.application_credential("alice", "red", unrestricted=unrestricted)
    assert world.ask("GET", path, token).status_code == 200
    assert world.ask("POST", path, token, body).status_code == 400  # it may, but there is no such zone
    assert world.ask("GET", volumes_path(world, "blue"), token).status_code == 403
    roles = [{"name": "reader"}]
    address, reading = world.people.application_credential(
        "alice", "red", unrestricted=unrestricted, roles=roles
    )
    assert world.ask("GET", path, reading).status_code == 200
    assert world.ask("POST", path, reading, body).status_code == 403
    world.people.end_application_credential("alice", "red", address)
    wait_for("refusal", lambda: world.ask("GET", path, reading).status_code == 401)


def test_an_application_credential_with_access_rules_is_refused(world: World) -> None:
    """They would have to be kept here, and are not: Keystone vouches to nobody who does not keep them."""
    rules = [{"service": "block-storage", "method": "GET", "path": "/v3/**"}]
    _, token = world.people.application_credential("alice", "red", access_rules=rules)
    assert world.ask("GET", volumes_path(world), token).status_code == 401


def test_a_keystone_that_hangs_or_is_away_is_503_and_nothing_is_lost(world: World) -> None:
    token, path = world.people.token("alice", "red"), volumes_path(world)
    assert world.ask("GET", path, token).status_code == 200
    world.keystone.freeze(True)
    try:
        time.sleep(CACHE_SECONDS)
        began = time.monotonic()
        hangs = world.ask("GET", path, token)
        assert (hangs.status_code, "Retry-After" in hangs.headers) == (503, True)
        assert time.monotonic() - began < TIMEOUT_SECONDS + MARGIN_SECONDS
    finally:
        world.keystone.freeze(False)
    world.keystone.stop()
    away = world.ask("GET", path, token)
    assert (away.status_code, "Retry-After" in away.headers) == (503, True)
    world.keystone.start()
    wait_for("service again", lambda: world.ask("GET", path, token).status_code == 200)


def test_no_secret_is_logged(world: World) -> None:
    token = world.people.token("alice", "red")
    assert world.ask("GET", volumes_path(world), token).status_code == 200
    said = world.installation.log("controller")
    assert token not in said
    assert PASSWORD not in said
