"""Whatever the real processes say, from their start to their end, has the form of every line.

And whatever they are asked, they ask nobody else for it.
"""

import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from core.errors import SetupError
from core.redaction import secrets_of
from core.settings import Settings, child_environment
from tests.log_lines import Line, checked
from tests.polling import eventually
from tests.ports import free_port
from tests.probing import CANARY, Listener, baits, probes, send
from tests.served import over_stores
from upnext.serve import check_addresses
from upnext.tokens import make_token

pytestmark = pytest.mark.integration

API = ("-c", "from tests.crashing import run; run()")
HUSH = "hush-hush"
OK, FAULTS = 200, 500
ANSWER_SECONDS = 20


@contextmanager
def running(settings: Settings, log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of ours, all it says in a file; it is told to stop at the end."""
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, *words], env=child_environment(settings), stdout=out, stderr=out
        )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


def said(log: Path) -> list[Line]:
    return checked(log.read_text().split("\n")[:-1])


@pytest.fixture(autouse=True)
def stray(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variable that is named like a setting and is none, and the line about it."""
    monkeypatch.setenv("UPNEXT_REDIS_ULR", f"redis://:{HUSH}@host")
    return "UPNEXT_REDIS_ULR is no setting and does nothing: did you mean UPNEXT_REDIS_URL?"


def is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/ready", timeout=ANSWER_SECONDS).status_code == 200
    except httpx.TransportError:
        return False


def see_that_it_fetches_nothing(settings: Settings, folder: Path) -> None:
    """No request makes it ask an address, or read a file, that the caller has chosen."""
    canary = folder / "canary"
    canary.write_text(CANARY)
    token = make_token(settings, "ops", ("admin",), timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    connection = HTTPConnection("127.0.0.1", settings.port, timeout=ANSWER_SECONDS)
    with Listener() as listener:
        address = f"http://127.0.0.1:{settings.port}/openapi.json"
        document = httpx.get(address, timeout=ANSWER_SECONDS).json()
        statuses: Counter[int] = Counter()
        for probe in probes(document, baits(listener.port, canary)):
            status, answer = send(connection, probe, headers)
            assert status < FAULTS, (probe, answer)
            assert CANARY not in answer, probe
            statuses[status] += 1
        assert statuses[OK] > 100  # the handlers were reached
        assert listener.came == 0
        socket.create_connection(("127.0.0.1", listener.port)).close()
        eventually(lambda: listener.came == 1)  # it would have been seen
    connection.close()


def test_all_that_the_api_says(tmp_path: Path, store_urls: dict[str, str], stray: str) -> None:
    settings = over_stores(tmp_path, **store_urls, access_log_sample="1", log_user_ids="hashed")
    token = make_token(settings, "ann-of-the-log", ("user",), timedelta(hours=1))
    log, address = tmp_path / "api.log", f"http://127.0.0.1:{settings.port}"
    headers = {"Authorization": f"Bearer {token}"}
    asking = httpx.Client(base_url=address, headers=headers, timeout=ANSWER_SECONDS)
    with running(settings, log, *API), asking as client:
        eventually(lambda: is_ready(address), seconds=60)
        see_that_it_fetches_nothing(settings, tmp_path)
        paths = (
            "/recs/ann-of-the-log",
            "/recs/bob-of-the-log",
            f"/crash/{HUSH}",
            f"/no?token={HUSH}",
        )
        answers = [client.get(path) for path in paths]
        assert [answer.status_code for answer in answers] == [200, 403, 500, 404]
        assert not any(char.isdigit() for char in answers[0].headers.get("server", ""))
        assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    lines = said(log)
    messages = [line["message"] for line in lines]
    assert messages[0] == stray
    assert messages[1].startswith("Starting granian")
    assert messages[-1].startswith("Granian shutdown completed")
    requests = [line for line in lines if line["log.logger"] == "upnext.access"]
    assert [line["http.response.status_code"] for line in requests][-4:] == [200, 403, 500, 404]
    assert all(line["event.duration"] > 0 for line in requests)
    assert requests[-4]["user.hash"] == requests[-4]["user.target.hash"]
    [fault] = [line for line in lines if line["message"] == "fault"]
    assert (fault["error.type"], fault["http.route"]) == ("RuntimeError", "/crash/{what}")
    assert fault["http.request.id"] == requests[-2]["http.request.id"]
    assert any("a warning in a request" in message for message in messages)
    assert "An exception ends a thread." in messages
    for secret in (*secrets_of(settings), token, HUSH, "of-the-log"):
        assert secret not in log.read_text()


def test_all_that_the_worker_says(tmp_path: Path, store_urls: dict[str, str], stray: str) -> None:
    port = free_port()
    settings = over_stores(tmp_path, **store_urls, worker_metrics_port=str(port))
    log = tmp_path / "worker.log"
    with running(settings, log, "-m", "upnext", "worker"):
        eventually(lambda: "The worker is running." in log.read_text(), seconds=60)
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=ANSWER_SECONDS)
        headers = page.headers
        assert (headers["server"], headers["x-content-type-options"]) == ("upnext", "nosniff")
    messages = [line["message"] for line in said(log)]
    assert messages[-1] in {
        "The worker has stopped.",
        "The worker leaves before all of its work has stopped: that is done again.",
    }
    assert messages.count(stray) == 1
    for secret in (*secrets_of(settings), HUSH):
        assert secret not in log.read_text()


@pytest.mark.parametrize(
    ("command", "given", "named"),
    [
        ("serve", {"ca_file": "/nowhere"}, "UPNEXT_CA_FILE names /nowhere"),
        ("worker", {}, "UPNEXT_POSTGRES_URL"),  # stores are nowhere
    ],
)
def test_why_a_service_cannot_start_is_a_line_too(
    tmp_path: Path, command: str, given: dict[str, str], named: str
) -> None:
    settings = over_stores(tmp_path, **given)
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "upnext", command],
        env=child_environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    [line] = checked(done.stdout.splitlines())
    assert line["log.level"] == "critical"
    assert named in line["message"]


def test_metrics_have_a_port_of_their_own(tmp_path: Path) -> None:
    port = str(free_port())
    with pytest.raises(SetupError, match="UPNEXT_METRICS_PORT and UPNEXT_PORT are the same"):
        check_addresses(over_stores(tmp_path, port=port, metrics_port=port))
