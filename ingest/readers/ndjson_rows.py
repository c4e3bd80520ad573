"""One JSON object a line."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ingest.readers.chunks import RawLine
from ingest.readers.lines import Lines, decoded
from ingest.report import Reject

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class NdjsonRows:
    """Objects as (line, fields); blank lines are passed over."""

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self._lines = Lines(path)
        self.fraction = self._lines.meter.fraction

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
        return _rows(self.file, self._lines)


class NdjsonBatch:
    """The same of some lines of a text that has no file."""

    def __init__(self, lines: Iterable[RawLine]) -> None:
        self.file = ""
        self.fraction: Callable[[], float] = lambda: 0.0  # nobody knows how long the text is
        self._lines = lines

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
        return _rows(self.file, (decoded(self.file, *line) for line in self._lines))


def _rows(
    file: str, lines: Iterable[tuple[int, str] | Reject]
) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
    for line in lines:
        if isinstance(line, Reject):
            yield line
            continue
        number, text = line
        if not text.strip():
            continue
        try:
            fields = _decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            yield Reject(file, number, f"not a JSON object: {error}")
        else:
            yield number, fields
