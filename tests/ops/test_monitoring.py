"""deploy/prometheus and deploy/grafana: rules and panels ask for what a loaded lossd says."""

from __future__ import annotations

import json
import math
import pathlib
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from local_server import LocalServer
from programs import DEPLOY, OPS, program, run
from prometheus import prometheus
from server import (
    SMALL_BUDGET,
    compute,
    load,
    measured_server,
    wait_until,
)
from status_port import http_address, metrics
from traffic import Traffic

RULES = DEPLOY / "prometheus" / "lossd.rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "lossd.json"


def rules() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def panels() -> list[tuple[str, str]]:
    """Each panel's title, with each of its expressions."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [(p["title"], t["expr"]) for p in dashboard["panels"] for t in p["targets"]]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """A server that has seen calls of every kind."""
    with measured_server(SMALL_BUDGET) as server:
        load(server)
        yield server


def test_every_metric_that_is_asked_for_exists(server: LocalServer) -> None:
    said = metrics(server)
    names = set(re.findall(r"^(\w+)[{ ]", said, re.MULTILINE))
    assert "lossd_queue_seconds_bucket" in names
    names.add("lossd_certificate_expiry_timestamp_seconds")  # There with TLS alone.
    queries = [rule["expr"] for rule in rules()] + [expr for _, expr in panels()]
    for query in queries:
        # Recorded names have colons, and are the rules' own.
        asked = set(re.findall(r"(?<![:\w])(?:lossd|process)_\w+(?!:)\b", query))
        assert asked <= names, query


def test_labels_that_rules_ask_for_exist(server: LocalServer) -> None:
    said = metrics(server)
    assert re.search(r'^lossd_rejected_total\{reason="TOO_LARGE"\} 1$', said, re.MULTILINE)
    assert 'code="INVALID_ARGUMENT"' in said


def test_rules_are_right() -> None:
    run("promtool", "check", "rules", "--lint-fatal", RULES)
    run("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yaml")


def test_each_alert_fires_when_it_should() -> None:
    tests = RULES.with_name("lossd.rules.test.yaml")
    run("promtool", "test", "rules", tests)
    fired = set()
    for test in yaml.safe_load(tests.read_text())["tests"]:
        fired |= {case["alertname"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules() if "alert" in rule}


def test_metrics_follow_the_conventions(server: LocalServer) -> None:
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=metrics(server),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_dashboard_is_one() -> None:
    python = OPS / "venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("there is no grafana-foundation-sdk: `make test-ops` installs it")
    program_text = (
        "import json, sys; from grafana_foundation_sdk.models.dashboard import Dashboard;"
        "print(Dashboard.from_json(json.load(open(sys.argv[1]))).uid)"
    )
    said = subprocess.run(
        [python, "-c", program_text, DASHBOARD], capture_output=True, text=True, check=True
    )
    assert said.stdout == "lossd\n"
    ids = [panel["id"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.clusters
def test_every_expression_has_an_answer(server: LocalServer, tmp_path: pathlib.Path) -> None:
    traffic = Traffic(compute(server.address, side=8), threads=1)
    with traffic, prometheus(tmp_path, http_address(server)) as asked:
        for title, expression in panels():
            query = expression.replace("$instance", ".*").replace("$__rate_interval", "10s")
            values = asked.values(query)
            assert values, f"{title}: {query} gives nothing"
            assert not all(map(math.isnan, values)), f"{title}: {query} gives no number"
        recorded = [rule["record"] for rule in rules() if "record" in rule]
        wait_until(lambda: all(asked.values(name) for name in recorded))
        for group in asked.ask("rules")["groups"]:
            for rule in group["rules"]:
                assert rule["health"] == "ok", rule
        firing = {alert["labels"]["alertname"] for alert in asked.ask("alerts")["alerts"]}
    assert not traffic.errors
    assert "LossdRefusesForSize" in firing
