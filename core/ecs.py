"""The form of a line in the log: one JSON object with the field names of Elastic Common Schema 8.

Who logs says plain words (`log.warning("...", dependency="redis", reason=...)`); here they get
their field names. A word that ECS has no name for goes under `upnext.`.
"""

import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec
from structlog.types import EventDict

from core.redaction import Redaction

VERSION: Final = "8.17.0"
CONTEXT: Final = "upnext_context"
"""The attribute of a record with what was said of the request or job under way."""

FIELDS: Final[Mapping[str, str]] = {
    "request_id": "http.request.id",
    "method": "http.request.method",
    "route": "http.route",
    "status_code": "http.response.status_code",
    "nanoseconds": "event.duration",
    "sub": "user.id",
    "user": "user.target.id",
    "reason": "event.reason",
    "trace_id": "trace.id",
    "span_id": "span.id",
}
"""Words and their fields in ECS; `http.route` is OpenTelemetry's, which ECS follows."""
_HASHED: Final[Mapping[str, str]] = {"sub": "user.hash", "user": "user.target.hash"}


def build() -> str:
    """The version of this program."""
    try:
        return version("upnext")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


class Form:
    """Makes lines of records; the last of the processors of structlog's formatter."""

    def __init__(self, redaction: Redaction, *, hashed: bool) -> None:
        self._redaction = redaction
        self._names = {**FIELDS, **(_HASHED if hashed else {})}
        self._same = {"ecs.version": VERSION, "service.name": "upnext", "service.version": build()}

    def __call__(self, _: Any, __: str, event: EventDict) -> str:  # noqa: ANN401 - as structlog has it
        """The line, without its end."""
        record = event.pop("_record")
        said = words(event, getattr(record, CONTEXT, None) or {})
        message = said.pop("event", "")
        at = datetime.fromtimestamp(record.created, UTC)
        line = {
            "@timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "log.level": record.levelname.lower(),
            "message": message if isinstance(message, str) else repr(message),
            **self._same,
            "log.logger": record.name,
            "process.pid": record.process,
        }
        for name, value in self._redaction.line(said).items():
            if value is not None:
                line[self._names.get(name) or (name if "." in name else f"upnext.{name}")] = value
        line["message"] = self._redaction.text(line["message"])
        return msgspec.json.encode(line, enc_hook=str).decode()


def words(event: EventDict, context: Mapping[str, Any]) -> MutableMapping[str, Any]:
    """What is said by a line and around it, its exception in ECS's three fields."""
    event.pop("_from_structlog", None)
    said: dict[str, Any] = {**context, **event}
    error = _exception(said.pop("exc_info", None))
    if error is not None:
        said["error.type"] = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix(
            "builtins."
        )
        said["error.message"] = str(error)
        said["error.stack_trace"] = "".join(traceback.format_exception(error))
    return said


def _exception(info: Any) -> BaseException | None:  # noqa: ANN401 - as `logging` takes it
    """The exception of an `exc_info`: itself, or the second of three."""
    if isinstance(info, tuple):
        info = info[1] if len(info) > 1 else None
    return info if isinstance(info, BaseException) else None
