"""What a container's health check asks, and what it makes of the answer."""

from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection, RemoteDisconnected

import pytest
from click.testing import CliRunner

from upnext.cli import main

pytestmark = pytest.mark.unit


class Answer:
    def __init__(self, status: int) -> None:
        self.status = status


class Machine:
    """What was asked of this machine, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: int | Exception = 200


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Connections that go nowhere."""
    machine = Machine()

    def request(self: HTTPConnection, method: str, path: str) -> None:
        scheme = "https" if isinstance(self, HTTPSConnection) else "http"
        machine.asked.append(f"{method} {scheme}://{self.host}:{self.port}{path}")
        if isinstance(machine.answer, Exception):
            raise machine.answer

    monkeypatch.setattr(HTTPConnection, "request", request)
    monkeypatch.setattr(
        HTTPConnection, "getresponse", lambda _self: Answer(int(str(machine.answer)))
    )
    return machine


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run the command with these variables: its exit code and what it says."""

    def run(*arguments: str, **variables: str) -> tuple[int, str]:
        for name, value in variables.items():
            monkeypatch.setenv(f"UPNEXT_{name.upper()}", value)
        result = CliRunner().invoke(main, ["healthcheck", *arguments])
        return result.exit_code, result.output

    return run


Asks = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("0.0.0.0", "8000", "127.0.0.1:8000"),  # noqa: S104 - what the image listens on
        ("::", "8000", "::1:8000"),
        ("127.0.0.1", "8123", "127.0.0.1:8123"),
    ],
)
def test_it_asks_where_the_api_listens(
    host: str, port: str, address: str, machine: Machine, asks: Asks
) -> None:
    assert asks(host=host, port=port) == (0, "")
    assert asks("--ready") == (0, "")
    assert machine.asked == [
        f"GET http://{address}/health/live",
        f"GET http://{address}/health/ready",
    ]


def test_a_worker_is_asked_at_its_own_port(machine: Machine, asks: Asks) -> None:
    code, said = asks("--worker")
    assert code == 1
    assert "UPNEXT_WORKER_METRICS_PORT" in said
    assert asks("--worker", worker_metrics_port="9100") == (0, "")
    assert machine.asked == ["GET http://127.0.0.1:9100/health/live"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (503, "/health/live at 127.0.0.1, port 8000, answers 503"),
        (ConnectionRefusedError("refused"), "Nobody answers at 127.0.0.1, port 8000: refused"),
        (TimeoutError("timed out"), "Nobody answers"),
        (RemoteDisconnected("closed"), "Nobody answers"),
        (HTTPException(), "HTTPException"),
    ],
)
def test_what_is_not_well_is_said(
    answer: int | Exception, said: str, machine: Machine, asks: Asks
) -> None:
    machine.answer = answer
    code, output = asks()
    assert code == 1
    assert said in output
