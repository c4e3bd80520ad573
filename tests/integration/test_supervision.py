"""Children that end by themselves are started again, not for ever."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from core.errors import SetupError
from storage.embedded.process import ChildProcess
from upnext.supervision import RESTARTS, Member, Supervisor

pytestmark = pytest.mark.integration


def ending(log: Path, code: str) -> Member:
    """A member that runs `code` and ends."""
    child = ChildProcess("worker", log)
    return Member(child, partial(child.spawn, [sys.executable, "-c", code]))


def wait(member: Member) -> None:
    assert member.child.process is not None
    member.child.process.wait(30)


def test_a_child_that_keeps_ending_is_given_up_with_its_log(tmp_path: Path) -> None:
    member = ending(tmp_path / "log", "print('no luck')")
    lines: list[str] = []
    supervisor = Supervisor([member], lines.append)
    member.start()
    for _ in range(RESTARTS):
        wait(member)
        supervisor.check()
    wait(member)
    with pytest.raises(SetupError, match=r"(?s)worker ended 4 times.*no luck"):
        supervisor.check()
    assert len(lines) == RESTARTS


def test_a_child_that_runs_is_left_alone(tmp_path: Path) -> None:
    member = ending(tmp_path / "log", "import time; time.sleep(60)")
    lines: list[str] = []
    member.start()
    process = member.child.process
    Supervisor([member], lines.append).check()
    assert member.child.process is process
    assert not lines
    member.child.stop()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    member = ending(tmp_path / "log", "raise SystemExit('x: No space left on device')")
    member.start()
    wait(member)
    assert "The disk is full" in str(member.child.failed("ended at its start"))


def test_one_that_is_not_needed_is_given_up_alone(tmp_path: Path) -> None:
    member = replace(ending(tmp_path / "log", "print('no luck')"), needed=False)
    lines: list[str] = []
    supervisor = Supervisor([member], lines.append)
    member.start()
    for _ in range(RESTARTS + 1):
        wait(member)
        supervisor.check()
    supervisor.check()
    assert len(lines) == RESTARTS + 1
    assert lines[-1].startswith("Going on without it: worker ended 4 times")
