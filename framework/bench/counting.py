"""What an update asks of the device: operators, bytes, and waits of the host. Counts, which a busy machine does not change."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

HEAVY: Final = ("mm", "addmm", "bmm", "baddbmm", "convolution", "convolution_backward")
"""Operators whose operands must move however well all others are fused."""
WAITING: Final = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "_unique2", "unique_dim")
"""Operators whose result, or its size, the host must know before it goes on."""


@final
@dataclass(frozen=True)
class Counts:
    """Of one call: operators dispatched, those of them that are no views, waits of the host, and the arithmetic of products.

    `flops` are two for each multiplication and addition. `bytes` go in and out of every operator that is no view, `heavy_bytes` of
    products and convolutions alone, which is what stays if all else is fused.
    """

    operators: int
    computing: int
    waits: int
    flops: int
    bytes: int
    heavy_bytes: int
    by_name: Mapping[str, int]


def count(call: Callable[[], object]) -> Counts:
    """Count what one call dispatches, backward passes included; it must not be compiled, or there is nothing to see."""
    with FlopCounterMode(display=False) as flops, _Operators() as seen:
        call()
    return Counts(
        operators=seen.names.total(),
        computing=seen.computing,
        waits=seen.waits,
        flops=flops.get_total_flops(),
        bytes=seen.bytes,
        heavy_bytes=seen.heavy_bytes,
        by_name=dict(seen.names.most_common()),
    )


def kernels(call: Callable[[], object]) -> int:
    """How many kernels one call launches on CUDA; copies and fills of memory are none."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    names = [each.name for each in profiler.events() or () if each.device_type == torch.autograd.DeviceType.CUDA]
    return sum(not name.startswith(("Memcpy", "Memset")) for name in names)


def cuda_waits(call: Callable[[], object]) -> int:
    """How often CUDA itself says that one call waited for the device."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return sum("synchroniz" in str(each.message) for each in said)


@final
class _Operators(TorchDispatchMode):
    """Sees every operator on its way to the device."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.computing = self.waits = self.bytes = self.heavy_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.names[name] += 1
        self.waits += _waits(name, args, result)
        if not func.is_view:
            moved = sum(each.nbytes for each in _tensors((args, kwargs, result)))
            self.computing += 1
            self.bytes += moved
            self.heavy_bytes += moved * (name in HEAVY)
        return result


def _waits(name: str, args: Sequence[Any], result: Any) -> bool:
    if name in WAITING:
        return True
    if name in ("index", "index_put", "index_put_"):
        return any(each.dtype in (torch.bool, torch.uint8) for each in _tensors(args[1]))
    return name in ("_to_copy", "copy_") and any(each.device.type != "cpu" for each in _tensors(args)) and result.device.type == "cpu"


def _tensors(value: Any) -> Iterator[Tensor]:
    match value:
        case Tensor():
            yield value
        case Mapping():
            yield from _tensors(list(value.values()))
        case list() | tuple():
            for each in value:
                yield from _tensors(each)
