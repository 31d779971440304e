"""Two controllers on one PostgreSQL under load, while controllers are killed and the database is restarted.

`make test` runs a sample of it, `make test-long` all of it: sixteen clients for five minutes, a random controller
killed every twenty seconds, the database restarted twice. No operation may be lost, none run twice, no call end in
a 500, and the final state must be right.
"""

import json
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.load.clients import Diary, LoadClient, fails_over_and_back, volumes_come_and_go
from tests.postgres import new_database, own_server
from tests.postgres_server import Server
from tests.real.conftest import LONG, Tell
from tests.real.harness.cluster import Cluster
from tests.real.harness.installation import SITES
from tests.real.harness.protected import Protected, is_in_step, protect
from tests.real.harness.waiting import wait_for

from bilocate.cli.credentials import find_credentials

pytestmark = pytest.mark.timed

SEED = 20260131
CLIENTS = 16
GROUPS = 2  # of the clients so many have a group each, which they fail over and back
SECONDS, KILL_EVERY, DATABASE_RESTARTS = (300.0, 20.0, 2) if LONG else (8.0, 5.0, 1)
DOWN_SECONDS = 3.0


class Disturbance:
    """Kills controllers and restarts the database, until told to stop."""

    def __init__(self, cluster: Cluster, server: Server) -> None:
        self._cluster, self._server = cluster, server
        self._draw = random.Random(SEED)
        self.kills = self.restarts = 0

    def run(self, seconds: float) -> None:
        """Comes back when it is over; everything runs then."""
        began = time.monotonic()
        restarts_at = [seconds * (n + 1) / (DATABASE_RESTARTS + 1) for n in range(DATABASE_RESTARTS)]
        next_kill = KILL_EVERY / 2
        while (now := time.monotonic() - began) < seconds:
            if restarts_at and now >= restarts_at[0]:
                restarts_at.pop(0)
                self._server.stop("immediate" if self.restarts % 2 == 0 else "fast")
                time.sleep(DOWN_SECONDS)
                self._server.start()
                self.restarts += 1
            if now >= next_kill:
                next_kill += KILL_EVERY
                name = self._draw.choice(self._cluster.controllers)
                self._cluster.kill(name)
                time.sleep(DOWN_SECONDS)
                self._cluster.start(name, wait=False)
                self.kills += 1
            time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_operation_is_lost_or_run_twice_under_load_kills_and_restarts(tmp_path: Path, tell: Tell) -> None:
    with own_server() as server:
        cluster = Cluster(tmp_path / "cluster", new_database(server.directory, "load"))
        try:
            cluster.up()
            groups = [protect(cluster, pairs=1) for _ in range(GROUPS)]
            diary = Diary()
            disturbance = Disturbance(cluster, server)
            under_load(cluster, groups, diary, disturbance)
            figures(diary, disturbance, tell)
            for name in cluster.controllers:
                cluster.wait_ready(name)
            judge(cluster, groups, diary)
        finally:
            cluster.end()


def under_load(cluster: Cluster, groups: list[Protected], diary: Diary, disturbance: Disturbance) -> None:
    """All clients, until the disturbance is over; each ends what it has begun."""
    addresses = [cluster.address(name) for name in cluster.controllers]
    credentials = find_credentials(cluster.layout.root)
    over = threading.Event()

    def keep(number: int, work: Callable[[LoadClient], None]) -> None:
        client = LoadClient(addresses, credentials, diary, SEED + number)
        try:
            while not over.is_set():
                work(client)
        except Exception as error:
            with diary.lock:
                diary.broken.append(f"client {number}: {error!r}")
        finally:
            client.close()

    works: list[Callable[[LoadClient], None]] = [
        lambda client, group_id=group.group_id: fails_over_and_back(client, diary, group_id)  # type: ignore[misc]
        for group in groups
    ]
    works += [
        lambda client, number=number: volumes_come_and_go(client, diary, number)  # type: ignore[misc]
        for number in range(CLIENTS - GROUPS)
    ]
    threads = [threading.Thread(target=keep, args=(n, work), daemon=True) for n, work in enumerate(works)]
    for thread in threads:
        thread.start()
    try:
        disturbance.run(SECONDS)
    finally:
        over.set()
        for thread in threads:
            thread.join(120)


def judge(cluster: Cluster, groups: list[Protected], diary: Diary) -> None:
    """Everything that must be so at the end."""
    assert diary.broken == []

    def all_ended() -> bool:
        return not cluster.query("SELECT 1 FROM operations WHERE status IN ('running', 'undoing')")

    wait_for(
        "end of all operations",
        all_ended,
        60,
        lambda: cluster.query("SELECT * FROM operations WHERE lease_owner IS NOT NULL"),
    )
    begun = Counter(row["request_id"] for row in cluster.query("SELECT request_id FROM operations"))
    for asked in diary.asked:
        count = begun[asked.request_id]
        assert count == 1 if asked.accepted else count <= (asked.accepted is None), (asked, count)
    steps_done_once(cluster)
    for name in cluster.controllers:
        for line in cluster.log(name).splitlines():
            assert json.loads(line).get("level") not in ("error", "critical"), line
    for group in groups:
        wait_for("step", lambda group=group: is_in_step(group.seen()), 60, group.words)  # type: ignore[misc]
        group.assert_equal()
    statuses = Counter(row["status"] for row in cluster.query("SELECT status FROM volumes"))
    assert statuses == {"available": 2 * len(groups)}
    held = "SELECT id FROM {} WHERE operation_id IS NOT NULL"
    assert not any(cluster.query(held.format(table)) for table in ("volumes", "pairs", "groups"))
    wanted = {row["id"] for row in cluster.query("SELECT id FROM volumes")}
    at_sites = {volume for site in SITES for volume in cluster.ask_agent(site, "status")["volumes"]}
    assert at_sites == wanted


def steps_done_once(cluster: Cluster) -> None:
    """No step was committed twice: what was undone for a lost race, and begun anew, is another round."""
    rounds = {row["id"]: row["rounds"] for row in cluster.query("SELECT id, rounds FROM operations")}
    done: Counter[tuple[str, str]] = Counter()
    for name in cluster.controllers:
        for line in cluster.log(name).splitlines():
            told = json.loads(line)
            if told["event"] == "step_done":
                done[told["operation"], told["step"]] += 1
    assert done
    for (operation, step), count in done.items():
        assert count <= 1 + rounds[operation], (operation, step)


def figures(diary: Diary, disturbance: Disturbance, tell: Tell) -> None:
    """What docs/api.md tells."""
    good = sorted(seconds for seconds, status in diary.calls if status < 500)
    tell(
        calls_a_second=len(diary.calls) / SECONDS,
        call_seconds_median=statistics.median(good),
        call_seconds_95_of_100=good[int(len(good) * 0.95)],
        call_seconds_most=good[-1],
        answered_503=sum(status == 503 for _, status in diary.calls),
        operations_asked_for=len(diary.asked),
        outcomes_unknown=sum(asked.accepted is None for asked in diary.asked),
        controllers_killed=disturbance.kills,
        database_restarts=disturbance.restarts,
        **{what.replace(" ", "_"): count for what, count in diary.cycles.items()},
    )
