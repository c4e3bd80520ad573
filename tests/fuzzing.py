"""Bytes as nobody should send them: arbitrary ones, odd JSON, and good ones that were changed."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

Json = Any
ODD_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-0", "1E400", "9" * 400, "0.1e-400", "-1")
ODD_TEXTS = (
    r'"\ud800"',  # half a surrogate pair
    r'"\udfff\ud800"',
    r'"\u0000"',
    r'"a\u0000b"',
    '"\x00"',
    r'"\uZZZZ"',
    '"\u202e\U0001f600"',
    '""',
    '"' + "x" * 2_000 + '"',
    "'single'",
)
DEEP = tuple(opened * 5_000 for opened in ("[", '{"a":', "[{"))
LARGEST = 10**400


def odd_values() -> st.SearchStrategy[str]:
    """The text of a JSON value, or of what is nearly one."""
    return (
        st.sampled_from((*ODD_NUMBERS, *ODD_TEXTS, *DEEP, "null", "true", "{}", "[]"))
        | st.text(max_size=20).map(json.dumps)
        | st.integers(-LARGEST, LARGEST).map(str)
        | st.floats().map(json.dumps)
    )


@st.composite
def objects(draw: st.DrawFn, fields: dict[str, str], more: Sequence[str] = ()) -> str:
    """The text of a JSON object of these fields and their values' texts, some of which are odd.

    Some fields are missing, some come twice, and there may be some of `more`.
    """
    names = [*fields, *draw(st.lists(st.sampled_from((*fields, *more)), max_size=3))]
    missing = draw(st.sets(st.sampled_from(tuple(fields)), max_size=2))
    odd = draw(st.sets(st.integers(0, len(names) - 1), max_size=3))
    parts = [
        f"{json.dumps(name)}:{draw(odd_values()) if row in odd else fields.get(name, '1')}"
        for row, name in enumerate(names)
        if name not in missing
    ]
    return "{" + ",".join(parts) + "}"


@st.composite
def changed(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """Good bytes with some changed, cut out, put in, or moved."""
    found = bytearray(draw(good))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(found)))
        length = draw(st.integers(0, 8))
        how = draw(st.sampled_from(("put in", "cut out", "change", "repeat", "move")))
        some = draw(st.binary(max_size=8) | st.sampled_from((b"\x00", b"\xed\xa0\x80", b'"', b".")))
        if how == "put in":
            found[at:at] = some
        elif how == "cut out":
            del found[at : at + length]
        elif how == "change":
            found[at : at + len(some)] = some
        elif how == "repeat":
            found[at:at] = found[at : at + length]
        else:
            piece = found[at : at + length]
            del found[at : at + length]
            found[0:0] = piece
    return bytes(found)
