"""From a PyTorch module to a checked ONNX network.

Knows how a module is written as ONNX and that what was written must compute the same. Leaves what the
networks mean to their own modules.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from newscaster.inference import Session
from newscaster.system.files import atomic_write

OPSET = 18
_TOLERANCE = 1e-4
DynamicAxes = Mapping[str, Mapping[int, str]]


class ExportError(RuntimeError):
    """The exported network does not compute what the trained one does: a bug, not a mistake of the user's."""


def export_network(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    path: Path | None = None,
    *,
    names: Sequence[str],
    dynamic: DynamicAxes | None = None,
    tolerance: float = _TOLERANCE,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Write a module as ONNX and make sure that ONNX Runtime computes the same from it.

    Args:
        module: what is exported, as it computes in evaluation mode; it is left in the mode it was in.
        inputs: example inputs by the names that ``forward`` gives them, in its order, on any device. They
            should look like real ones: the two are compared on them, and on inputs twice as long along
            dynamic axes.
        path: where to write the network too; an older file is replaced at once or not at all.
        names: what to call the outputs.
        dynamic: names of the axes that are free, by input: ``{"features": {0: "B", 1: "T"}}``. Free axes of
            the same name have the same length.
        tolerance: greatest difference allowed, relative to 1 or to the output's greatest value, whichever is
            larger. Integers may differ by 1, where rounding falls to the other side.
        metadata: words stored in the network.

    Returns:
        The ONNX file's bytes, weights included.

    Raises:
        ExportError: the exported network differs from the module.
        OutputError: ``path`` cannot be written.
    """
    dynamic = dynamic or {}
    if unknown := dynamic.keys() - inputs.keys():
        raise ValueError(
            f"dynamic axes are given for {sorted(unknown)}, which are not among {sorted(inputs)}"
        )
    examples = {name: tensor.detach().cpu() for name, tensor in inputs.items()}
    devices = {p.device for p in module.parameters()} or {torch.device("cpu")}
    device = devices.pop()
    was_training = module.training
    module.eval().cpu()
    try:
        model = _to_onnx(module, examples, names=names, dynamic=dynamic, metadata=metadata or {})
        check_export(module, model, examples, names=names, tolerance=tolerance)
        if dynamic:
            longer = {name: _longer(tensor, dynamic.get(name, {})) for name, tensor in examples.items()}
            check_export(module, model, longer, names=names, tolerance=tolerance)
    finally:
        module.train(was_training).to(device)
    if path is not None:
        with atomic_write(path) as temporary:
            temporary.write_bytes(model)
    return model


def without_weights(model: bytes, names: Iterable[str]) -> bytes:
    """Return an ONNX model without these initializers; `newscaster.onnx_weights` completes it.

    Raises:
        ValueError: it has no initializer of one of the names.
    """
    import onnx

    proto, wanted = onnx.load_from_string(model), set(names)
    if missing := sorted(wanted - {initializer.name for initializer in proto.graph.initializer}):
        raise ValueError(f"the model has no initializers {', '.join(missing)}")
    kept = [initializer for initializer in proto.graph.initializer if initializer.name not in wanted]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    return bytes(proto.SerializeToString())


def _to_onnx(
    module: nn.Module,
    examples: Mapping[str, Tensor],
    *,
    names: Sequence[str],
    dynamic: DynamicAxes,
    metadata: Mapping[str, str],
) -> bytes:
    import onnx

    lengths = {axis: torch.export.Dim(axis) for axes in dynamic.values() for axis in axes.values()}
    shapes = {
        name: {index: lengths[axis] for index, axis in dynamic.get(name, {}).items()} for name in examples
    }
    # An axis of length 1 would be taken for one that always is.
    traced = {name: _longer(tensor, dynamic.get(name, {})) for name, tensor in examples.items()}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(traced.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(examples),
            output_names=list(names),
            dynamic_shapes=tuple(shapes.values()) if dynamic else None,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, dict(metadata))
    _strip(proto)
    file = io.BytesIO()
    onnx.save_model(proto, file)
    return file.getvalue()


def _strip(proto: object) -> None:
    # The exporter writes stack traces of this machine's files into every node.
    graph = proto.graph  # type: ignore[attr-defined]
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        if hasattr(part, "doc_string"):
            part.doc_string = ""
        if hasattr(part, "metadata_props"):
            del part.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # The exporter warns of its own internals, by both ways there are.
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _longer(tensor: Tensor, axes: Mapping[int, str]) -> Tensor:
    return tensor.repeat([2 if index in axes else 1 for index in range(tensor.ndim)])


def check_export(
    module: nn.Module,
    model: bytes,
    inputs: Mapping[str, Tensor],
    *,
    names: Sequence[str],
    tolerance: float = _TOLERANCE,
) -> None:
    """Check that a network (ONNX) computes the same as a module in evaluation mode.

    Args:
        module: the module, on the CPU.
        model: the network.
        inputs: examples by name, in the order of ``forward``.
        names: the outputs.
        tolerance: as in :func:`export_network`.

    Raises:
        ExportError: it does not.
    """
    with torch.no_grad():
        wanted = module(*inputs.values())
    found = Session(model, name="the exported network", trusted=True, remedy="Export it again").run(
        **{k: v.numpy() for k, v in inputs.items()}
    )
    if isinstance(wanted, Tensor):
        wanted = (wanted,)
    for name, tensor in zip(names, wanted, strict=True):
        ours, theirs = tensor.numpy(), found[name]
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise ExportError(
                f"the exported network's {name!r} is {theirs.dtype} {theirs.shape}, "
                f"the module's {ours.dtype} {ours.shape}"
            )
        worst = float(np.abs(ours.astype(np.float64) - theirs).max(initial=0.0))
        exact = np.issubdtype(ours.dtype, np.integer)
        allowed = 1.0 if exact else tolerance * max(1.0, float(np.abs(ours).max(initial=0.0)))
        if not worst <= allowed:
            raise ExportError(
                f"the exported network's {name!r} differs from the module's by up to {worst:.3g}; "
                f"{allowed:.3g} is allowed"
            )
