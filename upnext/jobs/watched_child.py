"""The memory of a child process: bounded by its parent, before the kernel has to choose whom."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.settings import Settings

LOOK_SECONDS = 0.25
SHARE = 0.75  # of what there is; the rest is the service's and the page cache's
GIGABYTE = 1e9
FIRST_TO_END = "1000"
GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
LIMITS = {"": "memory.max", "memory": "memory.limit_in_bytes"}
"""File of a group's limit, by the controllers that its line in `OWN_GROUP` names."""
OOM_SCORE = Path("/proc/self/oom_score_adj")


@dataclass
class MemoryWatch:
    """Looks at a child's resident memory four times a second and ends it when it is too much.

    `peak` is the most that was seen. A limit of the kernel's would be on addresses, of which torch
    takes many times what it uses; and a group of its own needs rights that a service has not.
    """

    bound: int
    peak: int = 0
    exceeded: bool = False

    async def follow(self, pid: int) -> None:
        """Look until the process has ended, or has to be."""
        with suppress(psutil.NoSuchProcess):
            child = psutil.Process(pid)
            while self.bears(child.memory_info().rss):  # noqa: ASYNC110  (nobody tells)
                await asyncio.sleep(LOOK_SECONDS)
            child.kill()

    def bears(self, resident: int) -> bool:
        """Take notice of so many bytes; whether they are within the bound."""
        self.peak = max(self.peak, resident)
        self.exceeded = resident > self.bound
        return not self.exceeded

    def sentence(self) -> str:
        """Why the child was ended, and what to do."""
        return (
            f"It was ended for its memory: {_gigabytes(self.peak)} when last seen, where "
            f"{_gigabytes(self.bound)} are allowed. Raise UPNEXT_TRAINING_MEMORY_BYTES, give the "
            "machine more, or train on a shorter span of dates."
        )


def memory_bound(settings: Settings) -> int:
    """Bytes that a child may take: as set, else 3/4 of what this machine or its group has."""
    if settings.training_memory_bytes is not None:
        return settings.training_memory_bytes
    return int(SHARE * min([psutil.virtual_memory().total, *limits()]))


def be_ended_first() -> None:
    """Have the kernel, out of memory all the same, end this process before any other."""
    with suppress(OSError):  # no Linux, or no right to
        OOM_SCORE.write_text(FIRST_TO_END)


def limits(own: Path = OWN_GROUP, groups: Path = GROUPS) -> Iterator[int]:
    """What this process's control groups allow, from its own up; of both versions."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in LIMITS:
            root = groups / controllers
            group = root / path.lstrip("/")
            yield from _limits_of([group, *group.parents], root, LIMITS[controllers])


def _limits_of(folders: Iterable[Path], root: Path, name: str) -> Iterator[int]:
    for folder in folders:
        with suppress(OSError, ValueError):  # none there, or "max"
            yield int((folder / name).read_text())
        if folder == root:
            return


def _gigabytes(size: int) -> str:
    return f"{size / GIGABYTE:.3g} GB"
