"""Every status that the API answers with, from its real cause, by a real controller over HTTP.

docs/api.md names these tests. Two causes of 503 are in test_stopping.py, for they need several controllers: a database
that is away, and a controller that stops.
"""

import contextlib
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.real.harness.door import Door
from tests.real.harness.installation import Installation
from tests.real.harness.odd_agent import Manner, OddAgent
from tests.real.harness.waiting import wait_for

from bilocate.api.codes import NAMES
from bilocate.cli.credentials import find_credentials
from bilocate.cli.layout import CONTROLLER
from bilocate.config import load_controller_config

LIMITS = """
[limits]
body_seconds = 0.5
token_requests_per_second = 2.0
token_requests_burst = 150

[identity]
lockout_free_failures = 1
lockout_seconds_min = 30.0
"""
PROXY_SECRET = "what the proxy sends"
NOBODY = "00000000-0000-4000-8000-000000000000"
VOLUME = {"size": 1, "availability_zone": "az1"}
READER, READER_PASSWORD = "someone-who-reads", "and has this password"


@pytest.fixture(scope="module")
def odd() -> Iterator[OddAgent]:
    """What stands at az2's control address."""
    odd = OddAgent()
    yield odd
    odd.close()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, odd: OddAgent) -> Iterator[Installation]:
    """A controller, and az1's agent."""
    installation = Installation(tmp_path_factory.mktemp("codes") / "x", settings={CONTROLLER: LIMITS})
    config = load_controller_config(installation.layout.config(CONTROLLER))
    installation.replace(CONTROLLER, f'"{config.sites["az2"].control_url}"', f'"{odd.url}"')
    try:
        installation.start(CONTROLLER)
        installation.start("az1")
        yield installation
    finally:
        installation.end()


@pytest.fixture(scope="module")
def door(installation: Installation) -> Iterator[Door]:
    door = Door(installation.api, find_credentials(installation.layout.root))
    yield door
    door.close()


def expect(answer: httpx.Response, status: int, code: str) -> httpx.Response:
    """The error is what docs/api.md says."""
    assert answer.status_code == status, answer.text
    error = answer.json()[NAMES[status]]
    assert (error["code"], error["error_code"]) == (status, code)
    assert error["message"]
    assert answer.headers["X-Request-Id"]
    return answer


def test_400_malformed(door: Door) -> None:
    expect(door.call("POST", "os-vendor-replications", content=b"{"), 400, "EVS.1052")
    expect(door.call("GET", "volumes?limit=x"), 400, "EVS.1023")
    expect(door.call("GET", "volumes?sort_key=x"), 400, "EVS.1039")
    unknown = {
        "volume_ids": [NOBODY, NOBODY.replace("8", "9")],
        "priority_station": "az1",
        "replication_model": "none",
    }
    expect(door.call("POST", "os-vendor-replications", json={"replication": unknown}), 400, "EVS.5400")
    expect(door.call("POST", "volumes", json={"volume": {**VOLUME, "name": "ü" * 128}}), 400, "EVS.5400")


def test_401_no_token_or_a_bad_one(door: Door) -> None:
    for token in ("", "nonsense"):
        expect(door.call("GET", "volumes", headers={"X-Auth-Token": token}), 401, "EVS.0002")


def test_403_another_project_or_no_role(door: Door) -> None:
    role = door.call("GET", "/identity/v3/roles?name=reader").json()["roles"][0]["id"]
    user = {"user": {"name": READER, "password": READER_PASSWORD}}
    user_id = door.call("POST", "/identity/v3/users", json=user).json()["user"]["id"]
    given = f"/identity/v3/projects/{door.project_id}/users/{user_id}/roles/{role}"
    assert door.call("PUT", given).status_code == 204
    reader = {"X-Auth-Token": door.token(READER, READER_PASSWORD)}
    assert door.call("GET", "volumes", headers=reader).status_code == 200
    expect(door.call("GET", f"/v2/{'0' * 32}/volumes", headers=reader), 403, "EVS.0001")
    expect(door.call("POST", "volumes", json={"volume": VOLUME}, headers=reader), 403, "EVS.0003")


def test_404_nothing_there(door: Door) -> None:
    for path in ("nothing", f"os-vendor-replications/{NOBODY}", "/nothing"):
        expect(door.call("GET", path), 404, "EVS.5404")


def test_405_with_what_is_allowed(door: Door) -> None:
    answer = expect(door.call("PUT", "os-vendor-replications", json={}), 405, "EVS.5405")
    assert answer.headers["Allow"] == "GET, HEAD, POST"


def test_406_a_client_that_takes_no_json(door: Door) -> None:
    expect(door.call("GET", "volumes", headers={"Accept": "text/html"}), 406, "EVS.5406")


