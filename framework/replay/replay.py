"""The replay: a ring of steps for each environment, and a uniform sampler of sequences."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from framework.data import Batch, ExtraSteps, Specs
from framework.errors import UserError
from framework.registry import parts
from framework.replay.chunks import Chunks
from framework.replay.storage import Column, TensorDict, allocate, columns

Array = np.ndarray[Any, np.dtype[Any]]


@runtime_checkable
class StoredSteps(Protocol):
    """One step of every environment, such as a `VectorStep`: arrays with the leading axis of the environments."""

    @property
    def observation(self) -> Mapping[str, Array]: ...
    @property
    def action(self) -> Array: ...
    @property
    def reward(self) -> Array: ...
    @property
    def is_first(self) -> Array: ...
    @property
    def is_terminal(self) -> Array: ...
    @property
    def episode(self) -> Array: ...


@final
@parts.register
class Replay:
    """Stores the newest `capacity` steps (over all streams, rounded down to whole rows) and draws sequences of them uniformly.

    A stream holds the steps of one environment, episode after episode. Sequences cross episode boundaries: `is_first` resets the model.
    Each stream is a circle: a sequence that runs past the newest step continues at the oldest, which is always a reset (`is_first`, no
    action). Every step is an equally likely start, so that **every stored step is drawn exactly as often as any other**, the last of an
    episode, the newest and the oldest too. All streams have the same length.

    `extra` single steps, drawn uniformly and independently of the sequences, come with each batch as further candidates.
    The time of a draw does not depend on the capacity. One seed draws the same sequences from every storage: indices are drawn on the
    host, and steps on a device are gathered there without a synchronization.
    """

    derived: ClassVar[tuple[str, ...]] = ("specs", "streams", "device", "seed", "folder")

    def __init__(
        self,
        *,
        capacity: int,
        batch: int,
        length: int,
        extra: int = 0,
        storage: Literal["memory", "memmap", "device"] = "memory",
        specs: Specs,
        streams: int,
        device: torch.device,
        seed: int,
        folder: Path | None = None,
    ) -> None:
        _check_sizes(capacity=capacity, batch=batch, length=length, streams=streams)
        if extra < 0:
            raise UserError(f"Replay.extra is {extra}; bind the number of single steps to draw with each batch, or 0 for none.")
        self.batch, self.length, self.streams, self.extra = batch, length, streams, extra
        self._rows = capacity // streams
        self._device = device
        if device.type != "meta":  # the check of a recipe stores nothing
            self._ring = allocate(specs=specs, streams=streams, rows=self._rows, storage=storage, device=device, folder=folder)
            self._flat = self._ring.flatten(0, 1)
        self._added = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._chunks = Chunks()

    def __len__(self) -> int:
        """The number of stored steps, over all streams."""
        return self.streams * self._filled

    @property
    def steps(self) -> int:
        """The number of steps ever added, over all streams."""
        return self.streams * self._added

    @property
    def _filled(self) -> int:
        """The filled rows."""
        return min(self._added, self._rows)

    def add(self, steps: StoredSteps) -> None:
        """Store one step of every environment in the place of the oldest."""
        row = self._ring[:, self._added % self._rows]
        values = _columns_of(steps)
        for key, column in columns(row).items():
            value = torch.from_numpy(np.ascontiguousarray(values[key]))
            if value.shape != column.shape:
                raise ValueError(f"{key} of the added steps is {list(value.shape)}, not {list(column.shape)}")
            column.copy_(value)
        self._added += 1

    def sample(self) -> Batch:
        """Draw `batch` sequences. Raises `UserError` while fewer steps than one sequence are stored."""
        if self._filled < self.length:
            raise UserError(
                f"Replay.length is {self.length}, but each of the {self.streams} environments has stored {self._filled} steps: "
                f"prefill at least {self.length * self.streams} steps (action repeats not counted), or bind a smaller Replay.length."
            )
        batch = self.windows(torch.randint(len(self), (self.batch,), generator=self._generator))
        return replace(batch, extra=self._draw_extra()) if self.extra else batch

    def windows(self, starts: Int[Tensor, " B"]) -> Batch:
        """The sequences from the given stored steps on, which are numbered stream by stream, from the oldest to the newest."""
        stream, first = starts // self._filled, starts % self._filled
        age = (first[:, None] + torch.arange(self.length)) % self._filled
        slot = (self._added - self._filled + age) % self._rows
        index = self._on_storage((stream[:, None] * self._rows + slot).flatten())
        rows = self._flat.apply(lambda column: column.index_select(0, index), batch_size=index.shape)
        return self._batch(rows.reshape(age.shape), oldest=self._on_storage(age == 0))

    def reseed(self, seed: int) -> None:
        """Draw from this seed from now on."""
        self._generator.manual_seed(seed)

    def _on_storage(self, indices: Tensor) -> Tensor:
        """Indices on the device of the steps, copied without a synchronization."""
        return indices.to(self._ring.device, non_blocking=True)

    def _draw_extra(self) -> ExtraSteps:
        drawn = torch.randint(len(self), (self.extra,), generator=self._generator)
        slot = (self._added - self._filled + drawn % self._filled) % self._rows
        rows = self._flat[self._on_storage((drawn // self._filled) * self._rows + slot)].to(self._device, non_blocking=True)
        return ExtraSteps(observation=dict(rows["observation"].items()), episode=rows["episode"])

    def save(self, folder: Path) -> None:
        """Write the steps since the last save, and the sampler, into a folder, which may hold earlier saves of this replay.

        Raises `UserError` when the disk is full; an interrupted save leaves the previous one intact.
        """
        self.snapshot(folder)()

    def snapshot(self, folder: Path) -> Callable[[], None]:
        """`save` in two parts: copy now, and return a function that writes, in any thread."""
        return self._chunks.snapshot(folder, ring=self._ring, added=self._added, sampler=self._generator.get_state())

    def load(self, folder: Path) -> None:
        """Return to a save: the next sequences are, to the bit, those that the saved replay would have drawn."""
        self._added, sampler = self._chunks.load(folder, ring=self._ring)
        self._generator.set_state(sampler)

    def _batch(self, rows: TensorDict, *, oldest: Tensor) -> Batch:
        if self._device.type == "cuda" and not rows.is_cuda:
            rows = rows.pin_memory()
        is_first = rows["is_first"] | oldest
        batch = Batch(
            observation=dict(rows["observation"].items()),
            action=rows["action"].masked_fill(is_first[..., None], 0.0),
            reward=rows["reward"],
            is_first=is_first,
            is_terminal=rows["is_terminal"],
            episode=rows["episode"],
        )
        return batch.to(self._device)


def _columns_of(steps: StoredSteps) -> dict[Column, Array]:
    """The columns of the ring. The episode numbers, which each environment counts by itself, become unique over the streams."""
    streams = len(steps.episode)
    return {
        **{("observation", name): value for name, value in steps.observation.items()},
        "action": steps.action,
        "reward": steps.reward,
        "is_first": steps.is_first,
        "is_terminal": steps.is_terminal,
        "episode": steps.episode * streams + np.arange(streams),
    }


def _check_sizes(*, capacity: int, batch: int, length: int, streams: int) -> None:
    for name, value in (("batch", batch), ("length", length)):
        if value < 1:
            raise UserError(f"Replay.{name} is {value}; bind a whole number of at least 1.")
    if capacity // streams < length:
        raise UserError(
            f"Replay.capacity is {capacity}, which leaves {capacity // streams} steps to each of {streams} environments, fewer than "
            f"Replay.length = {length}; bind a capacity of at least {length * streams} or a shorter length."
        )
