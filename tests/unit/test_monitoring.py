"""Alerts, dashboards and pages about them name what exists.

Whether alerts fire when they should is promtool's to say, in `make check-ops`.
"""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import Histogram

from core import metrics
from core.measures import MEASURES, Measure
from tests import promql
from tests.monitoring import ALERTS, DASHBOARDS, HERE, RECORDED, RULES, everything, panels

pytestmark = pytest.mark.unit

TARGET = {"job", "instance", "namespace", "pod"}  # Prometheus gives them to every series
PROMETHEUS = {"up": TARGET, "ALERTS": {"alertname", "alertstate", "severity"}}


def series(measure: Measure) -> dict[str, set[str]]:
    """Names of the series of a metric, as Prometheus has them, with their labels."""
    labels = set(measure.labels) | TARGET
    if measure.kind != "histogram":
        return {measure.name: labels}
    parts = {f"{measure.name}_{part}": labels for part in ("sum", "count")}
    return parts | {f"{measure.name}_bucket": labels | {"le"}}


OF = {name: one for one in MEASURES for name in series(one)}
LABELS = PROMETHEUS | {name: labels for one in MEASURES for name, labels in series(one).items()}
BOUNDS = {
    f"{one._name}_bucket": set(one._kwargs["buckets"])
    for one in vars(metrics).values()
    if isinstance(one, Histogram)
}


def labels_of(name: str) -> set[str]:
    """The labels that a series may have; of a recorded one those that its rule keeps."""
    if name in LABELS:
        return LABELS[name]
    assert name in RECORDED, f"nothing is called {name}"
    return promql.read(RECORDED[name]).grouped


@pytest.mark.parametrize(("where", "query"), [*everything()])
def test_what_is_asked_for_exists(where: str, query: str) -> None:
    read = promql.read(query)
    assert read.selected, f"{where} reads nothing"
    for one in read.selected:
        labels = labels_of(one.name)
        assert set(one.matchers) <= labels, f"{where}: labels of {one.name} are {sorted(labels)}"
        for label, (how, value) in one.matchers.items():
            _can_be(one.name, label, how, value)
    known = set[str]().union(*(labels_of(one.name) for one in read.selected))
    assert read.grouped <= known, f"{where} keeps labels that nothing there has"


def _can_be(name: str, label: str, how: str, value: str) -> None:
    """A value must be one of those that the label has, where these are listed; a bound a bucket."""
    values = OF[name].labels.get(label) if name in OF else None
    if isinstance(values, tuple):
        for one in [value] if how in {"=", "!="} else value.split("|"):
            pattern = re.escape(one) if how in {"=", "!="} else one
            assert any(re.fullmatch(pattern, each) for each in values), f"no {label} is {one}"
    if label == "le" and value != "+Inf":
        bounds = BOUNDS.get(name) or next(BOUNDS[each] for each in BOUNDS if each in RECORDED[name])
        assert float(value) in bounds, f"{name} has no bucket up to {value}"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('sum by (le) (rate(a_bucket{b="c",d!~"e|f{g}"}[5m])) > 0.2 # h', {"a_bucket": {"b", "d"}}),
        ("time() - max(a offset 1h) > 1e9 and on () b:c{d=`e`}", {"a": set(), "b:c": {"d"}}),
        ("0 * sum_over_time(sum[3d]) / 5.5e-3", {"sum": set()}),
        ("rate(a[$__rate_interval]) unless bool", {"a": set()}),
    ],
)
def test_queries_are_read(query: str, names: dict[str, set[str]]) -> None:
    assert {one.name: set(one.matchers) for one in promql.read(query).selected} == names


@pytest.mark.parametrize("query", ["rat(a[5m])", "a[5 minutes]", 'a{b="c}', "sum by (a", "a; b"])
def test_what_is_no_query_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        promql.read(query)


def test_every_alert_is_labelled_and_leads_to_its_page() -> None:
    headings = re.findall(r"^#+ (.+)$", Path("docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
    names = [alert["alert"] for alert in ALERTS]
    assert len(set(names)) == len(names) > 0
    assert set(names) <= set(headings), "each has an entry of its name"
    for alert in ALERTS:
        assert set(alert["labels"]) == {"severity"}
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page == "docs/runbook.md"
        assert anchor in anchors, f"docs/runbook.md has no heading for {anchor}"


def test_every_alert_is_tested_where_it_fires_and_where_it_does_not() -> None:
    told: dict[bool, set[str]] = {True: set(), False: set()}
    for path in sorted((HERE / "tests").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["tests"]:
            for test in group["promql_expr_test"]:
                for found in re.findall(r'alertname=~?"([^"]+)"', test["expr"]):
                    told[bool(test["exp_samples"])].update(found.split("|"))
    names = {alert["alert"] for alert in ALERTS}
    assert names - told[True] == set(), "no test in which they fire"
    assert names - told[False] == set(), "no test in which they do not"


def test_every_recorded_series_is_used() -> None:
    asked = {one.name for _, query in everything() for one in promql.read(query).selected}
    assert set(RECORDED) <= asked
    assert len(RECORDED) + len(ALERTS) == len(RULES)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_one_that_grafana_takes(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert dashboard["uid"]
    assert dashboard["schemaVersion"] >= 36, "panels name their source by type and uid since then"
    assert "id" not in dashboard, "Grafana gives it"
    ids = [panel["id"] for panel in panels(dashboard)]
    assert len(set(ids)) == len(ids) > 0
    source = next(one for one in dashboard["templating"]["list"] if one["type"] == "datasource")
    assert source["query"] == "prometheus"
    for panel in panels(dashboard):
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        if panel["type"] == "row":
            continue
        assert panel["targets"], f"{panel['title']} asks for nothing"
        for target in (panel, *panel["targets"]):
            assert target["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)


def test_processes_are_scraped_under_the_names_that_rules_know_them_by() -> None:
    scraped = yaml.safe_load((HERE / "prometheus.yml").read_text())["scrape_configs"]
    known = {
        name
        for _, query in everything()
        for one in promql.read(query).selected
        for name in one.matchers.get("job", ("", ""))[1].split("|")
        if name
    }
    assert known == {"upnext-api", "upnext-worker"}
    assert known <= {one["job_name"] for one in scraped}
