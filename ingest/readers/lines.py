"""A text file as numbered lines, in constant memory whatever is in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from core.errors import SetupError
from ingest.feed import Meter
from ingest.report import Reject

LONGEST_LINE = 1 << 20  # bytes
BOM = b"\xef\xbb\xbf"


def require(path: Path, expected: str) -> Path:
    """The path, if it is a file that can be read; `expected` says what it should have been.

    Raises:
        SetupError: there is no such file, or this user may not read it.
    """
    if not path.is_file():
        raise SetupError(f"{path} is not a file. Expected {expected}.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from error
    return path


class Lines:
    """Lines of a UTF-8 file: (number from 1, text without its end), or a reject.

    A byte order mark and CR before LF are dropped. A line that is not UTF-8 or longer than 1 MiB
    is a reject of its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meter = Meter(path.stat().st_size)

    def __iter__(self) -> Iterator[tuple[int, str] | Reject]:
        with self.path.open("rb") as file:
            for number, line in enumerate(self._raw(file), start=1):
                yield decoded(self.path.name, number, line)

    def _raw(self, file: BinaryIO) -> Iterator[bytes | None]:
        """Each line's bytes; None for one that is too long."""
        while line := file.readline(LONGEST_LINE):
            self.meter.done += len(line)
            if line.endswith(b"\n") or len(line) < LONGEST_LINE:
                yield line
                continue
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                self.meter.done += len(rest)
            self.meter.done += len(rest)
            yield None


def decoded(file: str, number: int, line: bytes | None) -> tuple[int, str] | Reject:
    """The text of a line (None: one that is too long) without its end, or why there is none."""
    if line is None:
        return Reject(file, number, f"the line is longer than {LONGEST_LINE} bytes")
    if number == 1:
        line = line.removeprefix(BOM)
    try:
        return number, line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        return Reject(file, number, f"the line is not UTF-8 (byte {error.start + 1})")
