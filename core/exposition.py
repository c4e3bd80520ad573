"""The page of all metrics in Prometheus' text format."""

import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_LIVE_FILE = re.compile(r"gauge_live[a-z]+_(\d+)\.db")


class _Collects(Protocol):
    def collect(self) -> Iterable[Metric]: ...


def exposition(folder: Path | None = None) -> bytes:
    """All metrics in Prometheus' text format; reads files: call it in a thread.

    Args:
        folder: where processes write theirs; None: the one this process writes to, if any.
    """
    try:
        collector = _Written(None, folder and str(folder))  # type: ignore[no-untyped-call]
    except ValueError:  # there is no folder
        return _page(REGISTRY)
    _bury_the_dead(Path(collector._path))  # noqa: SLF001 - it has no other name
    return _page(collector)


class _Written(MultiProcessCollector):
    """As the library's, which stumbles over a file that a process has only just made."""

    def collect(self) -> Iterable[Metric]:
        files = Path(self._path).glob("*.db")
        return self.merge([str(each) for each in files if _begun(each)])  # type: ignore[no-any-return, no-untyped-call]


def _begun(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # gone with its process
        return False


def _page(of: _Collects) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Present(of))
    return generate_latest(registry)


class _Present:
    """What is said and still true: what is not has no finite value (`core.measures.GONE`)."""

    def __init__(self, of: _Collects) -> None:
        self._of = of

    def collect(self) -> Iterator[Metric]:
        for metric in self._of.collect():
            if metric.type == "gauge":
                metric.samples = [one for one in metric.samples if math.isfinite(one.value)]
            if metric.samples:
                yield metric


def _bury_the_dead(folder: Path) -> None:
    """Forget what processes that are gone said of themselves; what they counted stays."""
    for file in folder.glob("gauge_live*.db"):
        found = _LIVE_FILE.fullmatch(file.name)
        if found and not _lives(int(found[1])):
            with suppress(FileNotFoundError):  # another process was faster
                mark_process_dead(int(found[1]), str(folder))  # type: ignore[no-untyped-call]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
