"""Columns of a CSV, TSV or Parquet file, read whole: millions of rows in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv, parquet

from core.errors import InvalidInput
from ingest.readers.lines import require

DELIMITERS = {".csv": ",", ".tsv": "\t"}
EXTENSIONS = ".csv, .tsv (also with .gz) or .parquet"
READ_AS = "Text files are read as UTF-8, with as many cells in each row as in the header."
IDS = pa.dictionary(pa.int32(), pa.string())
FIRST_ROW = {".csv": 2, ".tsv": 2, ".parquet": 1}  # a text file's first line is its header


@dataclass(frozen=True, slots=True)
class Columns:
    """A file's columns, each as one array of text (of ids: a dictionary array).

    What a Parquet file has in another type keeps it; `kind` is the extension, `.gz` aside.
    """

    path: Path
    kind: str
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Whether the file has this column."""
        return name in self.table.column_names

    def place(self, row: int) -> str:
        """Row number `row`, from 0, as a person finds it in the file."""
        word = "row" if self.kind == ".parquet" else "line"
        return f"{self.path}, {word} {row + FIRST_ROW[self.kind]}"


@dataclass(frozen=True, slots=True)
class Ids:
    """A column of ids: `names[codes[row]]` is a row's; `codes` int32 (n,), -1 where it is empty."""

    codes: NDArray[np.int32]
    names: list[str]

    def only(self, rows: NDArray[np.int64]) -> "Ids":
        """The ids of these rows, in their order, without names that none of them has."""
        codes = self.codes[rows]
        used = np.bincount(codes, minlength=len(self.names)) > 0
        if used.all():
            return Ids(codes, self.names)
        names = [name for name, is_used in zip(self.names, used, strict=True) if is_used]
        return Ids((np.cumsum(used) - 1).astype(np.int32)[codes], names)


def read_columns(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Columns:
    """These columns of a file; others are passed over.

    Raises:
        SetupError: there is no such file.
        InvalidInput: another extension, a damaged file, a missing column, no rows.
    """
    require(path, f"a file with the columns {', '.join(required)}")
    kind = _kind(path)
    try:
        found = _names(path, kind)
        missing = [name for name in required if name not in found]
        if missing:
            raise InvalidInput(
                f"{path}: no column {', '.join(missing)} among {_some(found)}. Rename what it is "
                f"called there: {', '.join((*required, *optional))} are read.",
                field=missing[0],
            )
        wanted = [name for name in (*required, *optional) if name in found]
        table = _parquet(path, wanted) if kind == ".parquet" else _text(path, kind, wanted)
    except (pa.ArrowException, OSError, EOFError) as error:
        hint = "" if kind == ".parquet" else f" {READ_AS}"
        raise InvalidInput(f"{path} cannot be read: {error}.{hint}") from error
    if not len(table):
        raise InvalidInput(f"{path} has no rows.")
    return Columns(path, kind, table)


def ids_of(columns: Columns, name: str) -> Ids:
    """A column of ids; whole numbers are taken as their text.

    Raises:
        InvalidInput: it holds neither texts nor whole numbers.
    """
    array = columns.table.column(name)
    if pa.types.is_dictionary(array.type) and array.type.value_type != pa.string():
        array = array.cast(array.type.value_type)
    if not pa.types.is_dictionary(array.type):
        array = _as_text(columns, name, array).dictionary_encode()
    array = array.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    names = array.dictionary.to_pylist()
    codes = array.indices
    if codes.null_count:  # only then: what fills them takes its time to load
        codes = pc.fill_null(codes, -1)
    codes = codes.to_numpy().astype(np.int32)
    if None in names or "" in names:
        empty = np.array([not name for name in names])
        codes[empty[codes] & (codes >= 0)] = -1
    return Ids(codes, [name or "" for name in names])


def numbers(columns: Columns, name: str) -> NDArray[np.float64]:
    """A column of numbers, float64 (n,).

    Raises:
        InvalidInput: some cell is none; the message says where.
    """
    array = columns.table.column(name)
    if pa.types.is_string(array.type):
        array = pc.utf8_trim_whitespace(array)
    try:
        read = pc.cast(array, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        read = np.array([_number(cell) for cell in array.to_pylist()])
    except pa.ArrowException as error:
        raise InvalidInput(f"{columns.path}: {name} is {array.type}, not numbers.") from error
    bad = np.flatnonzero(~np.isfinite(read))
    if len(bad):
        cell = array[int(bad[0])].as_py()
        raise InvalidInput(
            f"{columns.place(int(bad[0]))}: {name} {cell!r} is no number. "
            "Every row needs one, or leave the column out."
        )
    found: NDArray[np.float64] = read
    return found


def _number(cell: object) -> float:
    try:
        return float(str(cell))
    except ValueError:
        return float("nan")


def _as_text(columns: Columns, name: str, array: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = array.type
    if pa.types.is_floating(kind):  # whole numbers beside empty cells, as data frames keep them
        try:
            return array.cast(pa.int64()).cast(pa.string())
        except pa.ArrowInvalid as error:
            raise InvalidInput(
                f"{columns.path}: {name} has fractions; ids are texts or whole numbers."
            ) from error
    if not (
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    ):
        raise InvalidInput(f"{columns.path}: {name} is {kind}; ids are texts or whole numbers.")
    return array.cast(pa.string())


def _kind(path: Path) -> str:
    bare = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    kind = bare.suffix.lower()
    if kind not in FIRST_ROW or (kind == ".parquet" and bare is not path):
        raise InvalidInput(f"{path}: the name must end in {EXTENSIONS}.")
    return kind


def _names(path: Path, kind: str) -> list[str]:
    if kind == ".parquet":
        return list(parquet.read_schema(path).names)
    try:
        with csv.open_csv(path, parse_options=_parsing(kind)) as opened:
            return list(opened.schema.names)
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise InvalidInput(f"{path} is empty.") from error
        raise


def _text(path: Path, kind: str, wanted: list[str]) -> pa.Table:
    types = {name: IDS if name.endswith("_id") else pa.string() for name in wanted}
    return csv.read_csv(
        path,
        parse_options=_parsing(kind),
        convert_options=csv.ConvertOptions(
            include_columns=wanted, column_types=types, strings_can_be_null=False
        ),
    )


def _parsing(kind: str) -> csv.ParseOptions:
    return csv.ParseOptions(delimiter=DELIMITERS[kind], newlines_in_values=True)


def _parquet(path: Path, wanted: list[str]) -> pa.Table:
    return parquet.read_table(path, columns=wanted)


def _some(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
