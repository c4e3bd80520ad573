"""The encoder of the sequence model, over a network whose answers are known."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from core.errors import Unavailable
from embeddings.encoders import read_encoder, write_encoder
from embeddings.sequence_encoder import SequenceEncoder
from tests.graphs import newest_leads

pytestmark = pytest.mark.unit

WIDTH, LONGEST = 4, 5
ENCODER = SequenceEncoder(newest_leads(WIDTH), LONGEST)
WATCHED = np.random.default_rng(1).standard_normal((8, WIDTH)).astype(np.float32)


def ones(count: int) -> NDArray[np.float32]:
    return np.ones(count, np.float32)


def expected(newest_first: NDArray[np.float32]) -> NDArray[np.float32]:
    made: NDArray[np.float32] = newest_first[0] + newest_first.sum(axis=0) / (
        2 * (len(newest_first) + 1)
    )
    return made


def test_the_newest_watches_are_read_and_their_order_counts() -> None:
    made = ENCODER.encode(WATCHED, ones(8))
    assert made is not None
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected(WATCHED[:LONGEST]), rtol=1e-5)
    turned = ENCODER.encode(WATCHED[:LONGEST][::-1], ones(LONGEST))
    assert turned is not None
    assert not np.allclose(turned, made)


def test_a_watch_that_says_nothing_takes_no_place() -> None:
    weights = np.array([0, 0.05, 0, 1, 1, 1, 1, 0], np.float32)
    made = ENCODER.encode(WATCHED, weights)
    assert made is not None
    np.testing.assert_allclose(made, expected(WATCHED[[1, 3, 4, 5, 6]]), rtol=1e-5)


def test_who_watched_nothing_that_says_anything_has_no_vector() -> None:
    assert ENCODER.encode(WATCHED[:0], ones(0)) is None
    assert ENCODER.encode(WATCHED, np.zeros(8, np.float32)) is None


def test_numbers_that_are_not_finite_are_no_vector_and_are_told_of_once() -> None:
    broken = SequenceEncoder(newest_leads(WIDTH, divisor=0.0), LONGEST)
    with capture_logs() as logs:
        assert broken.encode(WATCHED, ones(8)) is None
        assert broken.encode(WATCHED, ones(8)) is None
    assert [(entry["log_level"], entry["watches"]) for entry in logs] == [("error", LONGEST)]


def test_threads_may_ask_at_once() -> None:
    def ask(count: int) -> NDArray[np.float32] | None:
        return ENCODER.encode(WATCHED[:count], ones(count))

    counts = [1 + number % 8 for number in range(200)]
    with ThreadPoolExecutor(4) as pool:
        for count, made in zip(counts, pool.map(ask, counts), strict=True):
            assert made is not None
            np.testing.assert_allclose(made, expected(WATCHED[: min(count, LONGEST)]), rtol=1e-4)


def test_it_is_two_files_that_encode_as_before(tmp_path: Path) -> None:
    assert write_encoder(ENCODER, tmp_path) == ["encoder.json", "encoder.onnx"]
    kept = read_encoder(tmp_path)
    assert isinstance(kept, SequenceEncoder)
    assert kept.longest == LONGEST
    before, after = (one.encode(WATCHED, ones(8)) for one in (ENCODER, kept))
    assert before is not None
    np.testing.assert_array_equal(before, after)


def test_a_network_that_is_none_is_met_when_it_is_opened(tmp_path: Path) -> None:
    write_encoder(ENCODER, tmp_path)
    (tmp_path / "encoder.onnx").write_bytes(b"of another format")
    with pytest.raises(Unavailable, match=r"user encoder of .* cannot be opened"):
        read_encoder(tmp_path)
    (tmp_path / "encoder.json").write_bytes(b'{"type": "of another release"}')
    with pytest.raises(Unavailable, match="user encoder"):
        read_encoder(tmp_path)


def test_who_opens_no_such_version_does_not_import_onnxruntime() -> None:
    heavy = {"onnxruntime", "onnx", "onnxscript", "torch"}
    code = f"import sys, embeddings.version; print(sorted({heavy} & sys.modules.keys()))"
    found = subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
