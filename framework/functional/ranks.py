"""The ranks of a job: processes that train one agent together, each on its own rows of a batch, joined by `torch.distributed`.

    L = mean_r L_r,    dL / dtheta = mean_r dL_r / dtheta,    dL_r / dx summed over r where rank r has a copy of x

The loss of a batch is the mean over ranks of the losses of their rows. Each rank differentiates its own loss, and `means_of_all` averages
the gradients of the parameters. A tensor that was gathered or summed has a copy on each rank, all of which are differentiated, so that its
gradient is the sum of theirs: then no gradient is off by the number of ranks.

Training joins a job (`joined`). Without one there is one rank: every function gives its argument, and torch.distributed is not used.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable


@final
@dataclass(frozen=True)
class Ranks:
    """The number of this process, from 0, and how many there are."""

    rank: int = 0
    size: int = 1


_job = [Ranks()]


@contextmanager
def joined(job: Ranks) -> Iterator[None]:
    """Within it, this process is one of a job's, whose process group exists; all ranks call the same functions in the same order."""
    _job.append(job)
    try:
        yield
    finally:
        _job.pop()


def alone() -> AbstractContextManager[None]:
    """Within it, this process computes by itself what other ranks do not."""
    return joined(Ranks())


def rank() -> int:
    """The number of this process among the ranks that compute together."""
    return _job[-1].rank


def size() -> int:
    """How many ranks compute together."""
    return _job[-1].size


def gather(rows: Shaped[Tensor, "N ..."]) -> Shaped[Tensor, "M ..."]:
    """The rows of all ranks, those of rank 0 first. Gradients: to the rows of every rank."""
    return rows if size() == 1 else _Gather.apply(rows)


def gather_own_first(rows: Shaped[Tensor, "N ..."]) -> Shaped[Tensor, "M ..."]:
    """The rows of all ranks, this one's first and then in the order of ranks, around the end. Gradients: to the rows of every rank."""
    return rows if size() == 1 else gather(rows).roll(-rank() * rows.shape[0], dims=0)


def sum_of_all(values: Shaped[Tensor, "*B"]) -> Shaped[Tensor, "*B"]:
    """The sum over ranks. Gradients: to the values of every rank."""
    return values if size() == 1 else _Sum.apply(values)


def mean_of_all(values: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """The mean over ranks. Gradients: to the values of every rank."""
    return values if size() == 1 else sum_of_all(values) / size()


@torch.no_grad()
def largest_of_all(values: Shaped[Tensor, "*B"]) -> Shaped[Tensor, "*B"]:
    """The maximum over ranks. Gradients: none."""
    if size() == 1:
        return values
    import torch.distributed as distributed

    largest = values.clone()
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return largest


@torch.no_grad()
def means_of_all(tensors: Sequence[Float[Tensor, "..."]]) -> list[Float[Tensor, "..."]]:
    """The mean over ranks of each tensor, by one reduction of all of them. Gradients: none."""
    if size() == 1:
        return list(tensors)
    flat = mean_of_all(torch.cat([tensor.reshape(-1) for tensor in tensors]))
    return [part.view(tensor.shape) for part, tensor in zip(flat.split([each.numel() for each in tensors]), tensors, strict=True)]


def totals(*counts: bool | int | float) -> list[float]:
    """The sum over ranks of each number of the host."""
    return [float(each) for each in counts] if size() == 1 else sum_of_all(torch.tensor(counts, dtype=torch.float64, device="cpu")).tolist()


@final
class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        import torch.distributed as distributed

        ctx.count = rows.shape[0]
        everyone = rows.new_empty((size() * rows.shape[0], *rows.shape[1:]))
        distributed.all_gather(list(everyone.chunk(size())), rows.contiguous())
        return everyone

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        import torch.distributed as distributed

        own = gradient.new_empty((ctx.count, *gradient.shape[1:]))
        distributed.reduce_scatter(own, list(gradient.contiguous().chunk(size())))
        return own


@final
class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _summed(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(values: Tensor) -> Tensor:
    import torch.distributed as distributed

    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total
