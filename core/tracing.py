"""Spans: what a request, an event or a training passed through, and how long each part took.

They are off until `configure` is called in a process whose environment names a collector. Off, a
span is one shared object that does nothing, and nothing of OpenTelemetry is imported.

A trace begins in a `root`, which may continue a caller's; everything else is a `span` within one
and is nothing outside of any: what polls by itself makes no traces. No attribute ever holds a
user's id, a parameter of a query, a token or a body.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from time import perf_counter
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from core.errors import Unavailable
from core.metrics import DEPENDENCY_ERRORS, DEPENDENCY_SECONDS, STAGE_SECONDS
from core.settings import traces_are_wanted

Attribute = str | int | float | bool
Kind = Literal["internal", "server", "client", "producer", "consumer"]
Trace = Mapping[str, str]
"""Where a span stands, as it travels: `traceparent`, and `tracestate` if there is one (W3C)."""

OPERATION: Final = "db.operation.name"
NO_TRACE: Final[Trace] = {}
NOTHING_SAID: Final[Mapping[str, Attribute]] = {}
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST_STATE = 512  # what W3C asks everybody to pass on


class Span(Protocol):
    """A part of a trace that is under way; `recorded` unless nobody will see it."""

    @property
    def recorded(self) -> bool: ...  # noqa: D102

    def set(self, name: str, value: Attribute) -> None:
        """Say something of it."""
        ...

    def rename(self, name: str) -> None:
        """Give it the name that only turned out later."""
        ...

    def failed(self, error_type: str) -> None:
        """It has gone wrong, as its reader sees it; an exception that leaves it says so itself."""
        ...


class Entered(Protocol):
    """A span that begins when entered, and ends with the block."""

    def __enter__(self) -> Span:
        """Begin it."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        ...


class Tracer(Protocol):
    """What makes spans while they are on (`core.otel.Tracer`)."""

    def span(self, name: str, kind: Kind, attributes: Mapping[str, Attribute]) -> Entered | None:
        """A part of what is under way; None when that is not recorded."""
        ...

    def root(
        self,
        name: str,
        kind: Kind,
        attributes: Mapping[str, Attribute],
        *,
        caused_by: Trace,
        links: Sequence[Trace],
    ) -> Entered:
        """The beginning of a trace, or of our part of the caller's."""
        ...

    def aside(self) -> AbstractContextManager[None]:
        """Within the block there are no spans, and what is under way stays so."""
        ...

    def current(self) -> dict[str, str]:
        """Where the span that is under way stands."""
        ...

    def close(self, seconds: float) -> None:
        """Send what waits, in at most so many seconds."""
        ...


class Unrecorded:
    """A span that is not recorded."""

    __slots__ = ()
    recorded: Final = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set(self, name: str, value: Attribute) -> None:
        """Nobody reads it."""

    def rename(self, name: str) -> None:
        """Nobody reads it."""

    def failed(self, error_type: str) -> None:
        """Nobody reads it."""


NOTHING: Final = Unrecorded()
_ASIDE: Final = nullcontext()
_tracer: Tracer | None = None


def configure(service: str) -> None:
    """Send this process's spans from now on, if the environment says where to; once a process.

    Args:
        service: its name unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has one.

    Raises:
        SetupError: a standard variable has a value that cannot be used.
    """
    exporter = traces_are_wanted()
    if exporter is None or _tracer is not None:
        return
    from core.otel import sending  # noqa: PLC0415 - a tenth of a second that only it is worth

    use(sending(service, exporter))


def use(tracer: Tracer | None) -> Tracer | None:
    """Have spans made by another tracer, None for off; the one that made them until now."""
    global _tracer
    before, _tracer = _tracer, tracer
    return before


def close(seconds: float = 1.0) -> None:
    """Send what waits, in at most so many seconds, and make no more; for the end of a process."""
    if (tracer := use(None)) is not None:
        tracer.close(seconds)


