"""Stopping and killing `upnext up` while it starts: nothing is left, nothing blocks the next."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from upnext.home import Home

pytestmark = pytest.mark.integration
DEADLINE_SECONDS = 30.0
STOP_SECONDS = 10.0


def until(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition; fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def port() -> Iterator[int]:
    """A port of ours: `up` must refuse it while we listen."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def start(home: Home, port: int | None = None) -> subprocess.Popen[str]:
    if port is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    return subprocess.Popen(
        [sys.executable, "-m", "upnext", "up"],
        env={"PATH": os.defpath, "UPNEXT_HOME": str(home.path), "UPNEXT_PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def serving(home: Home) -> bool:
    """Whether the servers answer and the first data is being made."""
    stack = home.live()
    return stack is not None and stack.endpoints is not None


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [
        each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE
    ]


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_of_starting(home: Home, wish: signal.Signals) -> None:
    with start(home) as process:
        until(lambda: serving(home))
        children = family(process)
        began = time.monotonic()
        process.send_signal(wish)
        output = process.communicate(timeout=15)[0]
    assert time.monotonic() - began < STOP_SECONDS
    assert process.returncode == 130
    assert "Stopped before it was ready." in output
    assert len(children) >= 4
    assert not running(children)
    assert home.stack() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_killed_in_the_middle_of_starting(home: Home) -> None:
    with start(home) as process:
        until(lambda: serving(home))
        children = family(process)
        process.kill()
        until(lambda: not running(children))
    with start(home) as second:
        until(lambda: serving(home))
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
