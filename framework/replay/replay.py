"""The replay: a ring of steps for each environment, and a uniform sampler of sequences."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol, cast, final, runtime_checkable

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
LARGEST_BATCH: Final = 2**20
"""Steps that a batch, or what is drawn beside it, may have."""


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
        _check_sizes(capacity=capacity, batch=batch, length=length, extra=extra, streams=streams)
        self.batch, self.length, self.streams, self.extra = batch, length, streams, extra
        self._rows, self._device = capacity // streams, device
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
        return min(self._added, self._rows)

    def add(self, steps: StoredSteps) -> None:
        """Store one step of every environment in the place of the oldest."""
        row = self._ring[:, self._added % self._rows]
        values = _columns_of(steps)
        for key, column in columns(row).items():
            value = torch.from_numpy(np.ascontiguousarray(values[key]))
            if value.shape != column.shape or not torch.can_cast(value.dtype, column.dtype):
                stored = f"{column.dtype} {list(column.shape)}"
                raise ValueError(f"{key} of the added steps is {value.dtype} {list(value.shape)}, not {stored}")
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
        age = (starts[:, None] % self._filled + torch.arange(self.length)) % self._filled
        rows = self._gather((starts // self._filled)[:, None], age)
        if self._device.type == "cuda" and not rows.is_cuda:
            rows = rows.pin_memory()
        is_first = rows["is_first"] | (age == 0).to(rows.device, non_blocking=True)
        batch = Batch(
            observation=dict(rows["observation"].items()),
            action=rows["action"].masked_fill(is_first[..., None], 0.0),
            reward=rows["reward"],
            is_first=is_first,
            is_terminal=rows["is_terminal"],
            episode=rows["episode"],
        )
        return batch.to(self._device)

    def reseed(self, seed: int) -> None:
        """Draw from this seed from now on."""
        self._generator.manual_seed(seed)

    def _draw_extra(self) -> ExtraSteps:
        steps = torch.randint(len(self), (self.extra,), generator=self._generator)
        rows = self._gather(steps // self._filled, steps % self._filled).to(self._device, non_blocking=True)
        return ExtraSteps(observation=dict(rows["observation"].items()), episode=rows["episode"])

    def _gather(self, stream: Tensor, age: Tensor) -> TensorDict:
        """The stored steps of these streams and ages, from 0 for the oldest. The index is copied without a synchronization."""
        slot = (self._added - self._filled + age) % self._rows
        index = (stream * self._rows + slot).flatten().to(self._ring.device, non_blocking=True)
        rows = self._flat.apply(lambda column: column.index_select(0, index), batch_size=index.shape)
        return cast(TensorDict, rows).reshape(age.shape)

    def snapshot(self, folder: Path) -> Callable[[], None]:
        """Copy the steps since the last save, and return a function that writes them and the sampler into a folder, in any thread.

        The folder may hold earlier saves of this replay. The function raises `UserError` when the disk is full; an interrupted one leaves
        the previous save intact.
        """
        return self._chunks.snapshot(folder, ring=self._ring, added=self._added, sampler=self._generator.get_state())

    def load(self, folder: Path) -> None:
        """Return to a save: the next sequences are, to the bit, those that the saved replay would have drawn."""
        self._added, sampler = self._chunks.load(folder, ring=self._ring)
        self._generator.set_state(sampler)


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


def _check_sizes(*, capacity: int, batch: int, length: int, extra: int, streams: int) -> None:
    for name, value, least in (("batch", batch, 1), ("length", length, 1), ("extra", extra, 0)):
        if value < least:
            raise UserError(f"Replay.{name} is {value}; bind a whole number of at least {least}.")
    if max(batch * length, extra) > LARGEST_BATCH:
        raise UserError(
            f"Replay.batch = {batch} sequences of Replay.length = {length} steps, and Replay.extra = {extra}, must both be at most "
            f"{LARGEST_BATCH} steps: a batch is in memory at once."
        )
    if capacity // streams < length:
        raise UserError(
            f"Replay.capacity is {capacity}, which leaves {capacity // streams} steps to each of {streams} environments, fewer than "
            f"Replay.length = {length}; bind a capacity of at least {length * streams} or a shorter length."
        )
