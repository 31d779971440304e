"""The alert rules and the dashboard that come with the product: they work, and name nothing that is not there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bilocate.api.metrics import GroupFigures, Metrics, Moment
from bilocate.site.figures import Latencies, SessionFigures
from bilocate.site.ledger import LedgerStats
from bilocate.site.metrics import Page, add_ledger, add_session

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "bilocate-alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "bilocate.json"
RULE_TESTS = Path(__file__).with_name("alerts_test.yml")
SECONDS = 60

Names = dict[str, set[str]]


def promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool was not found: make system-packages brings it")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=SECONDS, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def told() -> Names:
    """Every series that a controller and an agent tell, with its labels."""
    metrics = Metrics("c")
    metrics.measure("GET", "/", 200, 0.1)
    group = GroupFigures("g", "available", "active", "0", 0.0, 0)
    controller = metrics.text(Moment(True, [("az1", True)], [group], 0, 0.0)).decode()
    page = Page()
    page.add_histogram("bilocate_write_seconds", [Latencies()], session="s")
    page.add("bilocate_host_connections", 0, session="s")
    add_ledger(page, LedgerStats())
    page.add("bilocate_site_info", 1, site="az1", version="1")
    session: dict[str, Any] = {"role": "primary", "state": "solo", "in_step": False, "volumes": []}
    session |= {"unanswered": {"bytes": 0}, "link": {"bytes_in": 0, "bytes_out": 0}}
    add_session(page, "s", session, SessionFigures(), 0.0)
    return {
        sample.name: set(sample.labels)
        for text in (controller, page.text())
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def expressions() -> list[str]:
    """Of the dashboard and of the rules."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [str(target["expr"]) for panel in panels for target in panel["targets"]]
    return [*found, RULES.read_text()]


def test_every_figure_that_the_dashboard_and_the_rules_name_is_told() -> None:
    names = told()
    wanted = {
        name for expression in expressions() for name in re.findall(r"\bbilocate_[a-z_]+\b", expression)
    }
    assert wanted <= set(names), wanted - set(names)
    assert len(wanted) > 10


def test_the_labels_that_they_select_by_are_there() -> None:
    names = told()
    for expression in expressions():
        for name, labels in re.findall(r"\b(bilocate_[a-z_]+)\{([^}]*)\}", expression):
            asked = set(re.findall(r"(\w+)=", labels))
            assert asked <= names[name], f"{name} has no {asked - names[name]}"


def test_every_alert_is_tested() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    fired = re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n\s+- ", RULE_TESTS.read_text())
    assert alerts == set(fired)


def test_the_alerts_fire_when_they_should() -> None:
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", str(RULE_TESTS))


def test_a_crowd_of_unknown_paths_makes_no_series() -> None:
    """What a client sends is in no label: the route is a template, an unknown method is `other`."""
    metrics = Metrics("c")
    for number in range(100):
        metrics.measure(f"BREW{number}", "other", 404, 0.1)
    text = metrics.text(Moment(True, [], [], 0, 0.0)).decode()
    assert text.count("bilocate_http_request_seconds_count{") == 1
