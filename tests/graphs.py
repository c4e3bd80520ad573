"""Networks in the ONNX format, small enough to know what they must give."""

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray


def newest_leads(width: int, *, divisor: float = 1.0) -> bytes:
    """From vectors (length, d) oldest first to `(newest + mean / 2) / divisor`, zeros before all.

    With a divisor of 0 it gives no finite numbers.
    """
    constants: dict[str, NDArray[Any]] = {
        "nothing": np.zeros((1, width), np.float32),
        "newest_place": np.array(-1, np.int64),
        "half": np.array(0.5, np.float32),
        "divisor": np.array(divisor, np.float32),
    }
    nodes = [
        helper.make_node("Concat", ["nothing", "vectors"], ["read"], axis=0),
        helper.make_node("Gather", ["read", "newest_place"], ["newest"], axis=0),
        helper.make_node("ReduceMean", ["read"], ["mean"], axes=[0], keepdims=0),
        helper.make_node("Mul", ["mean", "half"], ["halved"]),
        helper.make_node("Add", ["newest", "halved"], ["sum"]),
        helper.make_node("Div", ["sum", "divisor"], ["user"]),
    ]
    graph = helper.make_graph(
        nodes,
        "newest_leads",
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["length", width])],
        [helper.make_tensor_value_info("user", TensorProto.FLOAT, [width])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    made: bytes = model.SerializeToString()
    return made
