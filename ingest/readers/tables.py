"""Rows of an NDJSON, CSV or Parquet file, by its extension, in one shape."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from core.errors import InvalidInput
from ingest.checks import start_of
from ingest.feed import Feed, Item
from ingest.readers.csv_rows import CsvRows
from ingest.readers.lines import require
from ingest.readers.ndjson_rows import NdjsonRows
from ingest.readers.parquet_rows import ParquetRows
from ingest.report import Reject

EXTENSIONS = ".ndjson, .jsonl, .csv or .parquet"
LIST_SEPARATOR = "|"
Made = TypeVar("Made")


class Rows(Protocol):
    """Rows of a file as dictionaries, with rejects in between."""

    file: str
    fraction: Callable[[], float]

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
        """(line or row, fields) or a reject, in the file's order."""
        ...


@dataclass(frozen=True)
class Layout:
    """What the fields of a row are; every field not in `fields` is refused."""

    required: tuple[str, ...]
    fields: frozenset[str]
    ids: frozenset[str]
    """Integers here are read as their decimal text."""
    times: frozenset[str]
    """A date alone is its midnight in UTC."""
    lists: frozenset[str] = field(default=frozenset())
    """Separated by `|` where the format has no lists."""

    def tidy(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with null fields left out and ids, times and lists in their own types."""
        return {key: self._value(key, cell) for key, cell in row.items() if cell is not None}

    def _value(self, key: str, cell: object) -> object:
        if key in self.ids and type(cell) is int:
            return str(cell)
        if key in self.times:
            return _moment(cell)
        if key in self.lists and isinstance(cell, str):
            return [part for part in cell.split(LIST_SEPARATOR) if part]
        return cell


def _moment(cell: object) -> object:
    if isinstance(cell, str):
        try:
            cell = date.fromisoformat(cell)
        except ValueError:
            return cell  # a full time, or nonsense that the decoder will name
    if isinstance(cell, date) and not isinstance(cell, datetime):
        return start_of(cell)
    return cell


def open_rows(path: Path, layout: Layout, expected: str) -> Rows:
    """The rows of a file.

    Raises:
        SetupError: there is no such file.
        InvalidInput: another extension, a missing required column, a column that is not known.
    """
    require(path, expected)
    extension = path.suffix.lower()
    if extension in {".ndjson", ".jsonl"}:
        return NdjsonRows(path)
    if extension not in {".csv", ".parquet"}:
        raise InvalidInput(f"{path}: the name must end in {EXTENSIONS}.")
    kind = CsvRows if extension == ".csv" else ParquetRows
    rows = kind(path, layout.required)
    unknown = [column for column in rows.columns if column not in layout.fields]
    if unknown:
        known = ", ".join(sorted(layout.fields))
        raise InvalidInput(f"{path}: unknown column {unknown[0]!r}. Known are {known}.")
    return rows


def feed(rows: Rows, make: Callable[[dict[str, Any]], Item]) -> Feed[Item]:
    """What `make` makes of each row; a row that it refuses becomes a reject."""
    return Feed(rows.file, made(rows, make), rows.fraction)


def made(rows: Rows, make: Callable[[dict[str, Any]], Made]) -> Iterator[Made | Reject]:
    """As `feed`, for rows that are only looked up."""
    for row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        line, fields = row
        try:
            yield make(fields)
        except InvalidInput as error:
            yield Reject(rows.file, line, str(error))
        except msgspec.ValidationError as error:
            yield Reject(rows.file, line, reason(error))


def reason(error: msgspec.ValidationError) -> str:
    """The decoder's message in the words of the other reasons: `rating: expected ...`."""
    text, _, path = str(error).partition(" - at `$.")
    name = path.rstrip("`")
    return f"{name}: {text[0].lower()}{text[1:]}" if name else f"{text[0].lower()}{text[1:]}"
