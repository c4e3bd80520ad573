"""The bound of a child's memory, where it comes from and what happens beyond it."""

import asyncio
import re
import sys
from pathlib import Path

import psutil
import pytest

from core.settings import load
from upnext.jobs.watched_child import MemoryWatch, limits, memory_bound

pytestmark = pytest.mark.unit

MEGABYTE = 1_000_000
GREEDY = "held = bytearray(200_000_000); held[::4096] = b'x' * len(held[::4096]); input()"


def test_the_bound_is_what_is_set_or_three_quarters_of_what_there_is() -> None:
    assert memory_bound(load({"training_memory_bytes": "5000000"})) == 5_000_000
    whole = min([psutil.virtual_memory().total, *limits()])
    assert memory_bound(load({})) == int(whole * 0.75)


def test_limits_are_those_of_all_groups_above(tmp_path: Path) -> None:
    own, groups = tmp_path / "cgroup", tmp_path / "groups"
    (groups / "pod" / "container").mkdir(parents=True)
    (groups / "memory" / "pod").mkdir(parents=True)
    own.write_text("4:memory:/pod\n1:cpu:/elsewhere\n0::/pod/container\n")
    (groups / "pod" / "container" / "memory.max").write_text("max\n")
    (groups / "pod" / "memory.max").write_text("4000\n")
    (groups / "memory" / "pod" / "memory.limit_in_bytes").write_text("9000\n")
    assert sorted(limits(own, groups)) == [4000, 9000]
    assert list(limits(tmp_path / "no Linux", groups)) == []


async def test_a_child_beyond_the_bound_is_ended_and_named() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GREEDY, stdin=asyncio.subprocess.PIPE
    )
    watch = MemoryWatch(150 * MEGABYTE)
    await asyncio.wait_for(watch.follow(child.pid), 20)
    assert await child.wait() == -9
    assert watch.exceeded
    assert watch.peak > 150 * MEGABYTE
    said = watch.sentence()
    assert re.match(r"It was ended for its memory: 0\.[12]\d* GB when last seen", said)
    assert "where 0.15 GB are allowed" in said
    assert "Raise UPNEXT_TRAINING_MEMORY_BYTES" in said


async def test_a_child_within_it_is_left_alone() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    watch = MemoryWatch(10**12)
    following = asyncio.create_task(watch.follow(child.pid))
    await child.communicate(b"\n")
    await asyncio.wait_for(following, 10)
    assert (watch.exceeded, child.returncode) == (False, 0)
    assert watch.peak > 0
