"""Stopping and killing `upnext up` while it starts: nothing is left, nothing blocks the next."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.polling import eventually
from tests.ports import free_port, taken_port
from tests.processes import alive, below
from upnext.home import Home

pytestmark = pytest.mark.integration
DEADLINE_SECONDS = 90.0
STOP_SECONDS = 20.0  # twice what stopping may take, for a machine that is busy


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def port() -> Iterator[int]:
    """A port of ours: `up` must refuse it while we listen."""
    with taken_port() as port:
        yield port


def start(home: Home, port: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "upnext", "up"],
        env={
            "PATH": os.defpath,
            "UPNEXT_HOME": str(home.path),
            "UPNEXT_PORT": str(port or free_port()),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def serving(home: Home) -> bool:
    """Whether the servers answer and the first data is being made."""
    stack = home.live()
    return stack is not None and stack.endpoints is not None


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_of_starting(home: Home, wish: signal.Signals) -> None:
    with start(home) as process:
        eventually(lambda: serving(home), seconds=DEADLINE_SECONDS)
        children = below(process)
        began = time.monotonic()
        process.send_signal(wish)
        output = process.communicate(timeout=40)[0]
    assert time.monotonic() - began < STOP_SECONDS
    assert process.returncode == 130
    assert "Stopped before it was ready." in output
    assert len(children) >= 4
    assert not alive(children)
    assert home.stack() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_killed_in_the_middle_of_starting(home: Home) -> None:
    with start(home) as process:
        eventually(lambda: serving(home), seconds=DEADLINE_SECONDS)
        children = below(process)
        process.kill()
        eventually(lambda: not alive(children), seconds=DEADLINE_SECONDS)
    with start(home) as second:
        eventually(lambda: serving(home), seconds=DEADLINE_SECONDS)
        second.send_signal(signal.SIGINT)
        assert second.wait(15) == 130


def test_a_second_start_beside_the_first_and_a_taken_port(home: Home, port: int) -> None:
    with start(home, port) as refused:
        output = refused.communicate(timeout=DEADLINE_SECONDS)[0]
    assert refused.returncode == 1
    assert f"Port {port} of 127.0.0.1 is taken" in output
    assert "Traceback" not in output
    with home.lock("upnext up"), start(home) as second:
        output = second.communicate(timeout=DEADLINE_SECONDS)[0]
    assert second.returncode == 1
    assert "is starting in" in output
