"""Lines of a text that arrives in pieces, in constant memory whatever is in it."""

from collections.abc import AsyncIterator, Iterator

from ingest.readers.lines import LONGEST_LINE

LINES_AT_ONCE = 1_000
BYTES_AT_ONCE = 4 << 20

RawLine = tuple[int, bytes | None]
"""A line's number, from 1, and its bytes without the end; None for one that is too long."""


class Splitter:
    """Cuts pieces into lines; of a line that is too long nothing is kept."""

    def __init__(self) -> None:
        self._number = 0
        self._begun = bytearray()
        self._too_long = False

    def push(self, piece: bytes) -> Iterator[RawLine]:
        """The lines that end in this piece."""
        *ends, rest = piece.split(b"\n")
        for end in ends:
            self._keep(end)
            yield self._line()
        self._keep(rest)

    def end(self) -> Iterator[RawLine]:
        """The last line, if it has no end of its own."""
        if self._begun or self._too_long:
            yield self._line()

    def _keep(self, part: bytes) -> None:
        if self._too_long or len(self._begun) + len(part) >= LONGEST_LINE:
            self._too_long = True
            self._begun.clear()
        else:
            self._begun += part

    def _line(self) -> RawLine:
        line = None if self._too_long else bytes(self._begun)
        self._begun.clear()
        self._too_long = False
        self._number += 1
        return self._number, line


async def batches(pieces: AsyncIterator[bytes]) -> AsyncIterator[list[RawLine]]:
    """Lines by the thousand, fewer when they are long.

    A line that `pieces` fails in the middle of is not among them, nor are others since the last
    thousand.
    """
    splitter, batch, size = Splitter(), list[RawLine](), 0
    async for piece in pieces:
        for line in splitter.push(piece):
            batch.append(line)
            size += len(line[1] or b"")
            if len(batch) == LINES_AT_ONCE or size >= BYTES_AT_ONCE:
                yield batch
                batch, size = [], 0
    batch += splitter.end()
    if batch:
        yield batch