@contextmanager
def traced(service: str) -> Iterator[None]:
    """`configure` for the time of the block. Raises `SetupError`."""
    configure(service)
    try:
        yield
    finally:
        close()


def is_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def span(name: str, /, *, kind: Kind = "internal", **attributes: Attribute) -> Entered:
    """A part of what is under way; nothing outside of a trace that is recorded."""
    return _span(name, kind, attributes)


def _span(name: str, kind: Kind, attributes: Mapping[str, Attribute]) -> Entered:
    if _tracer is None:
        return NOTHING
    return _tracer.span(name, kind, attributes) or NOTHING


def root(
    name: str,
    /,
    *,
    kind: Kind,
    caused_by: Trace = NO_TRACE,
    links: Sequence[Trace] = (),
    attributes: Mapping[str, Attribute] = NOTHING_SAID,
) -> Entered:
    """The beginning of a trace, or of our part of the trace that it is `caused_by`.

    A caller's decision to record it or not is kept to. Without a caller, it is recorded if one of
    `links` is, else by the sampler that the environment names.
    """
    if _tracer is None:
        return NOTHING
    return _tracer.root(name, kind, attributes, caused_by=caused_by, links=links)


def aside() -> AbstractContextManager[None]:
    """For what is done so often that nobody wants to see it: no spans within the block."""
    return _ASIDE if _tracer is None else _tracer.aside()


def inject() -> dict[str, str]:
    """Where the span under way stands, to be sent along: empty when there is none."""
    return {} if _tracer is None else _tracer.current()


def extract(headers: Mapping[str, object]) -> Trace:
    """What came along, from headers or attributes of lower-case names; empty if not well-formed."""
    parent = headers.get("traceparent")
    if not isinstance(parent, str) or not _PARENT.fullmatch(parent):
        return NO_TRACE
    state = headers.get("tracestate")
    if isinstance(state, str) and 0 < len(state) <= _LONGEST_STATE and state.isascii():
        return {"traceparent": parent, "tracestate": state}
    return {"traceparent": parent}


# To look a series up takes as long as to observe it.
_stage_seconds = cache(STAGE_SECONDS.labels)
_dependency_seconds = cache(DEPENDENCY_SECONDS.labels)


class _Measured:
    """A span, and the seconds it took."""

    __slots__ = ("_began", "_entered")

    def __init__(self, entered: Entered) -> None:
        self._entered = entered

    def __enter__(self) -> Span:
        self._began = perf_counter()
        return self._entered.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.__exit__(kind, error, trace)
        self._took(perf_counter() - self._began, error)

    def _took(self, seconds: float, error: BaseException | None) -> None:
        """Measure it."""
        raise NotImplementedError


class stage(_Measured):  # noqa: N801 - used as a context manager
    """A step of making a list: a span, and an observation of `upnext_stage_seconds`.

    An attempt that fails or is given up is observed too: its time was spent.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str, /, **attributes: Attribute) -> None:
        super().__init__(_span(name, "internal", attributes))
        self._name = name

    def _took(self, seconds: float, error: BaseException | None) -> None:  # noqa: ARG002
        _stage_seconds(self._name).observe(seconds)


class calling(_Measured):  # noqa: N801 - used as a context manager
    """A call of a dependency: a client span, its seconds, and an error if it did not answer.

    `Unavailable` of that dependency is the error; any other says nothing of it.
    """

    __slots__ = ("_dependency",)

    def __init__(self, dependency: str, name: str = "", /, **attributes: Attribute) -> None:
        super().__init__(_span(name or dependency, "client", attributes))
        self._dependency = dependency

    def _took(self, seconds: float, error: BaseException | None) -> None:
        _dependency_seconds(self._dependency).observe(seconds)
        if isinstance(error, Unavailable) and error.dependency == self._dependency:
            DEPENDENCY_ERRORS.labels(self._dependency).inc()
