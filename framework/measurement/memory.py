"""Peak memory of a call, beyond what was allocated before it."""

import json
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """The largest sum of bytes that `call` had allocated at any moment, gradients and temporary buffers of kernels included.

    On CUDA by `torch.cuda.max_memory_allocated`. On the CPU from every allocation and release that torch's allocator reports to its
    profiler, without the workspace of a matrix library; blocks from before are not counted when they are released.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    return max(accumulate(_allocations(profiler), initial=0))


def _allocations(profiler: profile) -> list[int]:
    """Bytes of each allocation, and of each release as a negative number, in the order of time."""
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    memory = sorted((event for event in events if event["name"] == "[memory]"), key=lambda event: float(event["ts"]))
    return [int(event["args"]["Bytes"]) for event in memory]
