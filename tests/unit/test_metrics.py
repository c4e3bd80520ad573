"""What is measured of requests, and its page."""

import re

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.asking import ADMIN
from tests.measured import series, undocumented

pytestmark = pytest.mark.unit


def counted(client: TestClient[Litestar], name: str, **labels: str) -> float:
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    for line in client.get("/metrics").text.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and wanted <= set((found[2] or "").split(",")):
            return float(found[3])
    return 0.0


def test_requests_are_counted_by_route_and_status(client: TestClient[Litestar]) -> None:
    def of(route: str, status: int) -> float:
        name = "upnext_request_seconds_count"
        return counted(client, name, route=route, status=str(status))

    before = of("/recs/{user_id}", 200), of("/recs/{user_id}", 401), of("none", 404)
    client.get("/recs/ann", headers=ADMIN)
    client.get("/recs/ann")
    client.get("/nowhere")
    after = of("/recs/{user_id}", 200), of("/recs/{user_id}", 401), of("none", 404)
    assert after == tuple(number + 1 for number in before)


def test_a_route_is_a_template_whatever_was_asked_for(client: TestClient[Litestar]) -> None:
    for path in (
        "/recs/ann", "/recs/a%2Fb", "/recs/ann/x", "/users/17/recommendations?limit=3", "//recs/x",
        "/videos/v1/similar", "/videos/none-such", "/RECS/ann", "/recs/%00", "/health/live/ann",
    ):  # fmt: skip
        client.get(path, headers=ADMIN)
    client.request("TRACE", "/recs/ann")
    templates = {route.path_format for route in client.app.routes}
    seen = {dict(labels)["route"] for labels in series("upnext_request_seconds_count")}
    assert seen <= templates | {"none"}
    assert undocumented(client.get("/metrics").text, only="upnext_request_seconds") == []


def test_where_lists_come_from_is_counted(client: TestClient[Litestar]) -> None:
    before = counted(client, "upnext_lists_total", outcome="miss")
    client.get("/recs/ann", headers=ADMIN)
    assert counted(client, "upnext_lists_total", outcome="miss") == before + 1


def test_the_page_is_open_and_in_prometheus_form(client: TestClient[Litestar]) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE upnext_request_seconds histogram" in answer.text
