"""A CUDA graph's behavior on any device: operators recorded with the memory that they read and wrote, and repeated on it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from framework.bench.counting import WAITING
from framework.testing.checks import tensors

Result = TypeVar("Result")


class Tape(TorchDispatchMode):
    """Records operators in Python, which runs once: a number that Python holds is the same in every replay, as on CUDA.

    Recording does the work, which CUDA would not do: afterwards the `kept` tensors are restored.
    """

    def __init__(self, kept: Callable[[], Sequence[Tensor]]) -> None:
        super().__init__()
        self._kept = kept
        self.operators: list[tuple[Any, Sequence[Any], Mapping[str, Any], Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket.__name__ in WAITING:
            raise RuntimeError("operation not permitted when stream is capturing")  # CUDA's words
        result = func(*args, **(kwargs or {}))
        self.operators.append((func, args, kwargs or {}, result))
        return result

    def warm_up(self, work: Callable[[], Result]) -> Result:
        return work()

    def record(self, work: Callable[[], Result]) -> Result:
        kept = self._kept()
        before = [tensor.clone() for tensor in kept]
        with self:
            result = work()
        with torch.no_grad():
            for tensor, old in zip(kept, before, strict=True):
                tensor.copy_(old)
        return result

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, result in self.operators:
            if func.is_view or torch.Tag.inplace_view in func.tags:
                continue  # another view of the same memory
            again = func(*args, **kwargs)
            if not func._schema.is_mutable:
                for old, new in zip(tensors(result), tensors(again), strict=True):
                    old.copy_(new.reshape(old.shape))
