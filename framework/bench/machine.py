"""The machine of a measurement: its facts, and its speed at a matrix product and at a copy, measured in the same run.

Machines differ; ratios to these speeds differ less.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch

import framework
from framework.measurement.resources import Effort, timed
from framework.tracking import provenance

SIZE: Final = 2048
"""Rows and columns of the product; large enough to be bound by arithmetic."""
COPIED: Final = 2**26
"""Numbers copied, 256 MiB of float32, far more than caches hold."""
EFFORT: Final = Effort(seconds=0.0, repeats=5)


@final
@dataclass(frozen=True)
class MachineLimits:
    """Operations a second of the product in the run's precision, and bytes a second of the copy, reads and writes."""

    flops: float
    bytes: float


def limits(device: torch.device, dtype: torch.dtype) -> MachineLimits:
    """By the shortest times, since other work on the machine only slows."""

    def least(call: Callable[[], object]) -> float:
        return min(timed(call, EFFORT).seconds)

    matrix = torch.randn(SIZE, SIZE, device=device).to(dtype)
    flops = 2 * SIZE**3 / least(lambda: matrix @ matrix)
    source, target = torch.ones(COPIED, device=device), torch.empty(COPIED, device=device)
    return MachineLimits(flops=flops, bytes=2 * source.nbytes / least(lambda: target.copy_(source)))


def facts(device: torch.device) -> dict[str, Any]:
    """The machine and its load, the versions and the commit."""
    package = provenance.facts(Path(framework.__file__).parent)
    return {
        "device": f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}" if device.type == "cuda" else str(device),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(each, 2) for each in os.getloadavg()] if "getloadavg" in dir(os) else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": provenance.versions(),
        "commit": package.get("git.commit"),
        "changed": package.get("git.changed"),
        "line": package["command"],
    }


def _processor() -> str:
    """The model of the processor on Linux, elsewhere what Python has for it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
