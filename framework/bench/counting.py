"""Counts of an update: operators, bytes, arithmetic, and waits of the host. A busy machine does not change them."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

HEAVY: Final = ("mm", "addmm", "bmm", "baddbmm", "convolution", "convolution_backward")
"""Operators whose operands must move however well all others are fused."""
WAITING: Final = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "_unique2", "unique_dim")
"""Operators whose result, or its size, the host needs before it continues."""


@final
class OperatorCounts(TorchDispatchMode):
    """Of one call: dispatched operators, those that are no views, waits of the host, and the arithmetic of products.

    `flops` are two for each multiplication and addition. `bytes` go in and out of every operator that is no view, `heavy_bytes` of
    products and convolutions alone, which remain if everything else is fused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_name: Counter[str] = Counter()
        self.operators = self.computing = self.waits = self.flops = self.bytes = self.heavy_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.by_name[name] += 1
        self.operators += 1
        self.waits += _waits(name, args, result)
        if not func.is_view:
            moved = sum(each.nbytes for each in _tensors((args, kwargs, result)))
            self.computing += 1
            self.bytes += moved
            self.heavy_bytes += moved * (name in HEAVY)
        return result


def count(call: Callable[[], object]) -> OperatorCounts:
    """Count the operators of one call, backward passes included. The call must not be compiled, since compiled code dispatches none."""
    with FlopCounterMode(display=False) as flops, OperatorCounts() as counts:
        call()
    counts.flops = flops.get_total_flops()
    return counts


def kernels(call: Callable[[], object]) -> int:
    """The number of kernels that one call launches on CUDA, without copies and fills of memory."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    names = [each.name for each in profiler.events() or () if each.device_type == torch.autograd.DeviceType.CUDA]
    return sum(not name.startswith(("Memcpy", "Memset")) for name in names)


def cuda_waits(call: Callable[[], object]) -> int:
    """The number of synchronizations that CUDA reports for one call."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return sum("synchroniz" in str(each.message) for each in caught)


def _waits(name: str, args: Sequence[Any], result: Any) -> bool:
    if name in ("index", "index_put", "index_put_"):
        return any(each.dtype in (torch.bool, torch.uint8) for each in _tensors(args[1]))
    if name in ("_to_copy", "copy_"):
        return result.device.type == "cpu" and any(each.device.type != "cpu" for each in _tensors(args))
    return name in WAITING


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
