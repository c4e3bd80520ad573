"""One JSON object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ingest.readers.lines import Lines
from ingest.report import Reject


class NdjsonRows:
    """Objects as (line, fields); blank lines are passed over."""

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self._lines = Lines(path)
        self.fraction = self._lines.meter.fraction

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        for line in self._lines:
            if isinstance(line, Reject):
                yield line
                continue
            number, text = line
            if not text.strip():
                continue
            try:
                fields = decode(text)
            except (msgspec.DecodeError, RecursionError) as error:
                yield Reject(self.file, number, f"not a JSON object: {error}")
            else:
                yield number, fields