def test_408_a_body_that_stalls(door: Door) -> None:
    def stalls() -> Iterator[bytes]:
        yield b'{"volume"'
        time.sleep(1.5)
        yield b": {}}"

    answer = expect(door.call("POST", "volumes", content=stalls()), 408, "EVS.5408")
    assert answer.headers["Connection"] == "close"


def test_409_a_state_in_the_way(door: Door) -> None:
    volume_id = door.call("POST", "volumes", json={"volume": VOLUME}).json()["volume"]["id"]
    path = f"volumes/{volume_id}"

    def made() -> bool:
        return bool(door.call("GET", path).json()["volume"]["status"] == "available")

    wait_for("volume", made, look_seconds=0.1)
    answer = expect(door.call("POST", f"{path}/action", json={"os-begin_detaching": {}}), 409, "EVS.5409")
    assert "is available, it must be in-use" in answer.text


def test_413_a_body_that_is_too_large_or_a_quota_that_is_used_up(door: Door) -> None:
    expect(door.call("POST", "volumes", content=b" " * (1024**2 + 1)), 413, "EVS.5413")
    quotas = f"os-quota-sets/{door.project_id}"
    assert door.call("PUT", quotas, json={"quota_set": {"gigabytes": 0}}).status_code == 200
    expect(door.call("POST", "volumes", json={"volume": VOLUME}), 413, "EVS.5413")
    assert door.call("DELETE", quotas).status_code == 200


def test_429_too_many_wrong_passwords_or_calls(door: Door) -> None:
    assert door.log_in("nobody", "wrong").status_code == 401
    locked = door.log_in("nobody", "wrong")
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, 429)
    assert int(locked.headers["Retry-After"]) > 1
    other = {"X-Auth-Token": door.token(door.credentials.username, door.credentials.password)}
    answers = (door.call("GET", "types", headers=other) for _ in range(2000))
    many = next(answer for answer in answers if answer.status_code != 200)
    assert int(expect(many, 429, "EVS.5429").headers["Retry-After"]) > 0


def test_500_a_defect_tells_nothing_of_the_inside(door: Door, installation: Installation) -> None:
    """A table that is missing is no outage: somebody has damaged the database, or a release is wrong."""
    installation.alter("ALTER TABLE quotas RENAME TO gone")
    try:
        answer = expect(door.call("GET", f"os-quota-sets/{door.project_id}"), 500, "EVS.5500")
        assert "quotas" not in answer.text
        assert "no such table" in installation.log(CONTROLLER)
    finally:
        installation.alter("ALTER TABLE gone RENAME TO quotas")
    assert door.call("GET", f"os-quota-sets/{door.project_id}").status_code == 200


def test_501_what_is_not_there(door: Door) -> None:
    body = {"volume": {**VOLUME, "imageRef": NOBODY}}
    expect(door.call("POST", "volumes", json=body), 501, "EVS.5501")


@pytest.mark.parametrize("manner", [Manner.NO_JSON, Manner.NO_OBJECT, Manner.NO_HTTP, Manner.HUGE])
def test_502_an_agent_that_answers_nonsense(door: Door, odd: OddAgent, manner: Manner) -> None:
    odd.manner = manner
    answer = expect(made_at_az2(door), 502, "EVS.5502")
    assert "az2" in answer.text


def test_504_an_agent_that_hangs(door: Door, odd: OddAgent) -> None:
    odd.manner = Manner.HANGS
    expect(made_at_az2(door), 504, "EVS.5504")


def test_503_an_agent_that_is_away(door: Door, odd: OddAgent) -> None:
    odd.close()
    answer = expect(made_at_az2(door), 503, "EVS.5503")
    assert int(answer.headers["Retry-After"]) > 0
    listed = door.call("GET", "volumes?availability_zone=az2").json()
    assert listed["volumes"] == []  # nothing that was refused has left anything


def made_at_az2(door: Door) -> httpx.Response:
    return door.call("POST", "volumes", json={"volume": {**VOLUME, "availability_zone": "az2"}})


def test_407_past_the_authenticating_proxy(installation: Installation, door: Door) -> None:
    secret = installation.layout.root / "proxy"
    secret.write_text(PROXY_SECRET)
    secret.chmod(0o600)
    installation.stop(CONTROLLER)
    installation.replace(CONTROLLER, "[api]\n", f'[api]\nproxy_secret_file = "{secret}"\n')
    installation.start(CONTROLLER, wait=False)

    def answer(**headers: str) -> httpx.Response | None:
        with contextlib.suppress(httpx.TransportError):
            return door.call("GET", "volumes", headers=headers)
        return None

    refused = wait_for("controller", answer)
    assert refused is not None
    assert expect(refused, 407, "EVS.5407").headers["Proxy-Authenticate"]
    through = answer(**{"X-Bilocate-Proxy": PROXY_SECRET})
    assert through is not None
    assert through.status_code == 200
