"""Lines are written by a thread, all of them or counted."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from functools import partial

import pytest
import structlog

from core.logging import configure, last_words, written_by_a_thread
from core.settings import load

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
    configure(load(), stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_whoever_logs_does_not_wait_and_every_line_is_written(stream: Held) -> None:
    log = structlog.get_logger("upnext.t")
    with written_by_a_thread(lambda: pytest.fail("there was room")):
        log.info("request", status=404)
        logging.getLogger("other").warning("%s is away", "redis")
        assert stream.getvalue() == ""
        stream.free.set()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["request", "redis is away"]
    assert lines[0]["upnext.status"] == 404
    assert threading.current_thread().name not in stream.writers


def test_who_leaves_at_once_has_all_written_but_waits_for_nobody(
    stream: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = structlog.get_logger("upnext.t")
    with written_by_a_thread(lambda: pytest.fail("there was room")):
        log.info("held")
        last_words(partial(log.info, "as long as nobody reads"))
        assert stream.getvalue() == ""
        stream.free.set()
        monkeypatch.setattr("core.logging.LAST_SECONDS", 10.0)  # as a busy machine needs
        last_words(partial(log.info, "last"))
        assert stream.getvalue().count("\n") == 3


def test_who_leaves_at_once_does_not_wait_for_a_line_that_is_being_written(stream: Held) -> None:
    """Its handler is locked, as it is at the end of `written_by_a_thread` too."""
    log = structlog.get_logger("upnext.t")
    writing = threading.Thread(target=log.info, args=("held",))
    leaving = threading.Thread(target=last_words, args=(partial(log.info, "last"),), daemon=True)
    writing.start()
    assert stream.reached.wait(10)
    leaving.start()
    leaving.join(5)
    is_gone = not leaving.is_alive()
    stream.free.set()
    writing.join()
    assert is_gone


def test_what_there_is_no_room_for_is_counted(stream: Held) -> None:
    dropped: list[int] = []
    log = structlog.get_logger("upnext.t")
    with written_by_a_thread(lambda: dropped.append(1), most_lines=5):
        log.info("first")
        stream.reached.wait(10)  # the thread has taken it, and is held
        for _ in range(12):
            log.info("more")
        stream.free.set()
    assert len(dropped) == 7
    assert len(stream.getvalue().splitlines()) == 6
