"""What Kubernetes and Prometheus need of each other: targets, rules, and what the API scales by."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.measures import MEASURES
from tests import promql
from tests.kubernetes import (
    HERE,
    OPERATOR_RULES,
    RULES,
    of_kind,
    operator_rules,
)

pytestmark = pytest.mark.unit

ADAPTER = yaml.safe_load((HERE / "monitoring" / "prometheus-adapter.yaml").read_text())["rules"]
PROMTOOL = HERE.parent / "monitoring" / "tests" / "autoscaling.yml"


def test_prometheus_finds_every_process_under_the_names_that_its_rules_know() -> None:
    services = of_kind("Service")
    found = set()
    for monitor in of_kind("ServiceMonitor").values():
        assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = (
            each for each in services.values() if wanted <= each["metadata"]["labels"].items()
        )
        for endpoint in monitor["spec"]["endpoints"]:
            assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
            assert endpoint["path"] == "/metrics"
        found.add(service["metadata"]["name"])
        assert f'job="{service["metadata"]["name"]}"' in OPERATOR_RULES.read_text()
    assert found == services.keys()


def test_the_operators_rules_are_those_of_the_tests() -> None:
    assert OPERATOR_RULES.read_text() == operator_rules(), "run `make kubernetes-rules`"
    (rules,) = of_kind("PrometheusRule").values()
    names = [group["name"] for group in rules["spec"]["groups"]]
    assert names
    assert len(names) == len(set(names))


def asked(rule: dict[str, Any], matchers: str) -> str:
    """The query that the adapter sends for the pods of a namespace."""
    query: str = rule["metricsQuery"]
    for mark, value in {
        "<<.Series>>": rule["name"]["matches"].strip("^$"),
        "<<.LabelMatchers>>": matchers,
        "<<.GroupBy>>": "pod",
    }.items():
        query = query.replace(mark, value)
    assert "<<" not in query
    return query


def test_the_scaler_asks_for_what_the_adapter_offers() -> None:
    (scaler,) = of_kind("HorizontalPodAutoscaler").values()
    metrics = scaler["spec"]["metrics"]
    wanted = {each["pods"]["metric"]["name"] for each in metrics if each["type"] == "Pods"}
    assert {rule["name"]["as"] for rule in ADAPTER} == wanted


@pytest.mark.parametrize("rule", ADAPTER)
def test_the_adapter_reads_what_is_measured(rule: dict[str, Any]) -> None:
    """The very answers that are promised to come in time."""
    (measure,) = (each for each in MEASURES if each.name == "upnext_request_seconds")
    promised = promql.read(_recorded("upnext:list_seconds_bucket:rate5m")).selected[0].matchers
    for one in promql.read(asked(rule, 'pod="a"')).selected:
        assert one.name == f"{measure.name}_bucket"
        assert one.matchers.keys() - {"le", "pod"} <= measure.labels.keys()
        assert {name: one.matchers[name] for name in promised} == promised
    (series,) = promql.read(rule["seriesQuery"]).selected
    assert series.name == f"{measure.name}_bucket"
    assert series.matchers["job"][1] in of_kind("Service")
    paths = json.loads(Path("contracts/openapi.json").read_text())["paths"]
    assert set(promised["route"][1].split("|")) <= paths.keys()


def _recorded(name: str) -> str:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    found = [rule for group in groups for rule in group["rules"] if rule.get("record") == name]
    return str(found[0]["expr"])


def test_promtool_is_asked_about_the_adapters_query() -> None:
    tests = yaml.safe_load(PROMTOOL.read_text())["tests"]
    queries = {each["expr"] for test in tests for each in test["promql_expr_test"]}
    matchers = 'namespace="upnext",pod=~"busy|idle|quick"'
    assert queries == {asked(rule, matchers) for rule in ADAPTER}
