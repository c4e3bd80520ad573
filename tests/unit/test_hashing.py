import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.hashing import event_key, hash64, hash64_many

pytestmark = pytest.mark.unit


def test_hashes_are_the_same_in_every_process() -> None:
    code = "from core.hashing import hash64, event_key; print(hash64('42'), event_key('a', 'b'))"
    seen = {
        subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {f"{hash64('42')} {event_key('a', 'b')}\n".encode()}


@given(st.lists(st.text(), max_size=20))
def test_many_hashes_are_the_single_ones(texts: list[str]) -> None:
    assert hash64_many(texts).tolist() == [hash64(text) for text in texts]


@given(st.text(), st.text(), st.text(), st.text())
def test_event_keys_tell_source_from_id(a: str, b: str, c: str, d: str) -> None:
    assert (event_key(a, b) == event_key(c, d)) == ((a, b) == (c, d))
