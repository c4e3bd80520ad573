"""CSV with a header, where a broken line costs itself and nothing after it.

The standard reader would swallow the rest of the file after one quote that is never closed. Here a
line that is not a whole record is joined with the lines after it only as long as that makes a good
record; otherwise that line alone is rejected and reading goes on at the next one.
"""

import csv
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from core.errors import InvalidInput
from ingest.readers.lines import LONGEST_LINE, Lines
from ingest.report import Reject

LONGEST_RECORD = 100  # lines
Numbered = tuple[int, str] | Reject


class CsvRows:
    """Records as (line, {column: text}); empty cells are left out.

    Raises (when made, or when the header is read):
        SetupError: there is no such file.
        InvalidInput: the header lacks a required column.
    """

    def __init__(self, path: Path, required: tuple[str, ...]) -> None:
        self.path = path
        self.file = path.name
        self._lines = Lines(path)
        self._required = required
        self.columns = self._header()
        self.fraction = self._lines.meter.fraction

    def _header(self) -> list[str]:
        first = next(iter(Lines(self.path)), None)
        columns = [] if first is None or isinstance(first, Reject) else _fields(first[1]) or []
        columns = [column.strip() for column in columns]
        missing = [column for column in self._required if column not in columns]
        if missing:
            raise InvalidInput(
                f"{self.path}: no column {', '.join(missing)} in the first line. "
                f"Expected a header with {', '.join(self._required)}.",
                field=missing[0],
            )
        return columns

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
        lines: Iterator[Numbered] = islice(iter(self._lines), 1, None)
        waiting: deque[Numbered] = deque()
        while True:
            line = waiting.popleft() if waiting else next(lines, None)
            if line is None:
                return
            if isinstance(line, Reject):
                yield line
            elif line[1]:
                yield self._record(line, waiting, lines)

    def _record(
        self, line: tuple[int, str], waiting: deque[Numbered], lines: Iterator[Numbered]
    ) -> tuple[int, dict[str, Any]] | Reject:
        number, text = line
        fields = _fields(text)
        if fields is None and text.count('"') % 2:
            fields = self._joined(text, waiting, lines)
        if fields is None:
            return Reject(self.file, number, "broken CSV quoting")
        if len(fields) != len(self.columns):
            reason = f"{len(fields)} columns, the header has {len(self.columns)}"
            return Reject(self.file, number, reason)
        pairs = zip(self.columns, fields, strict=True)
        return number, {column: field for column, field in pairs if field}

    def _joined(
        self, text: str, waiting: deque[Numbered], lines: Iterator[Numbered]
    ) -> list[str] | None:
        """The record of `text` and the lines it goes on with; None, and nothing used, if none."""
        taken: list[Numbered] = []
        for line in islice(chain(_drain(waiting), lines), LONGEST_RECORD):
            taken.append(line)
            if isinstance(line, Reject) or len(text) > LONGEST_LINE:
                break
            text = f"{text}\n{line[1]}"
            if text.count('"') % 2 == 0:
                fields = _fields(text)
                if fields is not None and len(fields) == len(self.columns):
                    return fields
                break
        waiting.extendleft(reversed(taken))
        return None


def _drain(waiting: deque[Numbered]) -> Iterator[Numbered]:
    while waiting:
        yield waiting.popleft()


def _fields(text: str) -> list[str] | None:
    """The fields of one record; None if its quotes are broken or not closed."""
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader((text,), strict=True))
    except csv.Error:
        return None
