"""What a scrape of the metrics costs: `python -m bench.scrape`.

Processes that share a folder, as those of an API do, say every series that there can be: all values
of all labels, 50 routes with three statuses each, two versions. The page is then made as for
Prometheus; the processor's time is that of the process that is asked, in a thread beside requests.
"""

import itertools
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from prometheus_client import REGISTRY
from rich.console import Console
from rich.table import Table

from core.exposition import exposition
from core.measures import MEASURES, Measure
from core.settings import child_environment, load
from upnext.exposing import FOLDER_VARIABLE

PROCESSES = (1, 2, 4, 8)
SCRAPES = 20
OPEN = {
    "route": [f"/{first}{second}/{{id}}" for first in "abcde" for second in "fghijklmno"],
    "status": ["200", "404", "503"],
    "version": ["als_20260101_000000_0000"],
    "model_version": ["als_20260101_000000_0000", "als_20260102_000000_0000"],
}
SAYING = "from bench.scrape import say_all; say_all()"


def say_all() -> None:
    """Say every series there can be; then live until nobody listens any more."""
    from core import metrics  # noqa: F401, PLC0415 - makes them, in the folder of this process

    for one in MEASURES:
        for values in itertools.product(*(_values(one, label) for label in one.labels)):
            _say(one, values)
    print("said", flush=True)
    sys.stdin.read()


def _values(one: Measure, label: str) -> Sequence[str]:
    listed = one.labels[label]
    return listed if isinstance(listed, tuple) else OPEN[label]


def _say(one: Measure, values: Sequence[str]) -> None:
    name = one.name.removesuffix("_total")
    metric = REGISTRY._names_to_collectors[name]  # noqa: SLF001 - by name they are only there
    child = metric.labels(*values) if values else metric  # type: ignore[attr-defined]
    say = {"counter": "inc", "histogram": "observe", "gauge": "set"}[one.kind]
    getattr(child, say)(1.0)


def scraped(processes: int) -> list[str]:
    """The row of so many processes."""
    with TemporaryDirectory(prefix="upnext-scrape-") as folder:
        environment = child_environment(load()) | {FOLDER_VARIABLE: folder}
        saying = [
            subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", SAYING],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for _ in range(processes)
        ]
        for one in saying:
            if one.stdout is None or one.stdout.readline() != b"said\n":
                raise RuntimeError("a process that was to measure has ended")
        row = _row(processes, Path(folder))
        for one in saying:
            one.communicate()
        return row


def _row(processes: int, folder: Path) -> list[str]:
    seconds, page = [], b""
    for _ in range(SCRAPES):
        began = time.process_time()
        page = exposition(folder)
        seconds.append(time.process_time() - began)
    lines = sum(not line.startswith(b"#") for line in page.splitlines())
    return [
        str(processes),
        f"{lines:,}",
        f"{len(page) / 1024:,.0f}",
        f"{median(seconds) * 1e3:.0f}",
    ]


def main() -> None:
    """Print the table."""
    table = Table("processes", "series", "KiB", "ms of a processor, median")
    for processes in PROCESSES:
        table.add_row(*scraped(processes))
    Console().print(table)


if __name__ == "__main__":
    main()
