"""Starting, stopping, and what is left behind, with real processes."""

import signal
from pathlib import Path

import psutil
import pytest

from tests.e2e.service import Service
from tests.polling import eventually
from tests.ports import taken_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def tree(service: Service) -> list[psutil.Process]:
    assert service.process
    main = psutil.Process(service.process.pid)
    return [main, *main.children(recursive=True)]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def test_a_life_of_starts_stops_and_crashes(demo: Service) -> None:
    """Of the service that others have used; it is stopped at the end."""
    beside = demo.run("up", check=False)
    assert beside.returncode == 1
    assert f":{demo.port}" in beside.stderr
    assert "Traceback" not in beside.stderr

    first = tree(demo)
    assert demo.stop(signal.SIGINT) < 10
    eventually(lambda: not alive(first))

    assert demo.start() < 30
    second = tree(demo)
    demo.stop(signal.SIGKILL)
    eventually(lambda: not alive(second))

    assert demo.start() < 30
    with demo.client() as client:
        assert client.get("/health/ready").status_code == 200
    third = tree(demo)
    assert demo.stop(signal.SIGTERM) < 10
    eventually(lambda: not alive(third))


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with taken_port() as port:
        service = Service(tmp_path / "home", port=port)
        done = service.run("up", check=False)
    assert done.returncode == 1
    assert "UPNEXT_PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home" / "postgres").exists()
