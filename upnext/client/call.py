"""A request as a value, and the exchange it leads to; neither knows how bytes travel."""

from collections.abc import AsyncIterable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

import httpx
import msgspec

from upnext.client.problems import reading, refusal

T = TypeVar("T")
Method = Literal["GET", "POST", "PUT", "DELETE"]
Params = Mapping[str, str | int | bool | list[str] | None]
Lines = Iterable[Any] | AsyncIterable[Any]

_REFUSED = 400
_WORTH_ANOTHER_TRY = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and what its good answer is decoded to.

    `repeatable`: sending it twice does no more than sending it once, so it may be tried again.
    `lines`: what is streamed as NDJSON, a line each. Parameters that are None are not sent.
    `next_path`: where further pages are, if elsewhere.
    """

    method: Method
    path: str
    decode: Callable[[httpx.Response], T]
    params: Params = field(default_factory=dict)
    body: msgspec.Struct | None = None
    lines: Lines | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    next_path: str | None = None

    def after(self, cursor: str) -> "Call[T]":
        """The same for the next page."""
        path = self.next_path or self.path
        return replace(self, path=path, params={**self.params, "cursor": cursor})

    @property
    def query(self) -> dict[str, str | list[str]]:
        """The parameters as they are sent."""
        return {
            name: value if isinstance(value, list) else _text(value)
            for name, value in self.params.items()
            if value is not None
        }

    @property
    def content(self) -> bytes | None:
        """The body as it is sent."""
        return None if self.body is None else msgspec.json.encode(self.body)

    @property
    def content_type(self) -> str | None:
        """What the body is."""
        if self.lines is not None:
            return "application/x-ndjson"
        return None if self.body is None else "application/json"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try again, where that does no harm.

    `attempts`: in all · `first_pause`: seconds before the second, doubled each time, when the
    service names none · `longest_pause`: seconds; one that asks for more is not waited for.
    """

    attempts: int = 3
    first_pause: float = 0.2
    longest_pause: float = 30.0


Outcome = httpx.Response | httpx.TransportError


def exchange(call: Call[T], patience: Patience) -> Generator[float, Outcome, T]:
    """Yields the seconds to wait before each attempt, is sent its outcome, returns the answer.

    Raises:
        Refused: the answer is not a good one, after the last attempt that is worth it;
            `Unreadable` at once, as what was asked may have been done.
        httpx.TransportError: there was no answer.
    """
    pause = 0.0
    for attempt in range(patience.attempts):
        outcome = yield pause
        if isinstance(outcome, httpx.Response) and outcome.status_code < _REFUSED:
            with reading(outcome):
                return call.decode(outcome)
        pause = patience.first_pause * 2**attempt
        error: Exception
        if isinstance(outcome, httpx.Response):
            error = refusal(outcome)
            again = outcome.status_code in _WORTH_ANOTHER_TRY
            pause = pause if error.retry_after is None else error.retry_after
        else:
            error, again = outcome, True
        last = attempt + 1 == patience.attempts
        if last or not (again and call.repeatable) or pause > patience.longest_pause:
            raise error
    raise ValueError("Patience.attempts is at least 1.")


def encoded(line: Any) -> bytes:  # noqa: ANN401 - whatever stands for a JSON object
    """One line of NDJSON: bytes and texts as they are, anything else as JSON."""
    if isinstance(line, str):
        line = line.encode()
    if not isinstance(line, bytes):
        line = msgspec.json.encode(line)
    return bytes(line).rstrip(b"\n") + b"\n"


def _text(value: str | int | bool) -> str:  # noqa: FBT001 - a parameter's value
    return str(value).lower() if isinstance(value, bool) else str(value)
