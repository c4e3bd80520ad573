"""Starting, stopping, and what is left behind, with real processes."""

import signal
from pathlib import Path

import psutil
import pytest

from tests.e2e.service import Service
from tests.polling import eventually
from tests.ports import taken_port
from tests.processes import alive, below

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

STOP_SECONDS = 20.0
"""Twice what an orderly stop and then a forced one may take, for a machine that is busy."""


def tree(service: Service) -> list[psutil.Process]:
    assert service.process
    return [psutil.Process(service.process.pid), *below(service.process)]


def test_a_life_of_starts_stops_and_crashes(demo: Service) -> None:
    """Of the service that others have used; it is stopped at the end."""
    beside = demo.run("up", check=False)
    assert beside.returncode == 1
    assert f":{demo.port}" in beside.stderr
    assert "Traceback" not in beside.stderr

    first, models = tree(demo), demo.json("models", "list")
    assert demo.stop(signal.SIGINT) < STOP_SECONDS
    eventually(lambda: not alive(first), seconds=60)

    demo.start()
    second = tree(demo)
    demo.stop(signal.SIGKILL)
    eventually(lambda: not alive(second), seconds=60)

    demo.start()
    with demo.client() as client:
        assert client.get("/health/ready").status_code == 200
    assert demo.json("models", "list") == models  # only the first start trains
    third = tree(demo)
    assert demo.stop(signal.SIGTERM) < STOP_SECONDS
    eventually(lambda: not alive(third), seconds=60)


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with taken_port() as port:
        service = Service(tmp_path / "home", port=port)
        done = service.run("up", check=False)
    assert done.returncode == 1
    assert "UPNEXT_PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home" / "postgres").exists()
