"""On what, with what, and on which code something was measured."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

import framework
from framework.tracking import provenance


def facts(device: torch.device) -> dict[str, Any]:
    """The machine, how busy it was, the versions and the commit."""
    told = provenance.facts(Path(framework.__file__).parent)
    return {
        "device": _device(device),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(each, 2) for each in os.getloadavg()] if "getloadavg" in dir(os) else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": provenance.versions(),
        "commit": told.get("git.commit"),
        "changed": told.get("git.changed"),
        "line": told["command"],
    }


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return str(device)


def _processor() -> str:
    """Its own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
