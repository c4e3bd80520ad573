"""The user encoder of the sequence model: a network in the ONNX format, for serving."""

from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

INPUT, OUTPUT = "vectors", "user"
QUIET = 3  # onnxruntime tells of errors only; it raises them too

log = structlog.get_logger(__name__)


class SequenceEncoder:
    """Reads watches in their order. May be asked by several threads at once.

    `onnx` is a graph from `vectors`, float32 (length, d), item vectors oldest first, to `user`,
    float32 (d,). `longest` is how many of the newest watches it is given at most.
    """

    def __init__(self, onnx: bytes, longest: int) -> None:
        """Open the graph: a few milliseconds, and onnxruntime's import the first time.

        Raises:
            ValueError: it is none, or not such a graph.
        """
        self.onnx = onnx
        self.longest = longest
        self._session = _session(onnx)
        self._told = False
        self._try_out()

    def encode(
        self, vectors: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        """See `UserEncoder.encode`.

        A watch of weight 0 says nothing and takes no place; of the others only the order counts.
        None when none is left, so that such a user gets what a stranger gets, and when the network
        gives no finite numbers.
        """
        says = np.flatnonzero(weights > 0)[: self.longest]
        if len(says) == 0:
            return None
        made = self._run(vectors[says[::-1]])
        if np.isfinite(made).all():
            return made
        self._complain(len(says))
        return None

    def stranger(
        self,
        vectors: NDArray[np.float32],
        watches: NDArray[np.integer],
    ) -> NDArray[np.float32] | None:
        """See `UserEncoder.stranger`: what the network expects of whoever comes."""
        made = self._run(vectors[:0])
        return made if watches.any() and np.isfinite(made).all() else None

    def _run(self, oldest_first: NDArray[np.float32]) -> NDArray[np.float32]:
        read = np.ascontiguousarray(oldest_first, dtype=np.float32)
        made: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: read})[0]
        return made

    def _complain(self, watches: int) -> None:
        """Once: every user may meet it."""
        if not self._told:
            self._told = True
            log.error("a user encoder gives no finite numbers", watches=watches)

    def _try_out(self) -> None:
        """See that it takes histories of any length and gives what it must."""
        inputs = {each.name: each.shape for each in self._session.get_inputs()}
        width = inputs.get(INPUT, [None])[-1]
        if len(inputs) != 1 or not isinstance(width, int):
            raise ValueError(f"the network reads {inputs}, not {INPUT} (length, d)")
        for length in sorted({1, self.longest}):
            try:
                made = self._run(np.zeros((length, width), dtype=np.float32))
            except Exception as error:  # the library's own, each of them a plain Exception
                raise ValueError(f"the network reads no {length} watches: {error}") from error
            if made.shape != (width,):
                raise ValueError(f"the network gives {made.shape}, not ({width},)")


def _session(onnx: bytes) -> Any:  # noqa: ANN401 - the library has no types
    """An inference session that takes one thread: the caller's own.

    Memory is given back after each run: an arena would keep what the longest history took, once
    for every open version in every process.
    """
    # 30 MB and a tenth of a second: only where a version of this type is opened.
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False  # of use only where lengths stay the same
    options.log_severity_level = QUIET
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's own, each of them a plain Exception
        raise ValueError(f"the network cannot be opened: {error}") from error
