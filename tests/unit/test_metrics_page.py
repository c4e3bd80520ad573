"""docs/metrics.md says what the code measures; nothing that is said of metrics is invented."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from core.measures import MEASURES
from tests import metrics_page
from tests.measured import undocumented

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
NAMES = re.compile(r"\bupnext_[a-z_]+_(?:total|seconds|bytes|info|open|letters|queued|videos)\b")


def test_the_page_is_what_the_code_says() -> None:
    page = metrics_page.PAGE.read_text()
    assert metrics_page.with_tables(page) == page, "`make metrics-doc` writes it anew"


def test_every_metric_of_this_service_is_in_the_document() -> None:
    """One made in another way than by `core.measures` would not be."""
    made = {one.name for one in REGISTRY.collect() if one.name.startswith("upnext_")}
    assert made == {one.name.removesuffix("_total") for one in MEASURES}


def test_every_metric_has_words_and_labels_that_can_have_values() -> None:
    assert len({one.name for one in MEASURES}) == len(MEASURES)
    for one in MEASURES:
        assert one.help.endswith("."), one.name
        assert "|" not in one.help, one.name  # it stands in a table
        assert all(one.labels.values()), one.name


def test_other_pages_speak_of_metrics_that_there_are() -> None:
    known = {one.name for one in MEASURES}
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    assert [
        f"{page.name}: {name}"
        for page in pages
        for name in NAMES.findall(page.read_text())
        if name not in known
    ] == []


def test_what_a_page_has_too_much_is_found() -> None:
    page = """\
# TYPE upnext_lists_total counter
upnext_lists_total{outcome="local"} 1.0
upnext_lists_total{outcome="elsewhere"} 1.0
# TYPE upnext_request_seconds histogram
upnext_request_seconds_bucket{le="0.5",route="/recs/{user_id}",status="200"} 1.0
upnext_request_seconds_count{route="/recs/17",status="200"} 1.0
upnext_request_seconds_count{route="/recs/{user_id}"} 1.0
# TYPE upnext_inventions_total counter
upnext_inventions_total 1.0
python_info{version="3"} 1.0
"""
    assert undocumented(page) == [
        "upnext_inventions_total",
        'upnext_lists_total{outcome="elsewhere"}',
        'upnext_request_seconds_count{route="/recs/17"}',
        "upnext_request_seconds_count{route}",
    ]
