"""An agent's figures: what is measured is so, and there are as many series as sessions, whatever hosts do."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.site.agent.pairs import pair_up
from tests.site.agent.world import Controller, Site

from bilocate.site.figures import LATENCY_BOUNDS, Latencies, SessionFigures

pytestmark = pytest.mark.anyio

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def figures_of(site: Site) -> Series:
    async with httpx.AsyncClient(trust_env=False) as anyone:
        answer = await anyone.get(f"{site.up.control_url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def one(series: Series, name: str, **labels: str) -> float:
    return series[name, frozenset(labels.items())]


async def test_the_ledger_tells_what_its_thread_has_done(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    before = await figures_of(az1)
    await host.write(0, b"into an extent without an intent")
    after = await figures_of(az1)
    for name in ("commits", "transactions"):
        told = f"bilocate_ledger_{name}_total"
        assert 0 < one(before, told) < one(after, told)
    assert one(after, "bilocate_ledger_transactions_total") <= one(after, "bilocate_ledger_commits_total")
    assert one(after, "bilocate_ledger_checkpoints_total") == 0
    await host.close()


async def test_an_agent_tells_for_how_long_it_was_awake(az1: Site, az2: Site, controller: Controller) -> None:
    (host,) = await pair_up(az1, az2, controller)
    before = await figures_of(az1)
    for _ in range(64):
        await host.write(0, bytes(4096))
    after = await figures_of(az1)
    told = "bilocate_busy_poll_seconds_total"
    assert 0 <= one(before, told) < one(after, told) < 60
    assert one(after, "bilocate_busy_poll_rests_total") >= 0
    await host.close()


async def test_a_session_tells_its_writes_its_link_and_its_stalls(
    az1: Site, az2: Site, controller: Controller
) -> None:
    (host,) = await pair_up(az1, az2, controller)
    before = await figures_of(az1)
    for number in range(64):
        await host.write(number * 4096, bytes(4096))
    series = await figures_of(az1)
    assert one(series, "bilocate_session_state", session="ses", role="primary", state="in_step") == 1
    assert one(series, "bilocate_session_in_step", session="ses") == 1
    assert one(series, "bilocate_session_stalls_total", session="ses") == 0
    assert one(series, "bilocate_session_dirty_bytes", session="ses") == 0
    assert one(series, "bilocate_write_seconds_count", session="ses") == 4
    assert one(series, "bilocate_write_seconds_bucket", session="ses", le="+Inf") == 4
    assert 0 < one(series, "bilocate_write_seconds_sum", session="ses") < 64
    assert one(series, "bilocate_host_connections", session="ses") == 1
    sent = one(series, "bilocate_session_link_bytes_total", session="ses", direction="out")
    assert (
        sent - one(before, "bilocate_session_link_bytes_total", session="ses", direction="out") >= 64 * 4096
    )
    assert {key for key in series if "state" not in key[0]} == {
        key for key in before if "state" not in key[0]
    }

    await az2.stop()
    await az1.until_session("ses", lambda told: told["state"] == "solo")
    await host.write(0, b"alone")
    after = await figures_of(az1)
    assert one(after, "bilocate_session_state", session="ses", role="primary", state="solo") == 1
    assert one(after, "bilocate_session_stalls_total", session="ses") == 1
    assert one(after, "bilocate_session_hosts_held", session="ses") == 0
    assert one(after, "bilocate_session_held_seconds_total", session="ses") > 0
    assert one(after, "bilocate_session_dirty_bytes", session="ses") > 0
    # The link is gone, and what it has carried stays told.
    assert one(after, "bilocate_session_link_bytes_total", session="ses", direction="out") >= sent
    await host.close()


def test_a_stall_lasts_from_the_gate_s_closing_to_its_opening() -> None:
    figures = SessionFigures()
    figures.moved("starting", "solo", 1.0)
    assert (figures.stalls, figures.held_seconds(9.0)) == (0, 0.0)
    figures.moved("in_step", "tripped", 10.0)
    assert (figures.stalls, figures.held, figures.held_seconds(12.0)) == (1, True, 2.0)
    figures.moved("tripped", "solo", 13.0)
    assert (figures.held, figures.held_seconds(99.0)) == (False, 3.0)
    figures.moved("in_step", "quiescing", 100.0)
    figures.moved("quiescing", "quiesced", 101.0)
    figures.moved("quiesced", "retired", 102.0)
    assert (figures.stalls, figures.held, figures.held_seconds(200.0)) == (2, False, 5.0)


def test_a_write_is_counted_below_the_bound_that_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("bilocate.site.figures.time.monotonic", lambda: now)
    latencies, answered = Latencies(), []
    for took in (0.00005, 0.0001, 0.3, 100.0):
        done = latencies.timed(lambda request, errno: answered.append(errno))
        now += took
        done(None, 0)  # type: ignore[arg-type]  # nobody looks at it
    assert answered == [0, 0, 0, 0]
    assert latencies.counts[0] >= 1
    assert sum(latencies.counts[:2]) == 2  # a bound itself may fall on either side, by the last bit
    assert latencies.counts[LATENCY_BOUNDS.index(0.5)] == 1
    assert latencies.counts[-1] == 1
    assert latencies.seconds == pytest.approx(100.30015)
