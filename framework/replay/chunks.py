"""The replay on disk: files of steps that are written once, and an index of the files that count."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, final
from uuid import uuid4

import torch
from torch import Tensor

from framework import files
from framework.errors import UserError
from framework.replay.storage import Ring, layout

INDEX = "index.pt"
CHUNK_BYTES = 256 * 2**20


class Chunk(NamedTuple):
    """A file with the steps `first` to `last - 1` of every stream, counted from the first step ever added."""

    name: str
    first: int
    last: int


@final
class Chunks:
    """Saves a ring by adding to a folder the steps that it lacks, and deleting chunks whose steps have all left the ring.

    The name of a chunk is unique, so that no other run's steps count.
    """

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []

    def snapshot(self, folder: Path, *, ring: Ring, added: int, sampler: Tensor) -> Callable[[], None]:
        """Copy the steps that the folder lacks, and return a function that writes them, in any thread.

        The function raises `UserError` when the disk is full.
        """
        oldest = max(0, added - _rows(ring))
        kept = [chunk for chunk in self._chunks if chunk.last > oldest]
        if not all((folder / chunk.name).exists() for chunk in kept):
            kept = []
        start = kept[-1].last if kept else oldest
        new = {chunk: _copy(ring, chunk) for chunk in _chunks_of(ring, start, added)}
        chunks = [*kept, *new]
        index = {"chunks": [tuple(chunk) for chunk in chunks], "added": added, "sampler": sampler, "layout": layout(ring)}

        def write() -> None:
            with files.writing(folder, size=0):
                folder.mkdir(parents=True, exist_ok=True)
            for chunk, steps in new.items():
                files.save(folder / chunk.name, steps)
            files.save(folder / INDEX, index)
            self._chunks = chunks
            for file in folder.glob("steps-*.pt"):
                if file.name not in {chunk.name for chunk in chunks}:
                    file.unlink()

        return write

    def load(self, folder: Path, *, ring: Ring) -> tuple[int, Tensor]:
        """Fill a ring; returns the number of steps ever added to each stream, and the state of the sampler's generator."""
        index, own = files.load(folder / INDEX), layout(ring)
        if index["layout"] != own:
            names = [name for name in {**index["layout"], **own} if index["layout"].get(name) != own.get(name)]
            there, here = (", ".join(f"{name} = {sizes.get(name, 'none')}" for name in names) for sizes in (index["layout"], own))
            raise UserError(f"The replay in {folder} has {there}, and this run's has {here}; resume with the sizes that it was saved with.")
        chunks = [Chunk(*chunk) for chunk in index["chunks"]]
        for chunk in chunks:
            _read(folder, ring, chunk, oldest=max(0, index["added"] - _rows(ring)))
        self._chunks = chunks
        return index["added"], index["sampler"]


def _rows(ring: Ring) -> int:
    return ring["reward"].shape[1]


def _chunks_of(ring: Ring, start: int, end: int) -> list[Chunk]:
    size = max(1, CHUNK_BYTES // sum(entry[:, 0].nbytes for entry in ring.values()))
    edges = [(first, min(first + size, end)) for first in range(start, end, size)]
    return [Chunk(f"steps-{first:012d}-{last:012d}-{uuid4().hex[:8]}.pt", first, last) for first, last in edges]


def _copy(ring: Ring, chunk: Chunk) -> Ring:
    return {name: entry.index_select(1, _slots(entry, chunk.first, chunk.last)).cpu() for name, entry in ring.items()}


def _read(folder: Path, ring: Ring, chunk: Chunk, *, oldest: int) -> None:
    first = max(chunk.first, oldest)
    for name, steps in files.load(folder / chunk.name).items():
        entry = ring[name]
        entry[:, _slots(entry, first, chunk.last)] = steps[:, first - chunk.first :].to(entry.device)


def _slots(entry: Tensor, first: int, last: int) -> Tensor:
    return torch.arange(first, last, device=entry.device) % entry.shape[1]
