"""The processes that train one network together: what a training needs of them, and the case of a single one.

Each process makes its rows of a batch that all of them have in common, and the gradients are averaged. Two
processes with batches of B so compute what one computes with batches of 2 B. Three things are therefore not
left to the rows of one process: random numbers (:meth:`Shard.randn`, :class:`Dropout`), batch statistics
(:class:`BatchNorm2d`), and denominators of losses that depend on the data (:meth:`Processes.mean`).

:mod:`newscaster.training.distributed` joins several processes; this module has no part that needs them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.errors import TrainingError

Value = TypeVar("Value")


class FirstProcessError(TrainingError):
    """The first process of a training failed, and reports why: the others end without a report."""


@dataclass(frozen=True)
class Shard:
    """One of ``count`` equal parts of a batch, or of a stream of samples."""

    index: int
    count: int

    def rows(self, total: int) -> slice:
        """Return the rows of this part among ``total``, a multiple of the number of parts."""
        if total % self.count:
            raise ValueError(f"{total} rows are no multiple of {self.count} parts")
        size = total // self.count
        return slice(self.index * size, (self.index + 1) * size)

    def randn(self, shape: torch.Size) -> Tensor:
        """Return this part's rows of normal random numbers (B * count, ...), for a ``shape`` of (B, ...)."""
        rows = shape[0] * self.count
        return torch.randn(rows, *shape[1:])[self.rows(rows)]


WHOLE = Shard(0, 1)


class Processes:
    """A process that trains alone. Subclasses join several; each method is then called in all of them."""

    shard: Shard = WHOLE
    """The part of every batch that this process makes."""
    local_count: int = 1
    """Processes on this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that measures, reports and writes."""
        return self.shard.index == 0

    def first(self, make: Callable[[], Value]) -> Value:
        """Return what ``make`` returns in the first process; the others do not call it.

        Raises:
            FirstProcessError: it raised in the first process. There, its own error is raised.
        """
        return make()

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean over the processes of a tensor, which has no gradient."""
        return value

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients of parameters by their means over the processes."""

    def copy_first(self, network: nn.Module) -> None:
        """Give all processes the parameters and buffers of the first."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Processes:
        return self  # a copy of a network is trained by the same processes


ALONE = Processes()


def in_turn(processes: Processes, make: Callable[[], Value]) -> Value:
    """Return what each process makes; the first makes its own before the others, which find its files."""
    made: list[Value] = []
    processes.first(lambda: made.append(make()))
    return made[0] if made else make()


class Several(Processes, ABC):
    """Processes that talk to each other; a subclass has the two ways to do so, and sets the attributes."""

    @abstractmethod
    def broadcast(self, value: Any) -> Any:
        """Return the value that the first process has; any that can be pickled."""

    @abstractmethod
    def mean(self, value: Tensor) -> Tensor:
        """See :class:`Processes`."""

    def first(self, make: Callable[[], Value]) -> Value:
        """See :class:`Processes`."""
        outcome: tuple[Value | None, str | None] = None, None
        error: Exception | None = None
        if self.is_first:
            try:
                outcome = make(), None
            except Exception as raised:
                outcome, error = (None, str(raised)), raised
        value, message = self.broadcast(outcome)
        if error is not None:
            raise error
        if message is not None:
            raise FirstProcessError(message)
        result: Value = value
        return result

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """See :class:`Processes`. One flat buffer is averaged."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def copy_first(self, network: nn.Module) -> None:
        """See :class:`Processes`."""
        first = {name: value.cpu() for name, value in network.state_dict().items()} if self.is_first else {}
        network.load_state_dict(self.broadcast(first))


class SharedModule:
    """A layer whose output depends on the rows of other processes."""

    processes: Processes = ALONE

    @property
    def is_shared(self) -> bool:
        """Whether there are other processes."""
        return self.processes.shard.count > 1


def join_modules(network: nn.Module, processes: Processes) -> None:
    """Tell the layers of a network which processes train it."""
    for module in network.modules():
        if isinstance(module, SharedModule):
            module.processes = processes


class Dropout(SharedModule, nn.Dropout):
    """Dropout that draws the mask of all processes, and takes its rows. The input is (B, ...)."""

    def forward(self, input: Tensor) -> Tensor:
        """See :class:`torch.nn.Dropout`."""
        if not (self.training and self.is_shared):
            return super().forward(input)
        rows = len(input) * self.processes.shard.count
        mask = functional.dropout(input.new_ones(rows, *input.shape[1:]), self.p)
        return input * mask[self.processes.shard.rows(rows)]


class Dropout1d(SharedModule, nn.Dropout1d):
    """:class:`Dropout` of whole channels; the input is (B, C, T)."""

    def forward(self, input: Tensor) -> Tensor:
        """See :class:`torch.nn.Dropout1d`."""
        if not (self.training and self.is_shared):
            return super().forward(input)
        rows = len(input) * self.processes.shard.count
        mask = functional.dropout1d(input.new_ones(rows, input.shape[1], 1), self.p)
        return input * mask[self.processes.shard.rows(rows)]


class BatchNorm2d(SharedModule, nn.BatchNorm2d):
    """Batch normalisation by the statistics of all processes. PyTorch's ``SyncBatchNorm`` refuses CPUs."""

    def forward(self, input: Tensor) -> Tensor:
        """See :class:`torch.nn.BatchNorm2d`."""
        if not (self.training and self.is_shared):
            return super().forward(input)
        normalised, mean, variance = _SharedNormalization.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.eps, self.processes
        )
        count = input.numel() // input.shape[1] * self.processes.shard.count
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / max(count - 1, 1), self.momentum)
        out: Tensor = normalised
        return out


_OVER = (0, 2, 3)


class _SharedNormalization(torch.autograd.Function):
    """(x - mean) / σ * weight + bias, with mean and variance σ² over the rows of all processes.

    With means <> over all rows and x̂ = (x - mean) / σ, the gradient of x is
    weight / σ * (dy - <dy> - x̂ <dy x̂>). Those of weight and bias are sums over this process's rows:
    they are averaged with all other gradients.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, processes: Processes
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = _wide(x)
        mean = processes.mean(wide.mean(_OVER))
        variance = processes.mean((wide - _spread(mean)).square().mean(_OVER))
        inverse = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.processes = processes
        ctx.mark_non_differentiable(mean, variance)
        y = (wide - _spread(mean)) * _spread(inverse * weight) + _spread(bias)
        return y.to(x.dtype), mean, variance

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, weight, mean, inverse = ctx.saved_tensors
        dy = _wide(dy)
        normal = (_wide(x) - _spread(mean)) * _spread(inverse)
        d_bias, d_weight = dy.sum(_OVER), (dy * normal).sum(_OVER)
        count = dy.numel() // dy.shape[1]
        level, slope = ctx.processes.mean(torch.stack([d_bias, d_weight]) / count)
        dx = (dy - _spread(level) - normal * _spread(slope)) * _spread(inverse * weight)
        return dx.to(x.dtype), d_weight, d_bias, None, None


def _wide(values: Tensor) -> Tensor:
    """Values at least in single precision."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _spread(values: Tensor) -> Tensor:
    """(C,) as (1, C, 1, 1)."""
    return values[None, :, None, None]
