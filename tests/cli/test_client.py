"""The client below the commands: tokens, openrc."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.fake_api import PASSWORD, FakeApi

from bilocate.cli.client import Client
from bilocate.cli.credentials import Credentials, find_credentials, read_openrc
from bilocate.cli.errors import OutOfReach, UsageProblem


def test_a_token_is_taken_once_and_again_when_it_has_run_out(api: FakeApi) -> None:
    with Client(find_credentials(None)) as client:
        client.volumes()
        client.volumes()
        api.tokens.clear()
        client.volumes()
    asked = [path for _, path, _ in api.calls if path.endswith("/auth/tokens")]
    assert len(asked) == 2


def test_long_lists_are_read_to_their_end(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bilocate.client.listing.PAGE", 2)
    made = [api.add_volume(f"v{number}")["id"] for number in range(5)]
    with Client(find_credentials(None)) as client:
        assert [volume["id"] for volume in client.volumes()] == made
        assert [volume["id"] for volume in client.volumes(name="v3")] == made[3:4]


def test_a_controller_that_starts_again_is_waited_for_also_by_a_write(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody listens nothing was carried out; any other lost answer of a write is told, not repeated."""
    found = find_credentials(None)
    with Client(found) as client:
        group = api.add_group("shop")
        client.groups()
        real, calls = client._http.request, 0

        def request(*args: Any, **kwargs: Any) -> httpx.Response:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise error("nobody listens")
            return real(*args, **kwargs)

        monkeypatch.setattr(client._http, "request", request)
        monkeypatch.setattr("bilocate.client.access.RETRY_SECONDS", 0.01)
        error: type[httpx.TransportError] = httpx.ConnectError
        client.act(group["id"], "failover")
        assert calls == 2
        calls, error = 0, httpx.ReadError
        with pytest.raises(OutOfReach):
            client.act(group["id"], "failover")
        assert calls == 1


def test_the_project_is_found_by_its_name(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OS_PROJECT_ID")
    with Client(find_credentials(None)) as client:
        assert client.volumes() == []
    scope = api.calls[0][2]["auth"]["scope"]
    assert scope == {"project": {"name": "admin", "domain": {"name": "Default"}}}


def test_the_words_of_an_openrc_for_a_keystone_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its domains come as ids, its address without a version, and a token may take the password's place."""
    words = {
        "OS_AUTH_URL": "https://keystone.test/identity",
        "OS_TOKEN": "t0ken",
        "OS_PROJECT_NAME": "shop",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": "two",
        "OS_INTERFACE": "internal",
        "OS_USERNAME": "",
    }
    for name in ("OS_PASSWORD", "OS_PROJECT_ID", "OS_CACERT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    found = find_credentials(None)
    assert found.tokens_url == "https://keystone.test/identity/v3/auth/tokens"
    assert (found.region, found.interface) == ("two", "internal")
    scope = {"project": {"name": "shop", "domain": {"id": "default"}}}
    assert found.body()["auth"] == {
        "identity": {"methods": ["token"], "token": {"id": "t0ken"}},
        "scope": scope,
    }
    assert "t0ken" not in repr(found)
    monkeypatch.setenv("OS_PASSWORD", "p")
    monkeypatch.setenv("OS_USERNAME", "ada")
    user = {"name": "ada", "password": "p", "domain": {"id": "default"}}
    assert find_credentials(None).body()["auth"]["identity"]["password"] == {"user": user}


def test_a_proxy_in_the_environment_is_not_asked(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Client(find_credentials(None)) as client:
        assert client.volumes() == []


def test_openrc_is_read_without_being_run(tmp_path: Path) -> None:
    openrc = tmp_path / "openrc"
    openrc.write_text(
        "# who\nexport OS_AUTH_URL=http://127.0.0.1:5000/identity/v3\nexport OS_USERNAME='admin'\n"
        'export OS_PASSWORD="a b\'$(touch x)"\nexport OS_PROJECT_NAME=admin\n'
    )
    assert read_openrc(openrc)["OS_PASSWORD"] == "a b'$(touch x)"
    found = find_credentials(tmp_path)
    assert found.auth_url == "http://127.0.0.1:5000/identity/v3"
    assert "touch" not in repr(found)


def test_a_state_directory_without_openrc_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="bilocate up --state-dir"):
        find_credentials(tmp_path)


def test_the_password_is_no_part_of_a_representation() -> None:
    assert PASSWORD not in repr(Credentials("http://x/identity/v3", "admin", PASSWORD))
