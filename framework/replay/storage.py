"""The memory of the stored steps: one ring `[streams, rows]`, with a tensor for each entry of a step."""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor

from framework import files
from framework.errors import UserError
from framework.specs import Specs

Storage = Literal["memory", "memmap", "device"]
Ring = dict[str, Tensor]
"""The entries by name, an observation as `observation/<name>`."""

OBSERVATION: Final = "observation/"
CGROUPS: Final = Path("/sys/fs/cgroup")


def step_of(specs: Specs) -> Ring:
    """One blank step."""

    def blank(*shape: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device="cpu")

    return {
        **{f"{OBSERVATION}{name}": blank(*spec.shape, dtype=_stored(np.dtype(spec.dtype))) for name, spec in specs.observation.items()},
        "action": blank(specs.action_size, dtype=torch.float32),
        "reward": blank(dtype=torch.float32),
        "is_first": blank(dtype=torch.bool),
        "is_terminal": blank(dtype=torch.bool),
        "episode": blank(dtype=torch.int64),
    }


def require_memory(step: Ring, steps: int) -> None:
    """Refuse a replay in memory that is larger than what is available: the system would kill the process when it is nearly full."""
    size, available = sum(entry.nbytes for entry in step.values()), available_memory()
    if steps * size > available:
        raise UserError(
            f"Replay.capacity = {steps} takes {steps * size / 1e9:.1f} GB of memory ({steps:,} steps x {size:,} bytes), and "
            f"{available / 1e9:.1f} GB are available; bind Replay.capacity = {available // size * 4 // 5} or less, or "
            "Replay.storage = 'memmap' to keep it on disk."
        )


def available_memory() -> int:
    """Bytes that the machine and the control groups of this process leave it."""
    import psutil  # which a policy that only acts does not need

    return min([psutil.virtual_memory().available, *left_by_groups(CGROUPS, Path("/proc/self/cgroup"))])


def left_by_groups(root: Path, membership: Path) -> Iterable[int]:
    """Bytes left below the limits of a process's control groups and of those around them, in version 2 and in version 1.

    Files in the page cache, which a group counts as used, are given up when memory is short.
    """
    lines = membership.read_text().splitlines() if membership.is_file() else []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        base, limit, usage = (root, "memory.max", "memory.current")
        if controllers:
            base, limit, usage = (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
        if controllers not in ("", "memory"):
            continue
        group = base / path.removeprefix("/")
        for folder in (group, *(each for each in group.parents if each.is_relative_to(base))):
            if (folder / limit).is_file() and (most := (folder / limit).read_text().strip()) != "max":
                counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                yield max(0, int(most) - int((folder / usage).read_text()) + int(counts.get("inactive_file", 0)))


def allocate(step: Ring, *, streams: int, rows: int, storage: Storage, device: torch.device, folder: Path | None) -> Ring:
    """A ring of zeros in the host's memory, in files below `folder`, or on the accelerator."""
    shapes = {name: (streams, rows, *entry.shape) for name, entry in step.items()}
    if storage == "memmap":
        return _memmap({name: entry.expand(shapes[name]) for name, entry in step.items()}, folder)
    place = device if storage == "device" else torch.device("cpu")
    try:
        return {name: torch.zeros(shapes[name], dtype=entry.dtype, device=place) for name, entry in step.items()}
    except RuntimeError as error:
        raise UserError(
            f"The memory of the {place.type} has no place for Replay.capacity = {streams * rows}; bind a smaller one, or "
            "Replay.storage = 'memory' or 'memmap'."
        ) from error


def layout(ring: Ring) -> dict[str, str]:
    """The sizes of a ring in words, and by the settings that decide them; rings of one layout can load each other's steps."""
    streams, rows = ring["reward"].shape
    entries = {name: f"{str(entry.dtype).removeprefix('torch.')} {list(entry.shape[2:])}" for name, entry in sorted(ring.items())}
    return {"Run.environments": str(streams), "Replay.capacity": str(streams * rows)} | entries


def _stored(dtype: np.dtype) -> torch.dtype:
    return torch.float32 if dtype.kind == "f" else torch.from_numpy(np.empty(0, dtype)).dtype


def _memmap(ring: Ring, folder: Path | None) -> Ring:
    if folder is None:
        raise UserError("Replay.storage = 'memmap' needs a folder; give the run one, or bind Replay.storage = 'memory'.")
    ring_folder = folder / "ring"
    shutil.rmtree(ring_folder, ignore_errors=True)
    try:
        with files.writing(folder, size=sum(entry.nbytes for entry in ring.values())):
            ring_folder.mkdir(parents=True)
            return {name: _map(ring_folder / f"{quote(name, safe='')}.memmap", entry) for name, entry in ring.items()}
    except UserError:
        shutil.rmtree(ring_folder, ignore_errors=True)
        raise


def _map(file: Path, entry: Tensor) -> Tensor:
    """A tensor in a file whose disk space is allocated now: a page fault on a full disk would kill the process silently."""
    with file.open("xb") as stream:
        stream.truncate(entry.nbytes)
        if sys.platform == "linux":
            os.posix_fallocate(stream.fileno(), 0, entry.nbytes)
    return torch.from_file(str(file), shared=True, size=entry.numel(), dtype=entry.dtype).view(entry.shape)
