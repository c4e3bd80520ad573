"""What a killed owner of a home leaves: its children are ended, nobody else's."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.embedded.identity import Identity
from upnext.home import Home, StackFile

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that would run for a minute."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(command) as process:  # noqa: S603 - the command is ours
        yield process
        process.kill()


def test_children_of_a_killed_owner_are_ended(home: Home, sleeper: subprocess.Popen[bytes]) -> None:
    home.make()
    gone = Identity(os.getpid(), Identity.own().created - 60)
    child = Identity.of(sleeper.pid)
    home.publish(StackFile(owner=gone, command="upnext up", secret="", children=(child,)))
    with home.lock("upnext up"):
        assert not child.alive


def test_a_stranger_with_the_pid_of_a_child_lives_on(
    home: Home, sleeper: subprocess.Popen[bytes]
) -> None:
    home.make()
    own, child = Identity.own(), Identity.of(sleeper.pid)
    stranger = Identity(child.pid, child.created - 60)
    gone = Identity(own.pid, own.created - 60)
    home.publish(StackFile(owner=gone, command="upnext up", secret="", children=(stranger,)))
    with home.lock("upnext up"):
        assert sleeper.poll() is None


def test_what_does_not_stop_is_killed(sleeper: subprocess.Popen[bytes]) -> None:
    deaf = Identity.of(sleeper.pid)
    deaf.end(signal.SIGCONT, 0.1)
    assert not deaf.alive
