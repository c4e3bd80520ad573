"""What is asked of Prometheus, wherever it stands: rules, dashboards, pages, the autoscaler's.

`python -m tests.monitoring` prints all of it as one file of rules, for promtool to parse.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path("deploy/monitoring")
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((HERE / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED: dict[str, str] = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
DASHBOARDS = {
    path.name: json.loads(path.read_text())
    for path in sorted((HERE / "grafana" / "dashboards").glob("*.json"))
}
PAGES = (Path("docs/slo.md"), Path("docs/runbook.md"))
Queries = Iterator[tuple[str, str]]
"""Where each stands, and the query."""


def everything() -> Queries:
    """Every query there is."""
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]
    for name, dashboard in DASHBOARDS.items():
        yield from of_dashboard(name, dashboard)
    for page in PAGES:
        for query in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL):
            yield page.name, query
    yield from of_autoscaler()


def of_dashboard(name: str, dashboard: dict[str, Any]) -> Queries:
    """Those of a dashboard's panels and annotations."""
    for note in dashboard["annotations"]["list"]:
        yield f"{name}, {note['name']}", note["expr"]
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield f"{name}, {panel['title']}", target["expr"]


def of_autoscaler() -> Queries:
    """Those of prometheus-adapter, for the pod that it would ask for."""
    path = Path("deploy/kubernetes/monitoring/prometheus-adapter.yaml")
    for rule in yaml.safe_load(path.read_text())["rules"]:
        series, _, matchers = rule["seriesQuery"].partition("{")
        named = {"Series": series, "LabelMatchers": matchers[:-1], "GroupBy": "pod"}
        query = rule["metricsQuery"]
        for name, value in named.items():
            query = query.replace(f"<<.{name}>>", value)
        yield path.name, query


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels, those of rows that are folded away included."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


if __name__ == "__main__":
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, (_, query) in enumerate(everything())
    ]
    yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}, sys.stdout)
