"""Metrics of several processes as one page: what each said adds up, and what is over goes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.exposition import exposition
from core.settings import child_environment, load
from tests.measured import undocumented

pytestmark = pytest.mark.unit

PROCESS = """
import sys
from core import metrics as m
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Process:
    """A process that measures in a folder, and does what it is told."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", PROCESS],
            env=child_environment(load({})) | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, line: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def processes(folder: Path) -> Iterator[tuple[Process, Process]]:
    both = Process(folder), Process(folder)
    yield both
    for process in both:
        process.end()


def test_processes_add_up_and_what_is_over_goes(
    folder: Path, processes: tuple[Process, Process]
) -> None:
    def shown(name: str) -> dict[str, float]:
        lines = exposition(folder).decode().splitlines()
        rows = [line.rsplit(" ", 1) for line in lines if line.startswith(name)]
        return {labels.removeprefix(name): float(value) for labels, value in rows}

    one, other = processes
    one.do("m.LIVE_MODEL.say([(('v1', 'als'), 1.0)]); m.DEAD_LETTERS.set(7)")
    other.do("m.LIVE_MODEL.say([(('v1', 'als'), 1.0)]); m.DEAD_LETTERS.set(3)")
    for process in processes:
        process.do("m.LISTS.labels('miss').inc(); m.BREAKER_OPEN.labels('redis').set(1)")
    assert shown("upnext_live_model_info") == {'{model_type="als",version="v1"}': 1.0}
    assert shown("upnext_dead_letters") == {"": 3.0}  # what was said last
    assert shown("upnext_lists_total") == {'{outcome="miss"}': 2.0}
    assert shown("upnext_breaker_open") == {'{dependency="redis"}': 2.0}
    assert shown("upnext_catalogue_videos") == {}  # nobody has said it
    assert shown("upnext_certificate_expiry_timestamp_seconds") == {}
    other.do("m.CERTIFICATE_EXPIRY.set(9)")
    assert shown("upnext_certificate_expiry_timestamp_seconds") == {"": 9.0}
    one.do("m.CERTIFICATE_EXPIRY.set(4)")
    assert shown("upnext_certificate_expiry_timestamp_seconds") == {"": 4.0}

    other.do("m.LIVE_MODEL.say([(('v2', 'als'), 1.0)])")
    assert shown("upnext_live_model_info") == {'{model_type="als",version="v2"}': 1.0}
    one.do("m.LIVE_MODEL.say([(('v2', 'als'), 1.0)])")
    other.end()
    assert shown("upnext_live_model_info") == {'{model_type="als",version="v2"}': 1.0}
    assert shown("upnext_dead_letters") == {"": 7.0}  # of those that are left
    assert shown("upnext_lists_total") == {'{outcome="miss"}': 2.0}
    assert shown("upnext_breaker_open") == {'{dependency="redis"}': 1.0}


def test_a_file_that_a_process_has_only_just_made_says_nothing(
    folder: Path, processes: tuple[Process, Process]
) -> None:
    one, _ = processes
    one.do("m.DEAD_LETTERS.set(7)")
    for kind in ("counter", "histogram", "gauge_livesum"):
        (folder / f"{kind}_{os.getpid()}.db").touch()
    assert "upnext_dead_letters 7.0" in exposition(folder).decode()


def test_counters_are_there_before_anything_is_counted(
    folder: Path, processes: tuple[Process, Process]
) -> None:
    one, _ = processes
    one.do("from core.measures import begin; begin('worker')")
    page = exposition(folder).decode()
    assert 'upnext_trainings_total{model_type="als",outcome="failed"} 0.0' in page
    assert 'upnext_breaker_openings_total{dependency="redis"} 0.0' in page
    assert "upnext_lists_total{" not in page  # of the API alone
    assert undocumented(page) == []


def test_what_starts_the_workers_of_an_api_does_not_measure() -> None:
    """They are its forks: what it has measured with is not in the folder that it names later."""
    code = "import sys, upnext.cli.serve, upnext.serve; sys.exit('core.metrics' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - our own
