"""Runs ONNX networks; the only module that imports inference engines.

A `Session` maps NumPy arrays by name to NumPy arrays by name, and checks them. `safety.onnx_guard` parses
every untrusted file before an engine loads it. ONNX Runtime on the CPU is always available. OpenVINO and
NVIDIA GPUs are used if they are installed, and requested or faster.
"""

from __future__ import annotations

import logging
import os
import queue
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from newscaster.errors import InputError, MissingExtraError
from newscaster.safety.onnx_guard import MAX_BYTES, TRIAL_STEPS, OnnxFile, RefusedError, check_cost, read_onnx
from newscaster.system.cpu import core_limit
from newscaster.system.os_errors import is_no_memory
from newscaster.system.turns import outside_turn
from newscaster.texts import quoted

if TYPE_CHECKING:
    import onnxruntime

Shape = tuple[int | str, ...]
"""Axes of an array: a number if the axis is fixed, a name if it is free."""

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


_log = logging.getLogger("newscaster.inference")

Feed = dict[str, NDArray[Any]]
Engine = Callable[[Feed], "list[NDArray[Any]]"]
"""Runs the network; returns all outputs in the order of the network. Thread-safe."""

ONNX_RUNTIME, OPENVINO, CUDA, AUTO = "onnxruntime", "openvino", "cuda", "auto"
BACKENDS = (AUTO, ONNX_RUNTIME, OPENVINO, CUDA)
"""Backends of a network; `auto` measures the installed ones and uses the fastest."""
BACKEND_VARIABLE = "NEWSCASTER_BACKEND"

_FATAL = 4
"""Highest severity of log messages of ONNX Runtime."""
_REINSTALL = "Reinstall newscaster"
_TRIAL_BATCH = 2
_TRIALS = 3
_MAX_FITTING = 256
"""Types and shapes of inputs that are checked once: most runs repeat those of the run before."""
_MAX_TIME_FRACTION = 0.95
"""Another engine is used if it takes at most this fraction of the time."""


def backend_named(name: str | None) -> str:
    """Return one of `BACKENDS`: this one, or else that of the environment, or else `auto`.

    Raises:
        InputError: the backend does not exist.
    """
    backend = name or os.environ.get(BACKEND_VARIABLE) or AUTO
    if backend not in BACKENDS:
        raise InputError(
            f"the backend is {quoted(backend)}; expected one of {', '.join(BACKENDS)}, as an argument or "
            f"in the environment variable {BACKEND_VARIABLE}"
        )
    return backend


