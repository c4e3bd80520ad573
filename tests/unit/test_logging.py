"""Lines are written by a thread, all of them or counted."""

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
import structlog

from core.logging import configure, written_by_a_thread

pytestmark = pytest.mark.unit


class Held(io.StringIO):
    """A stream that writes nothing before it is let go, and knows who wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.free, self.reached = threading.Event(), threading.Event()
        self.writers: set[str] = set()

    def write(self, text: str) -> int:
        self.reached.set()
        self.free.wait(10)
        self.writers.add(threading.current_thread().name)
        return super().write(text)


@pytest.fixture
def stream() -> Iterator[Held]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = Held()
    configure("info", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_whoever_logs_does_not_wait_and_every_line_is_written(stream: Held) -> None:
    log = structlog.get_logger("t")
    with written_by_a_thread(lambda: pytest.fail("there was room")):
        log.info("request", status=404)
        logging.getLogger("other").warning("%s is away", "redis")
        assert stream.getvalue() == ""
        stream.free.set()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["request", "redis is away"]
    assert lines[0]["status"] == 404
    assert threading.current_thread().name not in stream.writers


def test_what_there_is_no_room_for_is_counted(stream: Held) -> None:
    dropped: list[int] = []
    log = structlog.get_logger("t")
    with written_by_a_thread(lambda: dropped.append(1), most_lines=5):
        log.info("first")
        stream.reached.wait(10)  # the thread has taken it, and is held
        for _ in range(12):
            log.info("more")
        stream.free.set()
    assert len(dropped) == 7
    assert len(stream.getvalue().splitlines()) == 6
