"""How much memory an update takes at its peak, beyond what was held before it."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(update: Callable[[], object], device: torch.device) -> int:
    """The largest sum of live bytes that `update` had allocated at any moment, gradients and what kernels allocate for a while included.

    On CUDA, as `torch.cuda.max_memory_allocated` has it. On the CPU from every allocation and release that torch's allocator reports to its
    profiler; a matrix library's own workspace is not seen, and blocks from before are not counted when they are released.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        update()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - held
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        update()
    return _largest_sum(_allocations(profiler))


def _allocations(profiler: profile) -> list[int]:
    """The bytes of each allocation, and of each release as a negative number, in their order."""
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    memory = sorted((event for event in events if event["name"] == "[memory]"), key=lambda event: float(event["ts"]))
    return [int(event["args"]["Bytes"]) for event in memory]


def _largest_sum(allocations: list[int]) -> int:
    held = largest = 0
    for each in allocations:
        held += each
        largest = max(largest, held)
    return largest