class Session:
    """A loaded ONNX network.

    Args:
        model: the network as bytes, or the path of its file.
        threads: threads of one operator; by default one per physical core.
        spinning: whether waiting threads busy-wait. Off, the cores are free for other work in the process
            (two on two cores: 10 % faster). On, a session that runs alone is 20 % faster.
        name: name of the network in error messages; by default the file name.
        backend: one of `BACKENDS`. A backend that cannot be used is replaced by ONNX Runtime, with a warning.
        callers: number of threads that run it at a time.
        trusted: whether the network was made in this process or is part of newscaster. Others are parsed
            first, and rejected if they use unexpected operators or cost too much: see `safety.onnx_guard`.
        exact: whether it computes positions: 16-bit floating point, which OpenVINO uses on some processors,
            has too few digits for them.
        sample: inputs to measure backends with; by default zeros, with 2 elements for each free axis.
        remedy: next step if the network is damaged, for error messages. By default: reinstall newscaster if
            it is trusted, train the anchor again if it is not.

    Raises:
        InputError: the file is missing, or is not a valid network, or is rejected.
    """

    def __init__(
        self,
        model: bytes | Path,
        *,
        threads: int | None = None,
        spinning: bool = False,
        name: str | None = None,
        backend: str = ONNX_RUNTIME,
        callers: int = 1,
        trusted: bool = False,
        exact: bool = False,
        sample: Feed | None = None,
        remedy: str | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}; give 1 or more, or None for one per physical core")
        self.name = name or (model.name if isinstance(model, Path) else "the network")
        model = _read(model) if isinstance(model, Path) else model
        reload = remedy or (_REINSTALL if trusted else "Fetch or export it again")
        if not trusted:
            _check(model, self.name, reload)
        self._max_axis: float = float("inf") if trusted else TRIAL_STEPS
        self._remedy = remedy or (_REINSTALL if trusted else "Train the anchor again")
        session = _load(model, self.name, threads=threads, spinning=spinning, remedy=reload)
        self.inputs: dict[str, Shape] = {i.name: tuple(i.shape) for i in session.get_inputs()}
        self.outputs: dict[str, Shape] = {o.name: tuple(o.shape) for o in session.get_outputs()}
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        types = {i.name: i.type for i in session.get_inputs()}
        if unknown := set(types.values()) - _DTYPES.keys():
            raise InputError(
                f"{self.name} takes {', '.join(sorted(unknown))}; expected only {', '.join(_DTYPES)}"
            )
        self._fitting: set[tuple[str, np.dtype[Any], tuple[int, ...]]] = set()
        self._dtypes = {key: np.dtype(_DTYPES[kind]) for key, kind in types.items()}
        self._output_names = list(self.outputs)
        self.backend = ONNX_RUNTIME
        self._engine: Engine = lambda feed: session.run(self._output_names, feed)
        if (backend := backend_named(backend)) != ONNX_RUNTIME:
            options = _EngineOptions(threads=threads, callers=callers, exact=exact)
            self._choose(backend, model, options, sample)

    def _choose(self, backend: str, model: bytes, options: _EngineOptions, sample: Feed | None) -> None:
        """Use another engine if it is requested or faster. Each candidate runs before it is used."""
        candidates = [name for name in (CUDA, OPENVINO) if _installed(name)] if backend == AUTO else [backend]
        shapes = {k: [n if isinstance(n, int) else _TRIAL_BATCH for n in s] for k, s in self.inputs.items()}
        feed = sample or {key: np.zeros(shape, self._dtypes[key]) for key, shape in shapes.items()}
        fastest = (
            _MAX_TIME_FRACTION * _seconds(self._engine, feed)
            if backend == AUTO and candidates
            else float("inf")
        )
        for name in candidates:
            try:
                engine = _ENGINES[name](model, self._output_names, options)
                seconds = _seconds(engine, feed)
            except Exception as error:  # engines raise errors of any type; ONNX Runtime remains
                _log.warning(
                    "%s cannot be run with %s (%s); ONNX Runtime runs it on the CPU", self.name, name, error
                )
                continue
            if seconds < fastest:
                fastest, self.backend, self._engine = seconds, name, engine

    def __repr__(self) -> str:
        return f"Session({self.name}: {self.inputs} -> {self.outputs})"

    def run(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Run the network; return all outputs by name.

        Args:
            inputs: one array per input of the network, of its exact dtype; fixed axes must agree. Free axes
                have at most `onnx_guard.TRIAL_STEPS` elements, unless the network is trusted.

        Raises:
            InputError: a name, dtype or shape does not fit the network.
        """
        if inputs.keys() != self.inputs.keys():
            raise InputError(f"{self.name} takes {sorted(self.inputs)}; found {sorted(inputs)}")
        feed = {key: self._check_array(key, array) for key, array in inputs.items()}
        try:
            results = outside_turn(self._engine, feed)
        except Exception as error:  # error classes of engines have no common base
            if is_no_memory(error):
                raise MemoryError from error
            shapes = {key: array.shape for key, array in feed.items()}
            raise InputError(
                f"{self.name} cannot be run on inputs of shape {shapes}: {_shorten_message(error)}"
            ) from error
        return dict(zip(self._output_names, results, strict=True))

    def run_one(self, output: str, shape: tuple[int, ...], **inputs: NDArray[Any]) -> NDArray[Any]:
        """Run the network; return one output. Check that it is finite and has this shape.

        The shapes that an untrusted network declares may be wrong.

        Raises:
            InputError: it is not finite or has another shape; or as in :meth:`run`.
        """
        outputs = self.run(**inputs)
        if output not in outputs:
            raise InputError(
                f"{self.name} returns {sorted(outputs)}; expected {output!r} among them. {self._remedy}"
            )
        array = outputs[output]
        if array.shape != shape or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise InputError(
                f"{self.name}: output {output!r} is {array.dtype} {array.shape} or not finite; expected "
                f"{shape}, all finite. {self._remedy}"
            )
        return array

    def _check_array(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        key = name, array.dtype, array.shape
        if key not in self._fitting:
            self._check_fit(name, array)
            if len(self._fitting) < _MAX_FITTING:
                self._fitting.add(key)
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)

    def _check_fit(self, name: str, array: NDArray[Any]) -> None:
        shape, dtype = self.inputs[name], self._dtypes[name]
        fits = len(shape) == array.ndim and all(
            want == have if isinstance(want, int) else have <= self._max_axis
            for want, have in zip(shape, array.shape, strict=True)
        )
        if array.dtype != dtype or not fits:
            raise InputError(
                f"{self.name}: input {name!r} is {array.dtype} {array.shape}; expected {dtype} {shape}"
            )


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path} is not a file; expected an ONNX network there")
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}). Give a readable file"
        ) from error


def _check(model: bytes, name: str, remedy: str) -> None:
    """Reject a network with unexpected operators, or whose shapes imply too much computation."""
    try:
        file = read_onnx(model)
        check_cost(file, _values(file, name, remedy))
    except RefusedError as error:
        raise InputError(
            f"{name} cannot be loaded as an ONNX network: {error}. It is damaged or was not made by "
            f"newscaster. {remedy}"
        ) from error


def _values(file: OnnxFile, name: str, remedy: str) -> dict[str, tuple[tuple[int, ...], int]]:
    """Return shape and bytes per element of every value, as inferred by ONNX Runtime without computation."""
    import onnxruntime

    options = _options(1)
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # others compute constants
    options.graph_optimization_level = level
    options.add_session_config_entry("session.disable_prepacking", "1")
    for axis, length in file.free.items():
        options.add_free_dimension_override_by_name(axis, length)
    session = _make_session(file.outlined(), options, name, remedy)
    values = {}
    for value in session.get_outputs():
        shape = tuple(n if isinstance(n, int) else -1 for n in value.shape)
        itemsize = np.dtype(_DTYPES[value.type]).itemsize if value.type in _DTYPES else 8
        values[value.name] = shape, itemsize
    return values


def _load(
    model: bytes, name: str, *, threads: int | None, spinning: bool, remedy: str
) -> onnxruntime.InferenceSession:
    options = _options(threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    return _make_session(model, options, name, remedy)


def _make_session(
    model: bytes, options: onnxruntime.SessionOptions, name: str, remedy: str
) -> onnxruntime.InferenceSession:
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # error classes of ONNX Runtime have no common base
        if is_no_memory(error):
            raise MemoryError from error
        raise InputError(
            f"{name} cannot be loaded as an ONNX network: {_shorten_message(error)}. It is damaged or was "
            f"written for another version. {remedy}"
        ) from error


def _shorten_message(error: Exception) -> str:
    """Return the message of an engine on one line of bounded length."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())[:400].rstrip(".")


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL  # errors are raised, too; standard error belongs to the program
    options.intra_op_num_threads = threads or core_limit() or 0
    options.inter_op_num_threads = 1
    return options


def installed_backends() -> tuple[str, ...]:
    """Return the backends whose packages are installed; whether they work shows when a network is loaded."""
    return (ONNX_RUNTIME, *(name for name in (OPENVINO, CUDA) if _installed(name)))


def _installed(backend: str) -> bool:
    if backend == OPENVINO:
        return find_spec("openvino") is not None
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _seconds(engine: Engine, feed: Feed) -> float:
    """Return the median time of a run, without the first: it allocates memory."""
    times = []
    for _ in range(1 + _TRIALS):
        start = time.perf_counter()
        engine(feed)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


@dataclass(frozen=True, kw_only=True)
class _EngineOptions:
    threads: int | None
    callers: int
    exact: bool


def _cuda(model: bytes, outputs: list[str], options: _EngineOptions) -> Engine:
    import onnxruntime

    if not _installed(CUDA):
        raise MissingExtraError(purpose="running networks on a GPU", extra="cuda", package="onnxruntime-gpu")
    # The default search for the fastest algorithm runs again for every batch size.
    provider = ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"})
    session = onnxruntime.InferenceSession(
        model, _options(options.threads), providers=[provider, "CPUExecutionProvider"]
    )
    if "CUDAExecutionProvider" not in session.get_providers():
        raise RuntimeError("CUDA, cuDNN or NVIDIA's driver is missing, or of another version")
    return lambda feed: session.run(outputs, feed)


def _openvino(model: bytes, outputs: list[str], options: _EngineOptions) -> Engine:
    if not _installed(OPENVINO):
        raise MissingExtraError(
            purpose="running networks with OpenVINO", extra="openvino", package="openvino"
        )
    import openvino

    core = openvino.Core()
    network = core.read_model(model)
    # One stream per caller: requests of one stream wait for each other. Unless it must be exact, OpenVINO
    # chooses the precision: bfloat16 if the processor supports it. Threads pinned to cores would slow down
    # the video encoder.
    hints: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": options.callers,
        "ENABLE_CPU_PINNING": False,
    }
    if options.exact:
        hints["INFERENCE_PRECISION_HINT"] = "f32"
    if options.threads:
        hints["INFERENCE_NUM_THREADS"] = options.threads * options.callers
    compiled = core.compile_model(network, "CPU", hints)
    idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(options.callers):
        idle.put(compiled.create_infer_request())

    def run(feed: Feed) -> list[NDArray[Any]]:
        request = idle.get()
        try:
            request.infer(feed, share_inputs=True)
            # The next run overwrites the memory of the request.
            return [np.array(request.get_tensor(name).data) for name in outputs]
        finally:
            idle.put(request)

    return run


_ENGINES: dict[str, Callable[[bytes, list[str], _EngineOptions], Engine]] = {
    CUDA: _cuda,
    OPENVINO: _openvino,
}
