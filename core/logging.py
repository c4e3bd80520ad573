"""Logs: one JSON object a line on stdout, or a console form when a person is looking.

Whatever is said in a process has this form: by our own code, by libraries, warnings, and
exceptions that nobody caught.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from types import TracebackType
from typing import Any, TextIO, cast

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, Processor

from core.ecs import CONTEXT, Form, words
from core.redaction import Redaction, redaction
from core.settings import Settings, load

MOST_LINES = 10_000  # that wait to be written; about 20 MB
LAST_SECONDS = 0.3
OURS = ("api", "core", "embeddings", "ingest", "ranking", "retrieval", "storage", "upnext")

_log = structlog.get_logger("upnext.process")


def configure(
    settings: Settings | None = None, stream: TextIO = sys.stdout, level: str | None = None
) -> None:
    """Send structlog's and the standard library's records to `stream` in one form.

    Args:
        settings: their level, what is done with user ids, the secrets that no line may have; None
            for those of the environment.
        stream: where lines go; a terminal gets the console form.
        level: instead of that of the settings.

    Raises:
        SetupError: user ids are to be hashed and there is no key for that.
    """
    settings = settings or load()
    least = logging.getLevelNamesMapping()[(level or settings.log_level).upper()]
    structlog.configure(
        processors=[_exception_now, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(_with_context)
    handler.setFormatter(_formatter(settings, console=stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Below a warning, drivers tell of statements with their parameters, of requests with their
    # headers, of messages with their bodies.
    root.setLevel(max(least, logging.WARNING))
    for room in OURS:
        logging.getLogger(room).setLevel(least)
    # They tell of every failed call and every partition; the adapters map those errors themselves.
    for driver in ("pymilvus", "aiokafka"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)


def take_over(settings: Settings | None = None, stream: TextIO = sys.stdout) -> None:
    """As `configure`, for a process that is all ours: also what is not said by logging.

    Warnings, and exceptions that end a thread or the process, become lines like any other.
    """
    configure(settings, stream)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _ended_a_thread


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
    queued = _Queued(queue, on_drop)
    queued.addFilter(_with_context)
    root.handlers[:] = [queued]
    listener.start()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        listener.stop()


def last_words(say: Callable[[], None]) -> None:
    """Say this and have all that was said written, for who leaves without an end in order.

    Not for long: where nobody reads, the line before it is still being written, with the lock of
    all of them.
    """
    speaking = threading.Thread(target=_written, args=(say,), name="last words", daemon=True)
    speaking.start()
    speaking.join(LAST_SECONDS)


def _written(say: Callable[[], None]) -> None:
    say()
    for handler in logging.getLogger().handlers:
        handler.flush()


def context() -> dict[str, Any]:
    """What is known around the line that is being said: of the request or job, and of its trace."""
    around = structlog.contextvars.get_contextvars()
    # Imported here it would have this process measure, which must not begin before its folder is
    # named (`upnext.exposing`); who has made a span has imported it.
    tracing = sys.modules.get("core.tracing")
    parent = tracing and tracing.inject().get("traceparent")
    if parent:  # version-trace-span-flags
        _, around["trace_id"], around["span_id"], _ = parent.split("-")
    return around


def _with_context(record: logging.LogRecord) -> bool:
    """Note the context where the line is said: the thread that writes it has none."""
    if not hasattr(record, CONTEXT):
        setattr(record, CONTEXT, context())
    return True


def _exception_now(_: Any, __: str, event: EventDict) -> EventDict:  # noqa: ANN401 - as structlog has it
    """The exception that is being handled, where `exc_info=True` means it."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()[1]
    return event


class _Formatter(ProcessorFormatter):
    """A line that cannot be formed says so: no error of a log may reach whoever logs."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001 - whatever it is
            where = f"{record.pathname}:{record.lineno}"
            spoilt = logging.makeLogRecord({**record.__dict__, "msg": "", "args": ()})
            spoilt.exc_info, spoilt.levelno, spoilt.levelname = None, logging.ERROR, "ERROR"
            spoilt.msg = f"A line could not be written: {type(error).__name__}, at {where}"
            return super().format(spoilt)


def _formatter(settings: Settings, *, console: bool) -> logging.Formatter:
    clean = redaction(settings)
    last: list[Processor] = (
        [_Terminal(clean), structlog.dev.ConsoleRenderer()]
        if console
        else [Form(clean, hashed=settings.log_user_ids == "hashed")]
    )
    return _Formatter(processors=last)


class _Terminal:
    """The words of a line for a person who reads them as they come."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def __call__(self, _: Any, __: str, event: EventDict) -> EventDict:  # noqa: ANN401 - as structlog has it
        record: logging.LogRecord = event.pop("_record")
        said = self._redaction.line(words(event, getattr(record, CONTEXT, None) or {}))
        trace = said.pop("error.stack_trace", None)
        said.pop("error.type", None)
        said.pop("error.message", None)
        if trace is not None:
            said["exception"] = trace.rstrip()
        return {
            "timestamp": logging.Formatter().formatTime(record, "%H:%M:%S"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **said,
        }


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        _log.info("Interrupted.")
        return
    _log.critical("An exception ends this process.", exc_info=error.with_traceback(trace))


def _ended_a_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else None
        _log.error("An exception ends a thread.", thread=name, exc_info=args.exc_value)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    _log.error(
        args.err_msg or "An exception could not be raised.",
        object=repr(args.object),
        exc_info=args.exc_value,
    )


class _Queued(QueueHandler):
    def __init__(self, queue: Queue[Any], on_drop: Callable[[], None]) -> None:
        super().__init__(queue)
        self._on_drop = on_drop

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # as it is: it goes to a thread, not to another process

    def flush(self) -> None:
        """Wait, not for long, until all that waits is written.

        What another thread says as the writing ends is written by nobody, and whoever exits
        flushes every handler.
        """
        lines = cast("Queue[Any]", self.queue)
        with lines.all_tasks_done:
            lines.all_tasks_done.wait_for(lambda: not lines.unfinished_tasks, LAST_SECONDS)

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
