"""The replay on disk: files of steps that are written once, and an index of the files that count."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast, final
from uuid import uuid4

import torch
from torch import Tensor

from framework import files
from framework.errors import UserError
from framework.replay.storage import TensorDict, columns, describe

INDEX = "index.pt"
CHUNK_BYTES = 256 * 2**20


class Chunk(NamedTuple):
    """A file with the steps `first` to `last - 1` of every stream, counted from the first step ever added."""

    name: str
    first: int
    last: int


@final
class Chunks:
    """Saves a ring by adding to a folder the steps that it lacks. The name of a chunk is unique, so that no other run's steps count.

    The index is replaced last and atomically: a kill at any moment leaves the previous save whole. Chunks whose steps have all left the
    ring are deleted after that.
    """

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []

    def snapshot(self, folder: Path, *, ring: TensorDict, added: int, sampler: Tensor) -> Callable[[], None]:
        """Copy the steps that the folder lacks, and return a function that writes them, in any thread.

        The function raises `UserError` when the disk is full.
        """
        oldest = max(0, added - ring.shape[1])
        kept = [chunk for chunk in self._chunks if chunk.last > oldest]
        if not all((folder / chunk.name).exists() for chunk in kept):
            kept = []
        start = kept[-1].last if kept else oldest
        new = {chunk: _copy(ring, chunk) for chunk in _chunks_of(ring, start, added)}
        chunks = [*kept, *new]
        index = {"chunks": [tuple(chunk) for chunk in chunks], "added": added, "sampler": sampler, "ring": describe(ring)}

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

    def load(self, folder: Path, *, ring: TensorDict) -> tuple[int, Tensor]:
        """Fill a ring; returns the number of steps ever added to each stream, and the state of the sampler's generator."""
        index = files.load(folder / INDEX)
        if index["ring"] != describe(ring):
            raise UserError(
                f"The replay in {folder} holds {index['ring']}, but this run's holds {describe(ring)}; "
                f"resume with the recipe that wrote it."
            )
        chunks = [Chunk(*chunk) for chunk in index["chunks"]]
        for chunk in chunks:
            _read(folder, ring, chunk, oldest=max(0, index["added"] - ring.shape[1]))
        self._chunks = chunks
        return index["added"], index["sampler"]


def _chunks_of(ring: TensorDict, start: int, end: int) -> list[Chunk]:
    size = max(1, CHUNK_BYTES // sum(column[:, 0].nbytes for column in columns(ring).values()))
    edges = [(first, min(first + size, end)) for first in range(start, end, size)]
    return [Chunk(f"steps-{first:012d}-{last:012d}-{uuid4().hex[:8]}.pt", first, last) for first, last in edges]


def _copy(ring: TensorDict, chunk: Chunk) -> dict[str, Any]:
    slots = _slots(ring, chunk.first, chunk.last)
    shape = [ring.shape[0], chunk.last - chunk.first]
    steps = ring.apply(lambda column: column.index_select(1, slots).cpu(), batch_size=shape)
    return cast(TensorDict, steps).to_dict()


def _read(folder: Path, ring: TensorDict, chunk: Chunk, *, oldest: int) -> None:
    from tensordict import TensorDict

    steps = TensorDict(files.load(folder / chunk.name), batch_size=[ring.shape[0], chunk.last - chunk.first])
    first = max(chunk.first, oldest)
    ring[:, _slots(ring, first, chunk.last)] = steps[:, first - chunk.first :].to(ring.device)


def _slots(ring: TensorDict, first: int, last: int) -> Tensor:
    return torch.arange(first, last, device=ring.device) % ring.shape[1]
