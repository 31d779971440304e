"""A controller that is told to stop: it answers what is in flight, hands its operations on, and ends in time."""

import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import httpx
import pytest
from tests.postgres import new_database, own_server
from tests.postgres_server import Server
from tests.real.conftest import Tell
from tests.real.harness.cluster import Cluster
from tests.real.harness.door import Door
from tests.real.harness.waiting import wait_for

from bilocate.api.gate import CUT_OFF
from bilocate.cli.credentials import find_credentials
from bilocate.operations.verbs import all_verbs

pytestmark = pytest.mark.timed

END_SECONDS = 10.0
HAND_ON_SECONDS = 3.0  # others look once a second
CALLERS = 8
WAITS = '"controller_waits_for_database"'
UNFINISHED = "status IN ('running', 'undoing')"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The database's."""
    with own_server() as server:
        yield server


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Cluster]:
    """Two controllers on one database, for all tests here."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), new_database(server.directory, "stopping"))
    for name in cluster.controllers:
        cluster.append_config(name, "[limits]\nshutdown_seconds = 2.0")  # less than is usual, to be faster
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture(scope="module")
def door(standing: Cluster) -> Iterator[Door]:
    """Of the controller that is told to stop."""
    door = Door(standing.address("controller"), find_credentials(standing.layout.root))
    yield door
    door.close()


@pytest.fixture
def cluster(standing: Cluster) -> Cluster:
    """With both controllers running."""
    if standing.layout.daemon("controller").pid() is None:
        standing.start_controller("controller")
    return standing


def told_to_end(cluster: Cluster, name: str = "controller") -> float:
    """SIGTERM; tells when."""
    os.kill(cluster.pid(name), signal.SIGTERM)
    return time.monotonic()


def ended_after(cluster: Cluster, name: str = "controller") -> float:
    """SIGTERM; the seconds until its process is gone."""
    began = told_to_end(cluster, name)
    cluster.wait_dead(name)
    return time.monotonic() - began


def volume_body(site: str) -> dict[str, dict[str, object]]:
    return {"volume": {"size": 1, "availability_zone": site, "name": uuid.uuid4().hex}}


def wait_all_ended(cluster: Cluster) -> None:
    kept = f"SELECT verb, step, lease_owner FROM operations WHERE {UNFINISHED}"
    wait_for("end of all operations", lambda: not cluster.query(kept), 30.0, lambda: cluster.query(kept))


@pytest.mark.slow
def test_under_load_every_call_that_was_taken_is_answered_and_operations_are_handed_on(
    cluster: Cluster, door: Door, tell: Tell
) -> None:
    over, unanswered = threading.Event(), list[str]()
    answered: list[tuple[str, httpx.Response]] = []  # with the names of the volumes

    def keep_calling() -> None:
        with httpx.Client(timeout=30, trust_env=False, headers=door.headers) as http:
            while not over.is_set():
                body = volume_body("az1")
                name = str(body["volume"]["name"])
                try:
                    answered.append((name, http.post(door.address + door.volumes, json=body)))
                except httpx.TransportError:
                    # It came when nothing was taken any more. Whatever was taken has an answer.
                    unanswered.append(name)
                    return

    with ThreadPoolExecutor(CALLERS) as callers:
        calling = [callers.submit(keep_calling) for _ in range(CALLERS)]
        wait_for("calls that are answered", lambda: len(answered) > 3 * CALLERS)
        seconds = ended_after(cluster)
        over.set()
        for each in calling:
            each.result(30)
    tell(controller_ended_seconds=seconds)
    assert seconds <= END_SECONDS
    assert {answer.status_code for _, answer in answered} <= {202, 503}
    kept = f"SELECT id FROM operations WHERE {UNFINISHED} AND lease_owner LIKE ?"
    assert cluster.query(kept, "controller/%") == []
    wait_all_ended(cluster)
    made = {row["name"] for row in cluster.query("SELECT name FROM volumes WHERE status = 'available'")}
    begun = {row["name"] for row in cluster.query("SELECT name FROM volumes")}
    assert {name for name, answer in answered if answer.status_code == 202} <= made
    # A call that had to be cut off may have been carried out, and says so.
    refused = {name for name, each in answered if each.status_code == 503 and CUT_OFF not in each.text}
    assert not begun & (refused | set(unanswered))


@pytest.mark.slow
def test_503_with_retry_after_while_it_stops_and_the_call_in_flight_is_answered(
    cluster: Cluster, door: Door
) -> None:
    """Whoever says no more, be it half a head or half a body, does not keep it; the half body is answered too."""
    body = json.dumps(volume_body("az1")).encode()
    half_head = socket.create_connection(door.host_and_port)
    half_head.sendall(b"GET /v2/ HTTP/1.1\r\nX-Auth")
    with (
        closing(half_head),
        closing(half_a_call(door, body)) as stays,
        closing(half_a_call(door, body)) as call,
    ):
        began = told_to_end(cluster)
        refused = wait_for("refusal", lambda: refusal(door))
        assert refused is not None
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.headers["Connection"] == "close"
        assert refused.json()["serviceUnavailable"]["code"] == 503
        assert door.call("GET", "/readyz?only=database").status_code == 503
        call.send(body[HALF:])
        assert call.getresponse().status == 202
        cut_off = stays.getresponse()
        assert cut_off.status == 503
        assert int(cut_off.headers["Retry-After"]) > 0
        cluster.wait_dead("controller")
    assert time.monotonic() - began <= END_SECONDS
    assert '"requests_cut_off"' in cluster.log("controller")
    wait_all_ended(cluster)


@pytest.mark.slow
def test_an_operation_that_waits_for_a_site_is_handed_on_at_once(
    cluster: Cluster, door: Door, tell: Tell
) -> None:
    volume_id = wait_for("an operation that waits", lambda: volume_that_waits(cluster, door))
    mine = "SELECT id, lease_owner, fence FROM operations WHERE target_id = ?"
    assert ended_after(cluster) <= END_SECONDS
    ended = time.monotonic()

    def taken_over() -> bool:
        return str(cluster.query(mine, volume_id)[0]["lease_owner"]).startswith("controller2/")

    wait_for("takeover", taken_over, HAND_ON_SECONDS, lambda: cluster.query(mine, volume_id))
    tell(handed_on_seconds=time.monotonic() - ended)
    cluster.thaw("az2")
    wait_all_ended(cluster)
    (volume,) = cluster.query("SELECT status FROM volumes WHERE id = ?", volume_id)
    assert volume["status"] == "available"
    operation_id = cluster.query(mine, volume_id)[0]["id"]
    steps = cluster.query("SELECT name, undone_at FROM operation_steps WHERE operation_id = ?", operation_id)
    assert len(steps) == len(all_verbs()["create_volume"].steps)
    assert all(step["undone_at"] is None for step in steps)


@pytest.mark.slow
def test_503_while_the_database_is_away_which_keeps_no_controller_from_ending_or_starting(
    cluster: Cluster, door: Door, server: Server
) -> None:
    """One ends while the server hangs; another when it has ended. Started meanwhile they wait for it."""
    server.freeze()
    try:
        assert ended_after(cluster, "controller2") <= END_SECONDS
    finally:
        server.thaw()
    server.stop()
    try:
        away = door.call("GET", "volumes")
        assert away.status_code == 503
        assert int(away.headers["Retry-After"]) > 0
        assert away.json()["serviceUnavailable"]["error_code"] == "EVS.5503"
        assert ended_after(cluster) <= END_SECONDS
        for name in cluster.controllers:
            cluster.start(name, wait=False)
            wait_for("a controller that waits", lambda name=name: WAITS in cluster.log(name))  # type: ignore[misc]
        assert ended_after(cluster, "controller2") <= END_SECONDS
    finally:
        server.start()
    cluster.wait_ready("controller")
    assert door.call("GET", "volumes").status_code == 200


HALF = 10


def half_a_call(door: Door, body: bytes) -> HTTPConnection:
    """Volumes' POST, in the controller's hands, without the end of its body."""
    call = HTTPConnection(*door.host_and_port, timeout=20)
    call.putrequest("POST", door.volumes)
    for name, value in {**door.headers, "Content-Length": str(len(body))}.items():
        call.putheader(name, value)
    call.endheaders(body[:HALF])
    # What came later has been answered.
    assert door.call("GET", "/healthz").status_code == 200
    return call


def volume_that_waits(cluster: Cluster, door: Door) -> str | None:
    """A volume at az2, which has stopped before it has made it; None when it was too fast."""
    cluster.thaw("az2")
    made = door.call("POST", "volumes", json=volume_body("az2"))
    cluster.freeze("az2")
    assert made.status_code == 202, made.text
    volume_id = str(made.json()["volume"]["id"])
    under_way = f"SELECT 1 FROM operations WHERE target_id = ? AND {UNFINISHED}"
    return volume_id if cluster.query(under_way, volume_id) else None


def refusal(door: Door) -> httpx.Response | None:
    """The answer to a new call, once it is none."""
    answer = door.call("GET", "volumes")
    return answer if answer.status_code == 503 else None
