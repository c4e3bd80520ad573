"""Parquet, streamed by row groups."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from core.errors import InvalidInput
from ingest.feed import Meter
from ingest.report import Reject

SLICE = 5_000  # rows held as Python objects at a time
UNREADABLE = (ValueError, OverflowError)  # text that is not UTF-8; a time past the year 9999


class ParquetRows:
    """Rows as (row from 1, fields); nulls are left out.

    Raises (when made):
        InvalidInput: the file is not Parquet, or lacks a required column.
    """

    def __init__(self, path: Path, required: tuple[str, ...]) -> None:
        self.file = path.name
        try:
            self._file = parquet.ParquetFile(path)
        except pa.ArrowException as error:
            raise InvalidInput(f"{path} cannot be read as Parquet: {error}") from error
        self.columns = list(self._file.schema_arrow.names)
        missing = [column for column in required if column not in self.columns]
        if missing:
            raise InvalidInput(
                f"{path}: no column {', '.join(missing)}. Expected {', '.join(required)}.",
                field=missing[0],
            )
        self._meter = Meter(self._file.metadata.num_rows)
        self.fraction = self._meter.fraction

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
        with self._file as file:
            for slice_ in self._slices(file):
                for row in _objects(slice_):
                    self._meter.done += 1
                    yield self._row(row)

    def _slices(self, file: parquet.ParquetFile) -> Iterator[pa.RecordBatch]:
        try:
            yield from file.iter_batches(batch_size=SLICE)
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput(
                f"{self.file} is damaged after row {self._meter.done}: {error}. The rows before it "
                "were read; repair the file and import it again."
            ) from error

    def _row(self, row: dict[str, Any] | None) -> tuple[int, dict[str, Any]] | Reject:
        number = self._meter.done
        if row is None:
            return Reject(self.file, number, "a value is no UTF-8 text or no possible time")
        return number, {column: cell for column, cell in row.items() if cell is not None}


def _objects(slice_: pa.RecordBatch) -> list[dict[str, Any] | None]:
    """Rows as Python objects; None for one with a value that has no such form."""
    slice_ = _in_microseconds(slice_)
    try:
        return slice_.to_pylist()  # type: ignore[no-any-return]
    except UNREADABLE:
        return [_object(slice_.slice(index, 1)) for index in range(slice_.num_rows)]


def _object(row: pa.RecordBatch) -> dict[str, Any] | None:
    try:
        return row.to_pylist()[0]  # type: ignore[no-any-return]
    except UNREADABLE:
        return None


def _in_microseconds(slice_: pa.RecordBatch) -> pa.RecordBatch:
    """Times finer than Python's cut to microseconds."""
    schema = slice_.schema
    for index, column in enumerate(schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            schema = schema.set(index, column.with_type(pa.timestamp("us", column.type.tz)))
    return slice_ if schema is slice_.schema else slice_.cast(schema, safe=False)
