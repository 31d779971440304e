"""A running installation as its operators see it: one request id from the call to the agents, and figures."""

import json
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.real.harness.host import Host
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.protected import protect
from tests.real.harness.waiting import wait_for

from bilocate.cli.installation import control_of

REQUEST_ID = "req-of-a-test.1"


def lines(installation: Installation, name: str) -> list[dict[str, Any]]:
    """What a process said under the request's id."""
    told = (json.loads(line) for line in installation.log(name).splitlines() if line.startswith("{"))
    return [line for line in told if line.get("request_id") == REQUEST_ID]


def series(url: str, name: str) -> dict[frozenset[tuple[str, str]], float]:
    text = httpx.get(url, timeout=5, trust_env=False).raise_for_status().text
    families = text_string_to_metric_families(text)
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return {frozenset(sample.labels.items()): sample.value for sample in samples}


def test_a_request_s_id_follows_its_operation_into_the_agents(installation: Installation) -> None:
    """Also when another life of the controller carries the operation on: the journal has it."""
    group = protect(installation)
    client = installation.client
    client._http.headers["X-Request-Id"] = REQUEST_ID
    group.act("failover")
    group.wait_failed_over("az2")
    del client._http.headers["X-Request-Id"]
    (operation,) = installation.query("SELECT request_id FROM operations WHERE verb = 'failover'")
    assert operation["request_id"] == REQUEST_ID
    steps = {line["step"] for line in lines(installation, "controller") if line["event"] == "step_done"}
    assert {"look", "precheck", "commit", "promote", "serve"} <= steps
    calls = {
        line["path"].rpartition("/")[2]
        for line in lines(installation, "az2")
        if line["event"] == "control_call"
    }
    assert {"precheck", group.group_id} <= calls


def test_the_figures_tell_what_hosts_and_groups_see(installation: Installation, host: Host) -> None:
    group = protect(installation)
    host.start(group.connect("az1"), records=2000)
    agents = {site: f"{control_of(installation.layout, site).url}/metrics" for site in SITES}
    written = series(agents["az1"], "bilocate_write_seconds_count")
    assert written[frozenset({("session", group.group_id)})] >= 2000 / 16 / 2
    sent = series(agents["az1"], "bilocate_session_link_bytes_total")
    assert sent[frozenset({("session", group.group_id), ("direction", "out")})] > 2000 * 4096
    since = frozenset({("group", group.group_id)})
    assert series(f"{installation.api}/metrics", "bilocate_group_seconds_since_in_step")[since] == 0
    installation.kill("az2")
    host.wait_acknowledged(500)
    host.pause()
    assert (
        series(agents["az1"], "bilocate_session_stalls_total")[frozenset({("session", group.group_id)})] == 1
    )

    def told_behind() -> bool:
        behind = series(f"{installation.api}/metrics", "bilocate_group_seconds_since_in_step")[since]
        dirty = series(f"{installation.api}/metrics", "bilocate_group_dirty_bytes")[since]
        up = series(f"{installation.api}/metrics", "bilocate_site_up")[frozenset({("site", "az2")})]
        return behind > 0 and dirty > 0 and not up

    wait_for("figures of a group that is behind", told_behind)
