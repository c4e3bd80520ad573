"""Lines of a log, as whoever collects them reads them."""

import io
import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from core.logging import configure
from core.settings import load

Line = dict[str, Any]
ALWAYS = (
    "@timestamp",
    "log.level",
    "message",
    "ecs.version",
    "service.name",
    "service.version",
    "log.logger",
    "process.pid",
)
LEVELS = {"debug", "info", "warning", "error", "critical"}
_FIELD = re.compile(
    r"(upnext\.[a-z0-9_]+)|(error\.(type|message|stack_trace))|event\.(duration|reason)"
    r"|http\.(request\.(id|method)|response\.status_code|route)|user\.(target\.)?(id|hash)"
    r"|(trace|span)\.id"
)


class Log(io.StringIO):
    """What a test says from now on, with these settings."""

    def __init__(self, **settings: str) -> None:
        super().__init__()
        configure(load(settings), self)

    @property
    def lines(self) -> list[Line]:
        """All lines so far, each of our form."""
        return checked(self.getvalue().split("\n")[:-1])


def checked(lines: Iterable[str]) -> list[Line]:
    """The lines, every one of which is a JSON object with our fields and no others."""
    return [_checked(line) for line in lines]


def _checked(text: str) -> Line:
    try:
        line: Line = json.loads(text, parse_constant=_no_json)
    except ValueError as error:
        raise AssertionError(f"not a line of our form: {text}") from error
    assert tuple(line)[: len(ALWAYS)] == ALWAYS, text
    assert datetime.fromisoformat(line["@timestamp"]).tzinfo is not None
    assert line["log.level"] in LEVELS
    assert all(isinstance(line[name], str) for name in ("message", "log.logger")), text
    odd = [name for name in line if name not in ALWAYS and not _FIELD.fullmatch(name)]
    assert not odd, f"{odd} in {text}"
    return line


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
