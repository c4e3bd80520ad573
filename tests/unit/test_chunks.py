"""Lines of a text that comes in pieces are those of the same text in a file."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.readers import chunks
from ingest.readers.chunks import RawLine, Splitter, batches
from ingest.readers.lines import LONGEST_LINE, Lines, decoded

pytestmark = pytest.mark.unit


async def arriving(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def split(pieces: Iterable[bytes]) -> list[RawLine]:
    splitter = Splitter()
    return [line for piece in pieces for line in splitter.push(piece)] + list(splitter.end())


@given(st.lists(st.binary(max_size=8).map(lambda b: b.replace(b"x", b"\n"))))
def test_however_it_is_cut_the_lines_are_the_same(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    lines = split(pieces)
    assert lines == split([text])
    assert b"\n".join(line or b"" for _, line in lines) == text.removesuffix(b"\n")
    assert [number for number, _ in lines] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_lines_are_as_long_as_in_a_file(tmp_path: Path, over: int) -> None:
    text = b"a\n" + b"b" * (LONGEST_LINE - 1 + over) + b"\r\nc"
    path = tmp_path / "text"
    path.write_bytes(text)
    pieces = [text[start : start + 65_536] for start in range(0, len(text), 65_536)]
    assert [decoded("text", *line) for line in split(pieces)] == list(Lines(path))


def test_nothing_of_a_line_that_is_too_long_is_kept() -> None:
    splitter = Splitter()
    for _ in range(100):
        assert list(splitter.push(b"x" * 65_536)) == []
        assert len(splitter._begun) < LONGEST_LINE
    assert list(splitter.push(b"\nshort\n")) == [(1, None), (2, b"short")]


async def test_batches_are_of_a_thousand_lines_or_some_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [batch async for batch in batches(arriving([b"x\n" * 1_999, b"y\nz"]))]
    assert [len(batch) for batch in found] == [1_000, 1_000, 1]
    assert found[-1] == [(2_001, b"z")]
    monkeypatch.setattr(chunks, "BYTES_AT_ONCE", 10)
    found = [batch async for batch in batches(arriving([b"123456\n" * 3]))]
    assert [len(batch) for batch in found] == [2, 1]
    assert [batch async for batch in batches(arriving([]))] == []
