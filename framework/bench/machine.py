"""The machine, the versions and the commit of a measurement."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

import framework
from framework.tracking import provenance


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
