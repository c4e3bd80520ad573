"""Logs: JSON lines on stdout, or a console form when a person is looking."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from typing import Any, TextIO

import structlog

MOST_LINES = 10_000  # that wait to be written; about 20 MB


def configure(level: str = "info", stream: TextIO = sys.stdout) -> None:
    """Send structlog's and the standard library's records to `stream` in one form."""
    console = stream.isatty()
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="@timestamp"),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # They tell of every failed call and every partition; the adapters map those errors themselves.
    for driver in ("pymilvus", "aiokafka"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)


@contextmanager
def written_by_a_thread(
    on_drop: Callable[[], None], most_lines: int = MOST_LINES
) -> Iterator[None]:
    """Have a thread form and write the lines that `configure` directs, for the time of the block.

    Whoever logs pays for a place in a queue. A line for which there is none is dropped and told
    to `on_drop`; those that wait at the end are written.
    """
    root = logging.getLogger()
    handlers = list(root.handlers)
    queue: Queue[Any] = Queue(most_lines)
    listener = _Listener(queue, *handlers)
    root.handlers[:] = [_Queued(queue, on_drop)]
    listener.start()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        listener.stop()


class _Queued(QueueHandler):
    def __init__(self, queue: Queue[Any], on_drop: Callable[[], None]) -> None:
        super().__init__(queue)
        self._on_drop = on_drop

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # as it is: it goes to a thread, not to another process

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except Full:
            self._on_drop()


class _Listener(QueueListener):
    def __init__(self, queue: Queue[Any], *handlers: logging.Handler) -> None:
        super().__init__(queue, *handlers)
        self._lines = queue

    def enqueue_sentinel(self) -> None:
        self._lines.put(None)  # waits for a place: the library's own way fails when it is full
