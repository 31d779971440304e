"""Clients that mean harm, or know no better: each gets a clear 4xx, others are served, and nothing is lost or grows."""

import contextlib
import json
import resource
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.real.conftest import Tell
from tests.real.harness.attacks import crowd
from tests.real.harness.door import Door
from tests.real.harness.installation import Installation

from bilocate.cli.credentials import find_credentials
from bilocate.cli.layout import CONTROLLER

MIB = 1024**2
CROWD = 1200
HEAD_SECONDS = 1.0
# A service manager's usual soft limit of open files: less than the crowd.
FILES = 1024
GROWTH_BYTES_MAX = 128 * MIB  # what clients may make of a controller that needs about as much for itself
ANSWERED_SECONDS = 5.0
LIMITS = f"[limits]\nhead_seconds = {HEAD_SECONDS}"


@contextlib.contextmanager
def open_files(soft: int) -> Iterator[None]:
    """As many, of this process and of those that it starts."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("bad") / "x", settings={CONTROLLER: LIMITS})
    try:
        with open_files(FILES):
            installation.up()
        yield installation
    finally:
        installation.end()


@pytest.fixture(scope="module")
def door(installation: Installation) -> Iterator[Door]:
    door = Door(installation.api, find_credentials(installation.layout.root))
    made = door.call(
        "POST", "volumes", json={"volume": {"size": 1, "availability_zone": "az1", "name": "kept"}}
    )
    assert made.status_code == 202
    yield door
    door.close()


@pytest.fixture(autouse=True)
def nothing_happens(door: Door, installation: Installation, tell: Tell) -> Iterator[None]:
    """The same process serves afterwards, in bounds, with what there was, and met no defect."""
    pid, before = installation.pid(CONTROLLER), installation.resident_bytes(CONTROLLER)
    said = len(installation.log(CONTROLLER))
    yield
    assert installation.pid(CONTROLLER) == pid
    grown = installation.resident_bytes(CONTROLLER) - before
    assert grown < GROWTH_BYTES_MAX
    names = [volume["name"] for volume in door.call("GET", "volumes").json()["volumes"]]
    assert "kept" in names
    for line in installation.log(CONTROLLER)[said:].splitlines():
        assert json.loads(line)["level"] not in ("error", "critical"), line


def answer_to(door: Door, *sent: bytes) -> tuple[int, bytes]:
    """The status and all of what comes for bytes as they are; the server ends the connection."""
    with socket.create_connection(door.host_and_port, ANSWERED_SECONDS) as client:
        with contextlib.suppress(ConnectionError):
            for part in sent:
                client.sendall(part)
        got = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(MIB):
                got += part
    return (int(got.split(b" ", 2)[1]) if got.startswith(b"HTTP/1.1 ") else 0), got


def head(door: Door, method: str, target: str, *lines: str) -> bytes:
    """The head of a request with a good token, byte for byte."""
    token = f"X-Auth-Token: {door.headers['X-Auth-Token']}"
    text = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", token, *lines, "", ""])
    return text.encode("latin-1")


# --- what comes slowly, or is too much ---


def test_a_head_that_stalls_ends_with_408_and_a_connection_without_one_ends(door: Door) -> None:
    began = time.monotonic()
    status, got = answer_to(door, b"GET /v2/ HTTP/1.1\r\nX-Auth-T")
    assert status == 408
    assert b'"requestTimeout"' in got
    assert answer_to(door) == (0, b"")
    assert time.monotonic() - began < 2 * HEAD_SECONDS + 3


def test_a_head_that_comes_a_byte_at_a_time_has_no_more_time(door: Door) -> None:
    with socket.create_connection(door.host_and_port, ANSWERED_SECONDS) as client:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < began + HEAD_SECONDS + 3:
                client.sendall(b"X")
                time.sleep(0.1)
        assert time.monotonic() - began < HEAD_SECONDS + 2


@pytest.mark.parametrize(
    "lines", [["X-Long: " + "x" * 100_000], [f"X-{number}: {'x' * 100}" for number in range(10_000)]]
)
def test_a_huge_head_is_400(door: Door, lines: list[str]) -> None:
    status, got = answer_to(door, head(door, "GET", door.volumes, *lines))
    assert status == 400
    assert b'"badRequest"' in got


def test_a_thousand_connections_and_others_are_served(
    door: Door, installation: Installation, tell: Tell
) -> None:
    """Of them that say nothing, or half a head; more than the controller was given files for."""
    before = installation.resident_bytes(CONTROLLER)
    with open_files(8192):
        for word in (b"", b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 50_000):
            clients = crowd(door.host_and_port, CROWD, word)
            began = time.monotonic()
            fresh = Door(door.address, door.credentials)
            assert fresh.call("GET", "volumes").status_code == 200
            fresh.close()
            seconds = time.monotonic() - began
            grown = installation.resident_bytes(CONTROLLER) - before
            tell(answered_seconds=seconds, growth_mib=grown / MIB)
            assert seconds < ANSWERED_SECONDS
            assert grown < GROWTH_BYTES_MAX
            for client in clients:
                client.close()


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_100_mb_is_413_and_fills_no_memory(
    door: Door, installation: Installation, declared: bool, tell: Tell
) -> None:
    before = installation.resident_bytes(CONTROLLER)
    part = b" " * MIB
    if declared:
        status, _ = answer_to(
            door, head(door, "POST", door.volumes, f"Content-Length: {100 * MIB}"), *[part] * 100
        )
    else:
        chunk = b"100000\r\n" + part + b"\r\n"
        status, _ = answer_to(
            door, head(door, "POST", door.volumes, "Transfer-Encoding: chunked"), *[chunk] * 100
        )
    grown = installation.resident_bytes(CONTROLLER) - before
    tell(growth_mib=grown / MIB)
    assert status == 413
    assert grown < 16 * MIB
    # The same by a client that is none of ours, which sends on while it is answered.
    assert door.call("POST", "volumes", content=part * 100).status_code == 413


def test_a_body_of_100_mb_where_none_is_wanted_fills_no_memory(
    door: Door, installation: Installation
) -> None:
    before = installation.resident_bytes(CONTROLLER)
    assert door.http.post("/nothing", content=b" " * 100 * MIB).status_code == 404
    # Of whom nobody knows yet even less is taken.
    assert door.http.post("/identity/v3/auth/tokens", content=b" " * 65537).status_code == 413
    assert installation.resident_bytes(CONTROLLER) - before < 16 * MIB


# --- what is no request, or no JSON ---


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # without a host
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Nul: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n",
    ],
)
def test_what_is_no_request_is_400(door: Door, sent: bytes) -> None:
    status, got = answer_to(door, sent)
    assert status == 400, got
    assert b'"badRequest"' in got
    assert b"X-Request-Id: " in got or b"x-request-id: " in got


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"volume":' * 100_000,
        b'{"volume": {"size": ' + b"9" * 100_000 + b"}}",
        b'{"volume": {"size": 1e999}}',
        b'{"volume": {"size": 1, "name": "\xff\xfe"}}',
        b'{"volume": {"size": 1, "name": "\xc0\xaf"}}',  # a slash in too many bytes
        b'{"volume": {"size": 1, "name": "\xed\xa0\x80"}}',  # half a surrogate pair
        b'{"volume": {"size": 1, "name": "\\ud800"}}',
        b'{"volume": {"size": 1, "name": "\\u0000"}}',
        b'{"volume": {"size": 1, "metadata": {"\\u0000": "x"}}}',
        b'{"volume": {"size": 1, "metadata": {"x": "\\udfff"}}}',
        b'{"volume": {"size": 1, "availability_zone": "\\u0000"}}',
        b'{"volume": {"size": 1, "availability_zone": "\\ud800"}}',
        b'{"volume": {"size": 1, "volume_type": "\\ud800"}}',
        b'\xef\xbb\xbf{"volume": {"size": 1}}',
        '{"volume": {"size": 1}}'.encode("utf-16"),
        b'{"volume": {"size": true}}',
        b'{"volume": {"size": {"$gt": 0}}}',
    ],
)
def test_a_body_that_is_none_is_400(door: Door, body: bytes) -> None:
    answer = door.call("POST", "volumes", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["badRequest"]["message"]


# --- names ---

SQL = "'; DROP TABLE volumes; -- \" OR 1=1; %s ? :x $1 \\"
NAMES = [
    SQL,
    "卷" * 85,
    "مجلد",
    "🦊" * 63,
    "\u202eabc",
    "é",
    "  ",
    "a\nb\tc",
    "<script>",
    "%00%2e",
    "../../etc/passwd",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_any_script_comes_back_as_it_was_given_and_finds_its_volume(door: Door, name: str) -> None:
    with renamed(door, name=name, description=name) as answer:
        assert answer.status_code == 200, answer.text
        found = door.call("GET", "volumes/detail", params={"name": name}).json()["volumes"]
        assert [(volume["name"], volume["description"]) for volume in found] == [(name, name)]


@pytest.mark.parametrize(
    ("text", "fits"), [("🦊" * 63 + "abc", True), ("🦊" * 64, False), ("卷" * 86, False)]
)
@pytest.mark.parametrize("field", ["name", "description"])
def test_a_name_is_as_long_as_its_bytes(door: Door, text: str, fits: bool, field: str) -> None:
    with renamed(door, **{field: text}) as answer:
        assert answer.status_code == (200 if fits else 400)
        assert fits or f"{len(text.encode())} bytes" in answer.text


@contextlib.contextmanager
def renamed(door: Door, **fields: str) -> Iterator[httpx.Response]:
    """The answer to a change of the volume; afterwards it is as before."""
    path = f"volumes/{door.call('GET', 'volumes?name=kept').json()['volumes'][0]['id']}"
    yield door.call("PUT", path, json={"volume": fields})
    assert door.call("PUT", path, json={"volume": {"name": "kept", "description": ""}}).status_code == 200


# --- paths and queries ---

TRICKS = [
    "/v2/{p}/volumes/../volumes",
    "/v2/{p}/volumes/%2e%2e/volumes",
    "/v2/{p}/volumes%2f{v}",
    "/v2/{p}//volumes",
    "//v2/{p}/volumes",
    "/v2/{p}/volumes/",
    "/v2/{p}/volumes/./{v}",
    "/v2/{p}/volumes;x=1",
    "/v2/{p}/volumes\\..\\..",
    "/v2/{p}/volumes/%ff",
    "/v2/{p}/volumes/%00",
    "/v2/{p}/volumes/{v}%00",
    "/v2/{p}%00/volumes",
    "/v2/{other}/volumes/{v}",
    "/v2/{other}/../{p}/volumes",
    "/v2/{p}/../{other}/volumes",
    "/v2/%2e%2e/identity/v3",
    "/internal/../v2/{p}/volumes",
    "/internal/v1/arbiter/../../../v2/{p}/volumes",
    "/healthz/../v2/{p}/volumes",
    "/metrics/../internal/v1/arbiter/x",
    "/v2/{p}/volumes/' OR 1=1 --".replace(" ", "%20"),
    "/v2/{p}/volumes?sort_key=id;drop%20table%20volumes",
    "/v2/{p}/volumes?sort=name%20desc,(select%201)",
    "/v2/{p}/volumes?marker=%00",
    "/v2/{p}/volumes?marker=%27%20OR%201=1",
    "/v2/{p}/volumes?name=%ff",
    "/v2/{p}/volumes?limit=99999999999999999999999",
    "/v2/{p}/volumes?limit=-1",
    "/v2/{p}/volumes?offset=99999999999999999999999",
    "/v2/{p}/volumes?changes-since=9999999-01-01",
    "/v2/{p}/volumes?" + "&".join(f"x{number}=1" for number in range(3000)),
]


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_with_paths_and_queries_lead_nowhere(door: Door, trick: str) -> None:
    volume_id = door.call("GET", "volumes?name=kept").json()["volumes"][0]["id"]
    target = trick.replace("{p}", door.project_id).replace("{v}", volume_id).replace("{other}", "0" * 32)
    status, got = answer_to(door, head(door, "GET", target))
    if status == 200:  # an unknown filter is none, and a slash in other letters is one
        assert "?" in trick or "%2f" in trick
        assert {"volume", "volumes"} & set(json.loads(got.partition(b"\r\n\r\n")[2]))
    else:
        assert 400 <= status < 500, got
