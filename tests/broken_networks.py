"""Networks that are whole as files, and broken as networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

Change = Callable[[np.ndarray], np.ndarray]


def broken(model: bytes, change: Change) -> bytes:
    """A network whose weights, of more than a few elements, are changed."""
    proto: Any = onnx.load_from_string(model)
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype in (np.float32, np.float16) and array.size > 4:
            tensor.CopyFrom(numpy_helper.from_array(change(array).astype(array.dtype), tensor.name))
    return bytes(proto.SerializeToString())
