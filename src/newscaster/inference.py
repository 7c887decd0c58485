"""Runs ONNX networks on the CPU; the only module that imports ONNX Runtime.

A `Session` takes and gives NumPy arrays by name and says in plain words what does not fit. What the
networks mean is for the callers to know.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from newscaster.errors import InputError

if TYPE_CHECKING:
    import onnxruntime

Shape = tuple[int | str, ...]
"""Axes of an array: a number where it is fixed, a name where it is free."""

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class Session:
    """One ONNX network, loaded and ready.

    Args:
        model: the network as bytes, or the path of its file.
        threads: threads of one operator; by default as many as there are physical cores.
        spinning: whether threads that wait keep a core busy. Off, a session leaves the cores to the stages
            that run beside it (two on two cores: a tenth faster); on, one that runs alone gains a fifth.
        name: how error messages call the network; by default its file's name.

    Raises:
        InputError: the file is missing, or what it holds is no network that can be run.
    """

    def __init__(
        self,
        model: bytes | Path,
        *,
        threads: int | None = None,
        spinning: bool = False,
        name: str | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}; give 1 or more, or None for one per physical core")
        self.name = name or (model.name if isinstance(model, Path) else "the network")
        self._session = _load(model, self.name, threads=threads, spinning=spinning)
        self.inputs: dict[str, Shape] = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        self.outputs: dict[str, Shape] = {o.name: tuple(o.shape) for o in self._session.get_outputs()}
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        types = {i.name: i.type for i in self._session.get_inputs()}
        if unknown := set(types.values()) - _DTYPES.keys():
            raise InputError(
                f"{self.name} takes {', '.join(sorted(unknown))}; expected only {', '.join(_DTYPES)}"
            )
        self._dtypes = {key: np.dtype(_DTYPES[kind]) for key, kind in types.items()}
        self._output_names = list(self.outputs)

    def __repr__(self) -> str:
        return f"Session({self.name}: {self.inputs} -> {self.outputs})"

    def run(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """All outputs by name.

        Args:
            inputs: one array per input of the network, of exactly its dtype; fixed axes must agree.

        Raises:
            InputError: a name, dtype or shape does not fit the network.
        """
        if inputs.keys() != self.inputs.keys():
            raise InputError(f"{self.name} takes {sorted(self.inputs)}; it was given {sorted(inputs)}")
        feed = {key: self._checked(key, array) for key, array in inputs.items()}
        try:
            results = self._session.run(self._output_names, feed)
        except Exception as error:  # ONNX Runtime's classes share no base of their own
            shapes = {key: array.shape for key, array in feed.items()}
            raise InputError(f"{self.name} cannot be run on inputs of shape {shapes}: {error}") from error
        return dict(zip(self._output_names, results, strict=True))

    def _checked(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        shape, dtype = self.inputs[name], self._dtypes[name]
        fits = len(shape) == array.ndim and all(
            not isinstance(want, int) or want == have for want, have in zip(shape, array.shape, strict=True)
        )
        if array.dtype != dtype or not fits:
            raise InputError(
                f"{self.name}: input {name!r} is {array.dtype} {array.shape}; expected {dtype} {shape}"
            )
        return np.ascontiguousarray(array)


def _load(
    model: bytes | Path, name: str, *, threads: int | None, spinning: bool
) -> onnxruntime.InferenceSession:
    import onnxruntime

    if isinstance(model, Path) and not model.is_file():
        raise InputError(f"{model} is not a file; expected an ONNX network there")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    source = str(model) if isinstance(model, Path) else model
    # Other providers (CUDA, OpenVINO) go before the CPU's in this list.
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's classes share no base of their own
        raise InputError(
            f"{name} cannot be loaded as an ONNX network: {str(error).strip()}. It is damaged or was written "
            "for another version; fetch or export it again"
        ) from error
