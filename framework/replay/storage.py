"""The memory of the stored steps: one ring `[streams, rows]`, with a tensor for each entry of a step."""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor

from framework import files
from framework.data import Specs
from framework.errors import UserError

if TYPE_CHECKING:
    from tensordict import TensorDict
else:
    TensorDict = Any  # imported at the first allocation: it takes longer than torch, and the check of a recipe allocates nothing

Storage = Literal["memory", "memmap", "device"]
Column = str | tuple[str, str]
"""A key of the ring: a name, or `("observation", name)`."""


def allocate(*, specs: Specs, streams: int, rows: int, storage: Storage, device: torch.device, folder: Path | None) -> TensorDict:
    """A ring of zeros in the host's memory, in files below `folder`, or on the accelerator."""
    from tensordict import TensorDict

    step = TensorDict(_step(specs), batch_size=[1, 1])
    needed = streams * rows * step.bytes()
    ring = step.expand(streams, rows)
    if storage == "memmap":
        return _memmap(ring, folder=folder, needed=needed)
    place = device if storage == "device" else torch.device("cpu")
    try:
        return ring.apply(lambda column: torch.zeros(column.shape, dtype=column.dtype, device=place), device=place)
    except RuntimeError as error:
        raise UserError(
            f"The replay of {streams * rows} steps needs {needed / 1e9:.1f} GB, which the {place.type}'s memory does not have; "
            f"bind a smaller Replay.capacity, or Replay.storage = 'memmap' to keep it on disk."
        ) from error


def columns(ring: TensorDict) -> Mapping[Column, Tensor]:
    """Every tensor of a ring, or of a part of it, by its key."""
    return dict(cast(Iterable[tuple[Column, Tensor]], ring.items(include_nested=True, leaves_only=True)))


def describe(ring: TensorDict) -> str:
    """The shapes and types of a ring in words; rings of one description can load each other's steps."""
    streams, rows = ring.shape
    parts = [
        f"{'.'.join(key) if isinstance(key, tuple) else key} {str(column.dtype).removeprefix('torch.')} {list(column.shape[2:])}"
        for key, column in sorted(columns(ring).items(), key=str)
    ]
    return f"{streams} streams of {rows} steps with {', '.join(parts)}"


def _step(specs: Specs) -> dict[str, Tensor | dict[str, Tensor]]:
    def blank(*shape: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(1, 1, *shape, dtype=dtype)

    return {
        "observation": {name: blank(*spec.shape, dtype=_stored(np.dtype(spec.dtype))) for name, spec in specs.observation.items()},
        "action": blank(specs.action_size, dtype=torch.float32),
        "reward": blank(dtype=torch.float32),
        "is_first": blank(dtype=torch.bool),
        "is_terminal": blank(dtype=torch.bool),
        "episode": blank(dtype=torch.int64),
    }


def _stored(dtype: np.dtype) -> torch.dtype:
    return torch.float32 if dtype.kind == "f" else torch.from_numpy(np.empty(0, dtype)).dtype


def _memmap(ring: TensorDict, *, folder: Path | None, needed: int) -> TensorDict:
    if folder is None:
        raise UserError("Replay.storage = 'memmap' needs a folder; give the run one, or bind Replay.storage = 'memory'.")
    ring_folder = folder / "ring"
    shutil.rmtree(ring_folder, ignore_errors=True)
    try:
        with files.writing(folder, size=needed):
            ring_folder.mkdir(parents=True)
            return ring.named_apply(lambda key, column: _map(ring_folder / f"{quote(str(key), safe='')}.memmap", column), nested_keys=True)
    except UserError:
        shutil.rmtree(ring_folder, ignore_errors=True)
        raise


def _map(file: Path, column: Tensor) -> Tensor:
    """A tensor in a file whose disk space is allocated now: a page fault on a full disk would kill the process silently."""
    from tensordict import MemoryMappedTensor

    with file.open("xb") as stream:
        stream.truncate(column.nbytes)
        if sys.platform == "linux":
            os.posix_fallocate(stream.fileno(), 0, column.nbytes)
    return MemoryMappedTensor.from_filename(str(file), dtype=column.dtype, shape=column.shape)
